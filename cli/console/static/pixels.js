// Paint over a picture: of each of its pixels the number of a type, 0 for none. Strokes have hard edges, so that what is
// saved holds the colours of its types exactly; each can be taken back.
import { channels } from "./masks.js";

const KEPT_BYTES = 64e6; // of what can be taken back

export class Pixels {
  /** `colors` answers with those of the types, from number 1 on. */
  constructor(canvas, width, height, colors) {
    [canvas.width, canvas.height] = [width, height];
    Object.assign(this, { width, height, colors, context: canvas.getContext("2d") });
    this.numbers = new Uint8Array(width * height);
    this.before = null; // all of them, while a stroke is drawn
    this.drawn = null; // the box that the stroke may have changed: left, top, right, bottom
    this.undoable = [];
    this.redoable = [];
  }

  /** How many pixels have each number. */
  get counts() {
    const counts = new Array(this.colors().length + 1).fill(0);
    for (let at = 0; at < this.numbers.length; at++) counts[this.numbers[at]]++;
    return counts;
  }

  begin() {
    this.before = this.numbers.slice();
    this.drawn = [this.width, this.height, 0, 0];
  }

  /** Whether the stroke met the picture. */
  end() {
    const [left, top, right, bottom] = this.drawn;
    const bytes = left < right && top < bottom ? this.#cut(this.before, this.drawn) : null;
    this.before = null;
    if (!bytes) return false;
    this.undoable.push({ box: this.drawn, bytes });
    while (this.undoable.reduce((sum, each) => sum + each.bytes.length, 0) > KEPT_BYTES && this.undoable.length > 1) this.undoable.shift();
    this.redoable.length = 0;
    return true;
  }

  /** As if the stroke had not been begun. */
  giveUp() {
    this.numbers = this.before;
    this.before = null;
    this.#show(this.drawn);
  }

  undo() { return this.#step(this.undoable, this.redoable); }

  redo() { return this.#step(this.redoable, this.undoable); }

  /** A line with round ends. */
  line(a, b, radius, number) {
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const length = dx * dx + dy * dy || 1;
    const box = [Math.min(a.x, b.x) - radius, Math.min(a.y, b.y) - radius, Math.max(a.x, b.x) + radius, Math.max(a.y, b.y) + radius];
    this.#fill(box, number, (x, y) => {
      const along = Math.min(Math.max(((x - a.x) * dx + (y - a.y) * dy) / length, 0), 1);
      return (a.x + along * dx - x) ** 2 + (a.y + along * dy - y) ** 2 <= radius * radius;
    });
  }

  polygon(points, number) {
    const [xs, ys] = [points.map((each) => each.x), points.map((each) => each.y)];
    this.#fill([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], number, (x, y) => {
      let isInside = false;
      points.forEach((a, index) => {
        const b = points[(index + 1) % points.length];
        if (a.y > y !== b.y > y && x < a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x)) isInside = !isInside;
      });
      return isInside;
    });
  }

  /** Others in the place of all of them, as one stroke. */
  replace(numbers) {
    this.begin();
    this.numbers.set(numbers);
    this.drawn = [0, 0, this.width, this.height];
    this.#show(this.drawn);
    this.end();
  }

  /** What there is to begin with, and no stroke. */
  start(numbers) {
    this.numbers.set(numbers);
    this.#show([0, 0, this.width, this.height]);
  }

  /** Every pixel of which `isInside(x, y)` says so, x and y at its middle. */
  #fill([left, top, right, bottom], number, isInside) {
    [left, top] = [Math.max(Math.floor(left), 0), Math.max(Math.floor(top), 0)];
    [right, bottom] = [Math.min(Math.ceil(right), this.width), Math.min(Math.ceil(bottom), this.height)];
    if (left >= right || top >= bottom) return;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) if (isInside(x + 0.5, y + 0.5)) this.numbers[y * this.width + x] = number;
    }
    const drawn = this.drawn;
    this.drawn = [Math.min(drawn[0], left), Math.min(drawn[1], top), Math.max(drawn[2], right), Math.max(drawn[3], bottom)];
    this.#show([left, top, right, bottom]);
  }

  #show([left, top, right, bottom]) {
    if (left >= right || top >= bottom) return;
    const pixels = new ImageData(right - left, bottom - top);
    const shown = new Uint32Array(pixels.data.buffer);
    const colors = [0, ...this.colors().map((color) => new Uint32Array(new Uint8Array([...channels(color), 255]).buffer)[0])];
    let at = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) shown[at++] = colors[this.numbers[y * this.width + x]];
    this.context.putImageData(pixels, left, top);
  }

  #cut(from, [left, top, right, bottom]) {
    const bytes = new Uint8Array((right - left) * (bottom - top));
    for (let y = top; y < bottom; y++) bytes.set(from.subarray(y * this.width + left, y * this.width + right), (y - top) * (right - left));
    return bytes;
  }

  #step(from, to) {
    if (this.before || !from.length) return false;
    const { box, bytes } = from.pop();
    const [left, top, right, bottom] = box;
    to.push({ box, bytes: this.#cut(this.numbers, box) });
    for (let y = top; y < bottom; y++) {
      this.numbers.set(bytes.subarray((y - top) * (right - left), (y - top + 1) * (right - left)), y * this.width + left);
    }
    this.#show(box);
    return true;
  }
}
