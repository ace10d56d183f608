// The page that paints: what a hand and the keys do with brush, polygon and eraser, the types, and saving. console.js
// zooms and moves the picture.
import { $, $$, keys, say, view } from "./console.js";
import { readMask, writeMask } from "./masks.js";
import { Pixels } from "./pixels.js";

const form = $("[data-painter]");
const area = $("[data-zoom]", form);
const canvas = $("canvas", form);
const marks = $(".marks", form);
const ground = form.getAttribute("data-ground"); // form.dataset is its field of that name
// A polygon is closed where its first corner is hit as nearly as this, on the screen
const NEAR_PX = matchMedia("(pointer: coarse)").matches ? 24 : 12;

let pixels; // once the picture is there
let hand = null; // the pointer that draws a stroke
let last = null; // where it was
let corners = [];
let cursor = null;
let isTouched = false;
const fingers = new Set();

const types = () => $$('[name="type"]', form);
const colors = () => types().map((each) => each.dataset.color);
const tool = () => $('[name="tool"]:checked', form).value;
const longest = () => Math.max(pixels.width, pixels.height);
const diameter = () => Math.max(1, Math.round((longest() / 4) ** ($("[data-size]", form).value / 100)));
const problem = (text) => { $("[data-problem]", form).textContent = text; };

/** Pixels of the screen to one of the picture, which is fitted into the box with its proportions kept. */
const scale = (box = canvas.getBoundingClientRect()) => Math.min(box.width / pixels.width, box.height / pixels.height);

function place(event) {
  const box = canvas.getBoundingClientRect();
  const each = scale(box);
  return {
    x: (event.clientX - box.left - (box.width - pixels.width * each) / 2) / each,
    y: (event.clientY - box.top - (box.height - pixels.height * each) / 2) / each,
  };
}

/** The number of what is painted now; null, and a word, where there is none yet. */
function chosen() {
  if (tool() === "eraser") return 0;
  const number = types().findIndex((each) => each.checked) + 1;
  if (number) return number;
  say("Name what you paint first");
  $("[data-new-type]", form)?.focus();
  return null;
}

// Strokes and polygons
function draw(from, to, number) {
  pixels.line(from, to, Math.max(diameter() / 2, 0.71), number); // no point of a pixel is farther from its middle
}

/** A dab, or a corner, at the cursor. */
function press() {
  const number = chosen();
  if (number === null) return;
  if (tool() === "polygon") { corner({ ...cursor }); return; }
  pixels.begin();
  last = { ...cursor };
  draw(last, last, number);
}

function lift() {
  if (last && pixels.end()) changed();
  hand = last = null;
}

function corner(at) {
  const first = corners[0];
  if (first && Math.hypot(at.x - first.x, at.y - first.y) * scale() < NEAR_PX) { close(); return; }
  corners.push(at);
  if (corners.length === 1) say("Enter, or the first corner again, closes the polygon");
}

function close() {
  const number = corners.length > 2 ? chosen() : null;
  if (number !== null) {
    pixels.begin();
    pixels.polygon(corners, number);
    if (pixels.end()) changed();
  }
  corners = [];
  mark();
}

function undo() {
  if (corners.length) { corners.pop(); mark(); return; }
  if (pixels.undo()) changed(); else say("Nothing to undo");
}

function redo() {
  if (pixels.redo()) changed(); else say("Nothing to redo");
}

function changed() {
  isTouched = true;
  const counts = tell();
  const anomaly = $('[name="label"][value="anomaly"]', form);
  if (anomaly && counts[0] < pixels.numbers.length) { anomaly.checked = true; dim(); }
}

/** How much each type covers, and what can be taken back; the counts of pixels. */
function tell() {
  const counts = pixels.counts;
  types().forEach((each, index) => {
    const share = (100 * counts[index + 1]) / pixels.numbers.length;
    $("[data-share]", each.parentElement).textContent = share ? `${share < 0.01 ? "< 0.01" : share.toFixed(2)}%` : "";
  });
  $("[data-undo]", form).disabled = !pixels.undoable.length;
  $("[data-redo]", form).disabled = !pixels.redoable.length;
  return counts;
}

