/** Waveforms: fetched a few at a time, drawn on canvases. */

import { peaks } from './api';
import type { Peaks } from './types';

const AT_ONCE = 6;
const MAX_KEPT = 400;
const FULL_SCALE = 128;

const kept = new Map<string, Promise<Peaks>>();
const waiting: (() => void)[] = [];
let running = 0;

async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** Returns a stretch's waveform, from those fetched lately where it is among them. */
export function waveform(archive: string, recording: string, start: number, end: number, buckets: number): Promise<Peaks> {
  const key = `${archive}/${recording}/${start.toFixed(3)}/${end.toFixed(3)}/${buckets}`;
  let found = kept.get(key);
  if (!found) {
    found = turn(() => peaks(archive, recording, start, end, buckets));
    found.catch(() => kept.delete(key));
    kept.set(key, found);
    if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
  }
  return found;
}

/** Returns the two channels that wavesurfer.js draws upwards and downwards. */
export function halves(found: Peaks): [number[], number[]] {
  return [found.max.map((value) => value / FULL_SCALE), found.min.map((value) => value / FULL_SCALE)];
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Returns red, green and blue of a colour of the page, 0 to 255; minifying may have shortened it to three digits. */
export function channels(name: string): [number, number, number] {
  const digits = colour(name).replace('#', '');
  const long = digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits;
  const value = parseInt(long, 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Draws a waveform, the marked share of it in the second colour. */
export function draw(canvas: HTMLCanvasElement, found: { min: number[]; max: number[] }, from: number, to: number): void {
  const ratio = devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext('2d')!;
  context.clearRect(0, 0, width, height);
  const count = found.max.length;
  const largest = Math.max(8, ...found.max.map(Math.abs), ...found.min.map(Math.abs));
  context.fillStyle = colour('--mark');
  context.fillRect(from * width, 0, (to - from) * width, height);
  for (let index = 0; index < count; index += 1) {
    const x = (index / count) * width;
    const inside = (index + 0.5) / count >= from && (index + 0.5) / count <= to;
    const top = (height / 2) * (1 - (0.92 * found.max[index]!) / largest);
    const bottom = (height / 2) * (1 - (0.92 * found.min[index]!) / largest);
    context.fillStyle = colour(inside ? '--wave-hit' : '--wave');
    context.fillRect(x, top, Math.max(ratio, width / count - ratio * 0.5), Math.max(ratio, bottom - top));
  }
}
