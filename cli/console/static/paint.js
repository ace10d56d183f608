// Painting on a picture: brush, polygon, eraser, one colour a type. The canvas has the image's own pixels.
import { change, say, token } from "./console.js";

const form = document.querySelector("[data-painter]");
const canvas = form.querySelector("canvas");
const image = form.querySelector(".layers .base");
const area = form.querySelector("[data-zoom]");
const context = canvas.getContext("2d", { willReadFrequently: true });
const past = [];
let corners = [];
let last = null;

const chosen = (name) => form.querySelector(`[name="${name}"]:checked`)?.value;
const color = () => chosen("color") ?? "#000000";
const tool = () => chosen("tool");
const size = () => Number(form.querySelector('[name="size"]').value);

async function begin() {
  await image.decode();
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const before = canvas.dataset.before;
  if (before) {
    const mask = new Image();
    mask.src = before;
    await mask.decode().then(() => { context.drawImage(mask, 0, 0, canvas.width, canvas.height); clearWhite(); }).catch(() => {});
  }
}

/** A stored mask is painted on white; here what is not painted is transparent. */
function clearWhite() {
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    if (pixels.data[at] > 250 && pixels.data[at + 1] > 250 && pixels.data[at + 2] > 250) pixels.data[at + 3] = 0;
  }
  context.putImageData(pixels, 0, 0);
}

/** The pixel of the image below the pointer; the canvas is fitted into its box with its proportions kept. */
function pixel(event) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const left = box.left + (box.width - canvas.width * scale) / 2;
  const top = box.top + (box.height - canvas.height * scale) / 2;
  return { x: (event.clientX - left) / scale, y: (event.clientY - top) / scale };
}

function remember() {
  past.push(context.getImageData(0, 0, canvas.width, canvas.height));
  if (past.length > 20) past.shift();
}

function stroke(from, to) {
  context.globalCompositeOperation = tool() === "eraser" ? "destination-out" : "source-over";
  context.strokeStyle = color();
  context.lineWidth = size();
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y + 0.01);
  context.stroke();
  context.globalCompositeOperation = "source-over";
}

function closePolygon() {
  if (corners.length < 3) { corners = []; return; }
  remember();
  fill(corners, color());
  corners = [];
}

function fill(points, paint) {
  context.fillStyle = paint;
  context.beginPath();
  points.forEach((each, index) => (index ? context.lineTo(each.x, each.y) : context.moveTo(each.x, each.y)));
  context.closePath();
  context.fill();
}

area.dataset.paints = "yes";
canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  event.preventDefault();
  const at = pixel(event);
  if (tool() === "polygon") {
    const first = corners[0];
    if (first && Math.hypot(at.x - first.x, at.y - first.y) < canvas.width / 60) { closePolygon(); return; }
    corners.push(at);
    say(`${corners.length} corners; a click on the first one, or Enter, closes it`);
    return;
  }
  remember();
  canvas.setPointerCapture(event.pointerId);
  last = at;
  stroke(at, at);
});
canvas.addEventListener("pointermove", (event) => {
  if (!last) return;
  const at = pixel(event);
  stroke(last, at);
  last = at;
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input[type=text], textarea")) return;
  if (event.key === "Enter" && corners.length) { event.preventDefault(); closePolygon(); }
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); undo(); }
});
const undo = () => { const before = past.pop(); if (before) context.putImageData(before, 0, 0); corners = []; };
form.querySelector("[data-undo]").addEventListener("click", undo);
form.querySelector("[data-clear]").addEventListener("click", () => { remember(); context.clearRect(0, 0, canvas.width, canvas.height); });

/** Every painted pixel in exactly one of the palette's colours, on white: strokes have soft edges, masks have none. */
function mask() {
  const palette = [...form.querySelectorAll('[name="color"]')].map((each) => each.value.match(/\w\w/g).map((part) => parseInt(part, 16)));
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const data = pixels.data;
  for (let at = 0; at < data.length; at += 4) {
    let best = [255, 255, 255];
    if (data[at + 3] > 127) {
      let least = Infinity;
      for (const each of palette) {
        const apart = (data[at] - each[0]) ** 2 + (data[at + 1] - each[1]) ** 2 + (data[at + 2] - each[2]) ** 2;
        if (apart < least) { least = apart; best = each; }
      }
    }
    [data[at], data[at + 1], data[at + 2], data[at + 3]] = [...best, 255];
  }
  const sheet = new OffscreenCanvas(canvas.width, canvas.height);
  sheet.getContext("2d").putImageData(pixels, 0, 0);
  return sheet.convertToBlob({ type: "image/png" });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (corners.length) closePolygon();
  const fields = new FormData(form);
  fields.set("mask", await mask(), "mask.png");
  fields.set("token", token);
  try {
    const answer = await change(form.getAttribute("action") || location.href, fields);
    location.assign(answer.url);
  } catch (error) {
    say(error.message);
  }
});
begin();