/** What is painted counts only where it is an anomaly. */
function dim() {
  canvas.classList.toggle("unused", $('[name="label"]:checked', form)?.value === "normal");
}

/** The ring of the brush, and the lines of a polygon that is not closed yet. */
function mark() {
  if (!pixels) return;
  const each = scale();
  const isPolygon = tool() === "polygon";
  const ring = isPolygon ? corners[0] : tool() === "move" ? null : cursor;
  const radius = isPolygon ? NEAR_PX / 2 / each : diameter() / 2;
  for (const circle of $$("circle", marks)) {
    circle.setAttribute("visibility", ring ? "visible" : "hidden");
    for (const [name, value] of Object.entries(ring ? { cx: ring.x, cy: ring.y, r: radius } : {})) circle.setAttribute(name, value);
  }
  const points = corners.length ? [...corners, ...(cursor ? [cursor] : [])] : [];
  for (const lines of $$("polyline", marks)) lines.setAttribute("points", points.map((at) => `${at.x},${at.y}`).join(" "));
  $$("g", marks).forEach((group, index) => group.setAttribute("stroke-width", (index ? 1.5 : 4) / each));
  canvas.classList.toggle("crisp", each >= 1);
  $("[data-size] + output", form).textContent = `${diameter()} px`;
}

// A hand
area.addEventListener("pointerdown", (event) => {
  if (!pixels) return;
  if (event.pointerType === "touch") fingers.add(event.pointerId);
  if (fingers.size > 1) { // they zoom, and what the first one drew was not meant
    if (last) pixels.giveUp();
    hand = last = null;
    corners.pop();
    mark();
    return;
  }
  if (event.button || hand !== null || tool() === "move") return;
  hand = event.pointerId;
  cursor = place(event);
  press();
  mark();
});
area.addEventListener("pointermove", (event) => {
  if (!pixels || (hand ?? event.pointerId) !== event.pointerId) return;
  cursor = place(event);
  if (last) {
    draw(last, cursor, chosen());
    last = cursor;
  }
  mark();
});
for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, (event) => {
  fingers.delete(event.pointerId);
  if (event.pointerId === hand) lift();
  if (event.pointerType === "touch") cursor = null;
  mark();
});
area.addEventListener("pointerleave", () => { cursor = null; mark(); });
area.addEventListener("dblclick", () => { if (corners.length) close(); });
for (const name of ["click", "keyup", "wheel"]) form.addEventListener(name, mark); // any of them may have zoomed

// Keys. These before console.js hears of them: there Escape leaves the page
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function act(event) {
  const { key, target } = event;
  const isOnPicture = target === area;
  if (isOnPicture && (ARROWS[key] || key === " ")) {
    cursor ??= { x: pixels.width / 2, y: pixels.height / 2 };
    const by = event.shiftKey ? 1 : Math.max(1, longest() / 100);
    const [x, y] = ARROWS[key] ?? [0, 0];
    cursor = { x: Math.min(Math.max(cursor.x + x * by, 0), pixels.width), y: Math.min(Math.max(cursor.y + y * by, 0), pixels.height) };
    if (key === " ") { press(); lift(); }
  } else if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z" && !target.matches("[data-new-type]")) {
    if (event.shiftKey) redo(); else undo();
  } else if (key === "Enter" && target.matches("[data-new-type]")) {
    addType();
  } else if (key === "Enter" && corners.length && !target.closest("button, input")) {
    close();
  } else if (key === "Escape" && corners.length) {
    corners = [];
  } else {
    return false;
  }
  return true;
}
window.addEventListener("keydown", (event) => {
  if (!pixels || !act(event)) return;
  event.preventDefault();
  event.stopPropagation();
  mark();
}, { capture: true });

