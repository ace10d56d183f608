// Keys, live arrival, and the picture's layers. Every page works without it.
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/** Tell what happened, where screen readers hear it too. */
function say(text) {
  const status = $("#status");
  status.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { status.textContent = ""; }, 4000);
}

// Tables that are too wide for the screen scroll, by keys too
function reachTables() {
  for (const table of $$("table")) {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0; else table.removeAttribute("tabindex");
  }
}
addEventListener("resize", reachTables);
reachTables();

// Cards: next, previous, open
const cards = () => $$("#cards .card");
const select = (card) => {
  for (const each of cards()) each.classList.toggle("selected", each === card);
  if (card) { $("a", card).focus({ preventScroll: true }); card.scrollIntoView({ block: "nearest" }); }
};
function step(by) {
  const all = cards();
  const now = all.findIndex((each) => each.classList.contains("selected"));
  select(all[Math.min(Math.max(now + by, 0), all.length - 1)]);
}

function go(selector, by) {
  const link = $(selector);
  if (link) link.click();
  else step(by);
}

// One inspection: layers, opacity, zoom
const viewer = $(".viewer");
const layers = viewer ? $$(".layers", viewer) : []; // two of them where the nearest normal image lies beside
const view = { scale: 1, x: 0, y: 0, pans: true }; // where one finger or the mouse paints, it does not pan
function show(name, on) {
  const box = $(`[data-shows="${name}"]`);
  const layer = $(`[data-layer="${name}"]`);
  if (!box || !layer) return;
  box.checked = on ?? !box.checked;
  layer.hidden = !box.checked;
}
function draw() {
  for (const each of layers) each.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
}
function zoom(factor, x, y) {
  if (!layers.length) return;
  if (!factor) { Object.assign(view, { scale: 1, x: 0, y: 0 }); draw(); return; }
  const pane = $(".pane", viewer).getBoundingClientRect();
  const [px, py] = [x ?? pane.width / 2, y ?? pane.height / 2];
  const scale = Math.min(Math.max(view.scale * factor, 1), 32);
  view.x = px - (px - view.x) * (scale / view.scale);
  view.y = py - (py - view.y) * (scale / view.scale);
  view.scale = scale;
  if (scale === 1) Object.assign(view, { x: 0, y: 0 });
  draw();
}
if (layers.length) {
  const area = $("[data-zoom]", viewer);
  for (const box of $$("[data-shows]")) box.addEventListener("change", () => show(box.dataset.shows, box.checked));
  $("[data-opacity]")?.addEventListener("input", (event) => {
    for (const layer of $$("[data-layer]")) layer.style.opacity = event.target.value / 100;
  });
  for (const button of $$("[data-step]")) button.addEventListener("click", () => zoom(Number(button.dataset.step)));
  area.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = (event.target.closest(".pane") ?? $(".pane", area)).getBoundingClientRect();
    zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  const fingers = new Map();
  area.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    area.setPointerCapture(event.pointerId);
  });
  area.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 2) {
      const [a, b] = [...fingers.values()];
      const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      fingers.set(event.pointerId, event);
      const [c, d] = [...fingers.values()];
      const [x, y] = [(c.clientX + d.clientX) / 2, (c.clientY + d.clientY) / 2];
      const box = (document.elementFromPoint(x, y)?.closest(".pane") ?? $(".pane", area)).getBoundingClientRect();
      view.x += x - (a.clientX + b.clientX) / 2;
      view.y += y - (a.clientY + b.clientY) / 2;
      const factor = Math.hypot(c.clientX - d.clientX, c.clientY - d.clientY) / (apart || 1);
      zoom(factor, x - box.left, y - box.top);
    } else if (view.pans && view.scale > 1) {
      view.x += event.clientX - before.clientX;
      view.y += event.clientY - before.clientY;
      draw();
    }
    fingers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, (event) => fingers.delete(event.pointerId));
}

