// Painting on a picture. A pixel has one type or none and strokes have hard edges, so that what is saved holds the
// colours of its types exactly. console.js zooms and moves the picture.
import { $, $$, keys, say, view } from "./console.js";
import { channels, readMask, writeMask } from "./masks.js";

const form = $("[data-painter]");
const area = $("[data-zoom]", form);
const canvas = $("canvas", form);
const marks = $(".marks", form);
const ground = form.getAttribute("data-ground"); // form.dataset is its field of that name
const context = canvas.getContext("2d");
const KEPT_BYTES = 64e6; // of what can be undone
const NEAR_PX = 12; // of the screen: a polygon is closed where its first corner is hit

let width, height;
let paint; // of each pixel the number of its type, 0 for none
let before = null; // all of it, while a stroke is drawn
let drawn = null; // the box of pixels that the stroke may have changed: left, top, right, bottom
let last = null;
let corners = [];
let cursor = null;
let isTouched = false;
const undoable = [];
const redoable = [];
const fingers = new Set();

const types = () => $$('[name="type"]', form);
const tool = () => $('[name="tool"]:checked', form).value;
const longest = () => Math.max(width, height);
const diameter = () => Math.max(1, Math.round((longest() / 4) ** ($("[data-size]", form).value / 100)));
/** Pixels of the screen to one of the picture, which is fitted into the box with its proportions kept. */
const scale = (box = canvas.getBoundingClientRect()) => Math.min(box.width / width, box.height / height);

function place(event) {
  const box = canvas.getBoundingClientRect();
  const each = scale(box);
  return {
    x: (event.clientX - box.left - (box.width - width * each) / 2) / each,
    y: (event.clientY - box.top - (box.height - height * each) / 2) / each,
  };
}

// Pixels
const clip = (left, top, right, bottom) => [
  Math.max(Math.floor(left), 0), Math.max(Math.floor(top), 0), Math.min(Math.ceil(right), width), Math.min(Math.ceil(bottom), height),
];

function show([left, top, right, bottom]) {
  if (left >= right || top >= bottom) return;
  const pixels = new ImageData(right - left, bottom - top);
  const shown = new Uint32Array(pixels.data.buffer);
  const colors = [0, ...types().map((each) => new Uint32Array(new Uint8Array([...channels(each.dataset.color), 255]).buffer)[0])];
  let at = 0;
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) shown[at++] = colors[paint[y * width + x]];
  context.putImageData(pixels, left, top);
}

/** Every pixel of which `isInside(x, y)` says so, x and y at its middle. */
function fill(box, value, isInside) {
  const [left, top, right, bottom] = clip(...box);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) if (isInside(x + 0.5, y + 0.5)) paint[y * width + x] = value;
  }
  drawn = [Math.min(drawn[0], left), Math.min(drawn[1], top), Math.max(drawn[2], right), Math.max(drawn[3], bottom)];
  show([left, top, right, bottom]);
}

function line(a, b, value) {
  const radius = Math.max(diameter() / 2, 0.71); // no point of a pixel is farther from its middle
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy || 1;
  const box = [Math.min(a.x, b.x) - radius, Math.min(a.y, b.y) - radius, Math.max(a.x, b.x) + radius, Math.max(a.y, b.y) + radius];
  fill(box, value, (x, y) => {
    const along = Math.min(Math.max(((x - a.x) * dx + (y - a.y) * dy) / length, 0), 1);
    return (a.x + along * dx - x) ** 2 + (a.y + along * dy - y) ** 2 <= radius * radius;
  });
}

function polygon(points, value) {
  const [xs, ys] = [points.map((each) => each.x), points.map((each) => each.y)];
  fill([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], value, (x, y) => {
    let isInside = false;
    points.forEach((a, number) => {
      const b = points[(number + 1) % points.length];
      if (a.y > y !== b.y > y && x < a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x)) isInside = !isInside;
    });
    return isInside;
  });
}

// Strokes, and taking them back
const cut = (from, [left, top, right, bottom]) => {
  const bytes = new Uint8Array(Math.max(right - left, 0) * Math.max(bottom - top, 0));
  for (let y = top; y < bottom; y++) bytes.set(from.subarray(y * width + left, y * width + right), (y - top) * (right - left));
  return bytes;
};

function begin() {
  before = paint.slice();
  drawn = [width, height, 0, 0];
}

function end() {
  if (!before) return;
  undoable.push({ box: drawn, bytes: cut(before, drawn) });
  while (undoable.reduce((sum, each) => sum + each.bytes.length, 0) > KEPT_BYTES && undoable.length > 1) undoable.shift();
  redoable.length = 0;
  before = last = null;
  changed();
}

/** A stroke that turned out to be the first of two fingers. */
function giveUp() {
  if (before) { paint = before; show(drawn); }
  before = last = null;
  corners.pop();
}

function step(from, to) {
  if (before) return;
  if (from === undoable && corners.length) { corners.pop(); mark(); return; }
  const change = from.pop();
  if (!change) { say(from === undoable ? "Nothing to undo" : "Nothing to redo"); return; }
  const [left, top, right, bottom] = change.box;
  to.push({ box: change.box, bytes: cut(paint, change.box) });
  for (let y = top; y < bottom; y++) paint.set(change.bytes.subarray((y - top) * (right - left), (y - top + 1) * (right - left)), y * width + left);
  show(change.box);
  changed();
}