const choose = (name, value) => $(`[name="${name}"][value="${value}"]`, form)?.click();
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
  z: undo,
  y: redo,
  s: () => form.requestSubmit(),
});
for (let number = 1; number < 10; number++) keys[number] = () => types()[number - 1]?.click();

// What stands beside the picture
form.addEventListener("change", (event) => {
  if (event.target.name === "tool") { corners = []; view.pans = tool() === "move"; area.dataset.tool = tool(); mark(); }
  if (event.target.name === "label") dim();
});
$("[data-size]", form).addEventListener("input", mark);
$("[data-undo]", form).addEventListener("click", undo);
$("[data-redo]", form).addEventListener("click", redo);
$("[data-clear]", form).addEventListener("click", () => { pixels.replace(new Uint8Array(pixels.numbers.length)); changed(); });
$("[data-start]", form)?.addEventListener("click", async (event) => {
  try {
    pixels.replace(await stored(event.target.dataset.start, event.target.dataset.colors));
    changed();
  } catch { problem("The detected mask is no longer there."); }
});

function addType() {
  const input = $("[data-new-type]", form);
  const name = input.value.trim();
  if (!name) { input.focus(); return; }
  const radio = types().find((each) => each.value === name) ?? newType(name, JSON.parse(input.dataset.newType));
  if (!radio) { say("A mask has no colours for more types"); return; }
  radio.checked = true;
  input.value = "";
  radio.focus();
}
$("[data-add-type]", form)?.addEventListener("click", addType);

function newType(name, free) {
  const color = free.find((each) => !colors().includes(each));
  if (!color) return null;
  const row = $("template", form).content.cloneNode(true).firstElementChild;
  const radio = $("input", row);
  radio.value = name;
  radio.dataset.color = color;
  $("rect", row).setAttribute("fill", color);
  $("[data-name]", row).textContent = name;
  $("[data-types]", form).append(row);
  $("kbd", row).textContent = types().length < 10 ? types().length : "";
  return radio;
}

/** The numbers of a mask whose types are all among those here. */
function stored(address, byName) {
  const names = types().map((each) => each.value);
  const known = Object.entries(JSON.parse(byName)).map(([name, color]) => [color, names.indexOf(name) + 1]);
  return readMask(address, pixels.width, pixels.height, [[ground, 0], ...known]);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (pixels) close();
  const sent = new FormData(form, event.submitter);
  if (isTouched) { // otherwise the mask that is there stays as it is
    const counts = pixels.counts;
    const used = types().filter((_, index) => counts[index + 1]);
    sent.set("colors", JSON.stringify(Object.fromEntries(used.map((each) => [each.value, each.dataset.color]))));
    if (used.length && sent.get("label") !== "normal") {
      sent.set("mask", await writeMask(pixels.numbers, pixels.width, [ground, ...colors()]), "mask.png");
    }
  }
  const headers = { "x-relook-token": $('meta[name="relook-token"]').content };
  const answer = await fetch(form.action, { method: "POST", headers, body: sent }).catch(() => null);
  if (!answer?.ok) { problem(answer ? await answer.text() : "The console does not answer; is it running?"); return; }
  isTouched = false;
  location.assign(answer.url);
});
window.addEventListener("beforeunload", (event) => { if (isTouched) event.preventDefault(); });

async function begin() {
  const base = $(".base", form);
  await base.decode();
  pixels = new Pixels(canvas, base.naturalWidth, base.naturalHeight, colors);
  marks.setAttribute("viewBox", `0 0 ${pixels.width} ${pixels.height}`);
  if (canvas.dataset.stored) {
    await stored(canvas.dataset.stored, canvas.dataset.colors).then(
      (numbers) => pixels.start(numbers),
      () => problem("The mask that is there cannot be shown; what you paint takes its place."),
    );
  }
  view.pans = false;
  area.dataset.tool = tool();
  for (const each of $$("[data-needs-script]", form)) each.hidden = false;
  dim();
  tell();
  mark();
}
begin().catch(() => problem("The picture cannot be shown, so that it cannot be painted on."));