// Keys; never while something is typed
const keys = {
  j: () => go("[data-older]", 1),
  k: () => go("[data-newer]", -1),
  m: () => show("mask"),
  h: () => show("heat"),
  i: () => show("regions"),
  n: () => $("[data-nearest]")?.click(),
  0: () => zoom(0),
  "+": () => zoom(1.25),
  "-": () => zoom(0.8),
  r: () => $('[data-review="right"]')?.click(),
  w: () => $('[data-review="wrong"]')?.click(),
  u: () => $('[data-review="unsure"]')?.click(),
  l: () => $("[data-label]")?.click(),
  "/": () => $(".filters select, .filters input")?.focus(),
  "?": () => $("#keys").showModal(),
  Escape: () => ($("[data-back]") ?? $('a[rel="up"]'))?.click(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox], [type=radio], [type=range]), select, textarea, dialog")) return;
  const choosing = $("[data-choices][open]");
  if (choosing && /^[0-9]$/.test(event.key)) { $(`[data-key="${event.key}"]`, choosing)?.click(); event.preventDefault(); return; }
  const act = keys[event.key];
  if (act) { event.preventDefault(); act(); }
});
$("[data-keys]")?.addEventListener("click", keys["?"]);
$("[data-back]")?.addEventListener("click", (event) => {
  if (document.referrer.startsWith(`${location.origin}/inspections`)) { event.preventDefault(); history.back(); }
});
for (const button of $$("[data-opens]")) button.addEventListener("click", () => {
  const opened = document.getElementById(button.dataset.opens);
  opened.hidden = !opened.hidden;
  if (!opened.hidden) $("input, button", opened)?.focus();
});

// Live: what is newer than the newest, every two seconds, while the page is looked at
const live = $("#cards[data-live]");
if (live) setInterval(async () => {
  if (document.hidden) return;
  const newest = $(".card", live)?.dataset.at ?? "";
  const address = new URL(live.dataset.live, location.origin);
  address.searchParams.set("newer", newest);
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) return;
  const arrived = document.createElement("template");
  arrived.innerHTML = await answer.text();
  const known = new Set(cards().map((each) => each.dataset.id));
  const fresh = $$(".card", arrived.content).filter((each) => !known.has(each.dataset.id));
  if (!fresh.length) return;
  live.prepend(...fresh);
  $(".empty")?.remove();
  for (const old of cards().slice(120)) old.remove();
  say(fresh.length === 1 ? "1 new inspection" : `${fresh.length} new inspections`);
}, 2000);

// Work that goes on elsewhere: asked for every two seconds while the page is looked at, until it is over
const working = () => $("[data-running]");
if (working()) setInterval(async () => {
  const part = working();
  if (document.hidden || !part) return;
  const answer = await fetch(part.dataset.running).catch(() => null);
  if (!answer?.ok) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
  if (now?.dataset.running) part.replaceWith(now); else location.reload();
}, 2000);

// Try: pictures that are dropped on the frame
const frame = $("[data-drop]");
if (frame) {
  const files = $('input[type="file"]', frame);
  for (const name of ["dragover", "dragleave", "drop"]) frame.addEventListener(name, (event) => {
    event.preventDefault();
    frame.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) { files.files = event.dataTransfer.files; frame.requestSubmit(); }
  });
}

// The threshold's slider: what it would do is drawn again as it moves; nothing is kept until the button is pressed
const slider = $("[data-slider]");
if (slider) {
  slider.addEventListener("input", (event) => {
    $("output", slider).textContent = Number(event.target.value).toFixed(3);
    clearTimeout(say.slider);
    say.slider = setTimeout(async () => {
      const address = `${slider.getAttribute("action")}?threshold=${event.target.value}`;
      const answer = await fetch(address);
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      $("#outcome").replaceWith(page.querySelector("#outcome"));
      reachTables();
      history.replaceState(null, "", address);
    }, 150);
  });
}

export { $, $$, keys, say, view };