function whole(act) {
  begin();
  act();
  drawn = [0, 0, width, height];
  show(drawn);
  end();
}

const counts = () => {
  const areas = new Array(types().length + 1).fill(0);
  for (let at = 0; at < paint.length; at++) areas[paint[at]]++;
  return areas;
};

function changed() {
  isTouched = true;
  const areas = tell();
  const anomaly = $('[name="label"][value="anomaly"]', form);
  if (anomaly && areas[0] < paint.length) { anomaly.checked = true; labeled(); }
}

/** How much each type covers, and what can be taken back; the counts of pixels. */
function tell() {
  const areas = counts();
  types().forEach((each, number) => {
    const share = (100 * areas[number + 1]) / paint.length;
    $("[data-share]", each.parentElement).textContent = share ? `${share < 0.01 ? "< 0.01" : share.toFixed(2)}%` : "";
  });
  for (const [name, list] of [["undo", undoable], ["redo", redoable]]) $(`[data-${name}]`, form).disabled = !list.length;
  return areas;
}

// The brush, its polygon, and what a hand or the keys do with them
function mark() {
  if (!paint) return;
  const each = scale();
  const isPolygon = tool() === "polygon";
  const ring = isPolygon ? corners[0] : tool() === "move" ? null : cursor;
  const points = [...corners, ...(cursor ? [cursor] : [])];
  for (const circle of $$("circle", marks)) {
    circle.setAttribute("visibility", ring ? "visible" : "hidden");
    if (ring) for (const [name, at] of [["cx", ring.x], ["cy", ring.y], ["r", isPolygon ? NEAR_PX / 2 / each : diameter() / 2]]) circle.setAttribute(name, at);
  }
  for (const lines of $$("polyline", marks)) {
    lines.setAttribute("points", corners.length ? points.map((at) => `${at.x},${at.y}`).join(" ") : "");
  }
  $$("g", marks).forEach((group, number) => group.setAttribute("stroke-width", (number ? 1.5 : 4) / each));
  canvas.classList.toggle("crisp", each >= 1);
  $("[data-size] + output", form).textContent = `${diameter()} px`;
}

function value() {
  if (tool() === "eraser") return 0;
  const number = types().findIndex((each) => each.checked) + 1;
  if (!number) { say("Name what you paint first"); $("[data-new-type]", form)?.focus(); }
  return number || null;
}

function corner(at) {
  const first = corners[0];
  if (first && Math.hypot(at.x - first.x, at.y - first.y) * scale() < NEAR_PX) { close(); return; }
  corners.push(at);
  if (corners.length === 1) say("Enter, or the first corner again, closes the polygon");
}

function close() {
  const number = value();
  if (corners.length > 2 && number !== null) { begin(); polygon(corners, number); end(); }
  corners = [];
  mark();
}

/** A dab or a corner where the cursor is. */
function press(at) {
  const number = value();
  if (number === null) return;
  if (tool() === "polygon") { corner(at); return; }
  begin();
  last = at;
  line(at, at, number);
}

area.addEventListener("pointerdown", (event) => {
  fingers.add(event.pointerId);
  if (fingers.size > 1) { giveUp(); mark(); return; }
  if (event.button || tool() === "move") return;
  cursor = place(event);
  press(cursor);
  mark();
});
area.addEventListener("pointermove", (event) => {
  cursor = place(event);
  if (last) {
    line(last, cursor, value());
    last = cursor;
  }
  mark();
});
for (const name of ["pointerup", "pointercancel", "pointerleave"]) area.addEventListener(name, (event) => {
  fingers.delete(event.pointerId);
  if (name !== "pointerleave") end();
  if (event.pointerType === "touch" || name === "pointerleave") cursor = null;
  mark();
});
area.addEventListener("dblclick", () => { if (corners.length) close(); });
for (const name of ["click", "keyup", "wheel"]) form.addEventListener(name, mark); // any of them may have zoomed

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
// Before console.js hears of them: there Escape leaves the page.
window.addEventListener("keydown", (event) => {
  const isOnPicture = document.activeElement === area;
  const handled = () => { event.preventDefault(); event.stopPropagation(); mark(); };
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !event.target.matches("[data-new-type]")) {
    step(...(event.shiftKey ? [redoable, undoable] : [undoable, redoable]));
    handled();
  } else if (event.key === "Escape" && corners.length) {
    corners = [];
    handled();
  } else if (event.key === "Enter" && event.target.matches("[data-new-type]")) {
    addType();
    handled();
  } else if (event.key === "Enter" && corners.length && !event.target.closest("button, input")) {
    close();
    handled();
  } else if (isOnPicture && ARROWS[event.key]) {
    const by = event.shiftKey ? 1 : Math.max(1, longest() / 100);
    cursor ??= { x: width / 2, y: height / 2 };
    const [x, y] = ARROWS[event.key];
    cursor = { x: Math.min(Math.max(cursor.x + x * by, 0), width), y: Math.min(Math.max(cursor.y + y * by, 0), height) };
    handled();
  } else if (isOnPicture && event.key === " ") {
    cursor ??= { x: width / 2, y: height / 2 };
    press({ ...cursor });
    end();
    handled();
  }
}, { capture: true });

