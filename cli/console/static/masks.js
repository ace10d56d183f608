// Masks as PNG, to and from the number of each pixel's type.

/** Red, green and blue of `#RRGGBB`. */
export const channels = (color) => color.match(/\w\w/g).map((part) => parseInt(part, 16));

/** The numbers of a mask's pixels at a size, by whichever colour is nearest: `known` are pairs of colour and number. */
export async function readMask(address, width, height, known) {
  const mask = new Image();
  mask.src = address;
  await mask.decode();
  const sheet = new OffscreenCanvas(width, height).getContext("2d");
  sheet.imageSmoothingEnabled = false;
  sheet.drawImage(mask, 0, 0, width, height);
  const { data } = sheet.getImageData(0, 0, width, height);
  const palette = known.map(([color, number]) => [...channels(color), number]);
  const nearest = new Map();
  return new Uint8Array(width * height).map((_, at) => {
    const [red, green, blue] = [data[4 * at], data[4 * at + 1], data[4 * at + 2]];
    const color = (red << 16) | (green << 8) | blue;
    if (!nearest.has(color)) {
      const apart = (each) => (each[0] - red) ** 2 + (each[1] - green) ** 2 + (each[2] - blue) ** 2;
      nearest.set(color, palette.reduce((best, each) => (apart(each) < apart(best) ? each : best))[3]);
    }
    return nearest.get(color);
  });
}

const CRC = new Uint32Array(256).map((_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? 0xedb88320 ^ (number >>> 1) : number >>> 1;
  return number;
});

function chunk(name, bytes) {
  const framed = new DataView(new ArrayBuffer(bytes.length + 12));
  const content = new Uint8Array(framed.buffer, 4, bytes.length + 4);
  content.set(new TextEncoder().encode(name));
  content.set(bytes, 4);
  framed.setUint32(0, bytes.length);
  framed.setUint32(bytes.length + 8, ~content.reduce((crc, byte) => CRC[(crc ^ byte) & 255] ^ (crc >>> 8), ~0));
  return framed.buffer;
}

/** A PNG of the colours by number. Written here, since some browsers change what is read from a canvas. */
export async function writeMask(numbers, width, colors) {
  const height = numbers.length / width;
  const rows = new Uint8Array((width + 1) * height); // each begins with the number of its filter, 0 for none
  for (let y = 0; y < height; y++) rows.set(numbers.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint16(8, 0x0803); // 8 bits, of a palette
  return new Blob([
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("PLTE", new Uint8Array(colors.flatMap(channels))),
    chunk("IDAT", new Uint8Array(await new Response(packed).arrayBuffer())),
    chunk("IEND", new Uint8Array()),
  ], { type: "image/png" });
}
