/** Small pictures as models take them: PNG files of an exact size. */

import { base64 } from './wav';

/** Returns a canvas of an exact size with a picture drawn over all of it. */
export async function fitted(file: Blob, width: number, height: number, ground: string): Promise<HTMLCanvasElement> {
  const bitmap = await createImageBitmap(file);
  const canvas = blank(width || bitmap.width, height || bitmap.height, ground);
  const context = canvas.getContext('2d')!;
  context.imageSmoothingQuality = 'high';
  const scale = Math.min(canvas.width / bitmap.width, canvas.height / bitmap.height);
  const [across, down] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (canvas.width - across) / 2, (canvas.height - down) / 2, across, down);
  return canvas;
}

export function blank(width: number, height: number, ground: string): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = ground;
  context.fillRect(0, 0, width, height);
  return canvas;
}

/** Returns a canvas as a PNG file in base64: grey where the model knows one channel, else colour without transparency. */
export async function png(canvas: HTMLCanvasElement, channels: number): Promise<string> {
  return base64(new Blob([(await packed(canvas, channels)) as BlobPart], { type: 'image/png' }));
}

async function packed(canvas: HTMLCanvasElement, channels: number): Promise<Uint8Array> {
  const { width, height } = canvas;
  const pixels = canvas.getContext('2d')!.getImageData(0, 0, width, height).data;
  const grey = channels === 1;
  const row = 1 + width * (grey ? 1 : 3);
  const raw = new Uint8Array(row * height);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const from = 4 * (y * width + x);
      const [red, green, blue] = [pixels[from]!, pixels[from + 1]!, pixels[from + 2]!];
      if (grey) raw[y * row + 1 + x] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
      else raw.set([red, green, blue], y * row + 1 + 3 * x);
    }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, grey ? 0 : 2, 0, 0, 0], 8);
  const parts = [
    Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
    chunk('IHDR', header),
    chunk('IDAT', await deflated(raw)),
    chunk('IEND', new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}

async function deflated(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const CRC = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

function chunk(name: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, body.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(body, 8);
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(4, 8 + body.length)) crc = CRC[(crc ^ byte) & 255]! ^ (crc >>> 8);
  view.setUint32(8 + body.length, (crc ^ 0xffffffff) >>> 0);
  return bytes;
}