const choose = (name, chosen) => { const box = $(`[name="${name}"][value="${chosen}"]`, form); if (box) { box.checked = true; box.dispatchEvent(new Event("change", { bubbles: true })); } };
const resize = (by) => { const size = $("[data-size]", form); size.value = Number(size.value) + by; mark(); };
Object.assign(keys, {
  b: () => choose("tool", "brush"),
  p: () => choose("tool", "polygon"),
  e: () => choose("tool", "eraser"),
  v: () => choose("tool", "move"),
  n: () => choose("label", "normal"),
  a: () => choose("label", "anomaly"),
  "[": () => resize(-5),
  "]": () => resize(5),
  z: () => step(undoable, redoable),
  y: () => step(redoable, undoable),
  s: () => form.requestSubmit(),
});
for (let number = 1; number < 10; number++) keys[number] = () => { const each = types()[number - 1]; if (each) { each.checked = true; mark(); } };

form.addEventListener("change", (event) => {
  if (event.target.name === "tool") { corners = []; view.pans = tool() === "move"; area.dataset.tool = tool(); mark(); }
  if (event.target.name === "label") labeled();
});
$("[data-size]", form).addEventListener("input", mark);
$("[data-undo]", form).addEventListener("click", () => step(undoable, redoable));
$("[data-redo]", form).addEventListener("click", () => step(redoable, undoable));
$("[data-clear]", form).addEventListener("click", () => whole(() => paint.fill(0)));
$("[data-start]", form)?.addEventListener("click", async (event) => {
  const read = await stored(event.target.dataset.start, event.target.dataset.colors);
  whole(() => paint.set(read));
});

/** The pixels of a mask whose types are all among those here. */
function stored(address, colors) {
  const names = types().map((each) => each.value);
  const known = Object.entries(JSON.parse(colors)).map(([name, color]) => [color, names.indexOf(name) + 1]);
  return readMask(address, width, height, [[ground, 0], ...known]);
}

/** What is painted counts only where it is an anomaly. */
function labeled() {
  const isNormal = $('[name="label"]:checked', form)?.value === "normal";
  canvas.classList.toggle("unused", isNormal);
}

// Types
function addType() {
  const input = $("[data-new-type]", form);
  const name = input.value.trim();
  if (!name) { input.focus(); return; }
  const known = types().find((each) => each.value === name);
  const free = JSON.parse(input.dataset.newType).filter((color) => !types().some((each) => each.dataset.color === color));
  if (!known && !free.length) { say("A mask has no colours for more types"); return; }
  const row = known?.closest("label") ?? $("template", form).content.cloneNode(true).firstElementChild;
  const radio = $("input", row);
  if (!known) {
    radio.value = name;
    radio.dataset.color = free[0];
    $("rect", row).setAttribute("fill", free[0]);
    $("[data-name]", row).textContent = name;
    $("[data-types]", form).append(row);
    const number = types().length;
    if (number < 10) $("kbd", row).textContent = number; else $("kbd", row).remove();
  }
  radio.checked = true;
  input.value = "";
  radio.focus();
}
$("[data-add-type]", form)?.addEventListener("click", addType);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  close();
  const sent = new FormData(form, event.submitter);
  if (isTouched) {
    const areas = counts();
    const used = types().filter((_, number) => areas[number + 1]);
    sent.set("colors", JSON.stringify(Object.fromEntries(used.map((each) => [each.value, each.dataset.color]))));
    if (used.length && sent.get("label") !== "normal") {
      sent.set("mask", await writeMask(paint, width, [ground, ...types().map((each) => each.dataset.color)]), "mask.png");
    }
  }
  const token = $('meta[name="relook-token"]').content;
  const answer = await fetch(form.action, { method: "POST", headers: { "x-relook-token": token }, body: sent }).catch(() => null);
  if (answer?.ok) { isTouched = false; location.assign(answer.url); return; }
  $("[data-problem]", form).textContent = answer ? await answer.text() : "The console does not answer; is it running?";
});
window.addEventListener("beforeunload", (event) => { if (isTouched) event.preventDefault(); });

const base = $(".base", form);
base.decode().then(async () => {
  [width, height] = [base.naturalWidth, base.naturalHeight];
  [canvas.width, canvas.height] = [width, height];
  marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  paint = new Uint8Array(width * height);
  if (canvas.dataset.stored) paint = await stored(canvas.dataset.stored, canvas.dataset.colors).catch(() => paint);
  show([0, 0, width, height]);
  view.pans = false;
  area.dataset.tool = tool();
  for (const each of $$("[data-needs-script]", form)) each.hidden = false;
  labeled();
  tell();
  mark();
}).catch(() => { $("[data-problem]", form).textContent = "The picture cannot be shown, so that it cannot be painted on."; });
