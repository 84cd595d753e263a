/** wavesurfer.js as the page sets it up. */

import WaveSurfer, { type WaveSurferOptions } from 'wavesurfer.js';
import { channels, colour } from './peaks';

const STEPS = 256;

export interface Mark {
  id: string;
  start: number;
  end: number;
  label: string;
  kind: 'hit' | 'uncertain' | 'confirmed' | 'rejected' | 'selection';
}

const KIND_COLOURS = { hit: '--accent', uncertain: '--warn', confirmed: '--good', rejected: '--bad', selection: '--text' } as const;

function nonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
}

/** Returns the rgba of a colour of the page, so far through. */
export function clear(name: string, alpha: number): string {
  const [red, green, blue] = channels(name);
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

export function markColour(kind: Mark['kind'], alpha = 0.2): string {
  return clear(KIND_COLOURS[kind], alpha);
}

export function create(container: HTMLElement, options: Partial<WaveSurferOptions>): WaveSurfer {
  return WaveSurfer.create({
    container,
    waveColor: colour('--wave'),
    progressColor: colour('--wave-hit'),
    cursorColor: colour('--text'),
    cursorWidth: 1,
    cspNonce: nonce(),
    hideScrollbar: true,
    autoScroll: false,
    autoCenter: false,
    ...options,
  });
}

/** Returns colours from that of the surface to that of the text, for a spectrogram of either appearance. */
export function spectrogramColours(): number[][] {
  const parts = (name: string) => channels(name).map((value) => value / 255);
  const stops = [parts('--surface'), parts('--wave-hit'), parts('--text')];
  return Array.from({ length: STEPS }, (_, step) => {
    const place = (step / (STEPS - 1)) ** 0.9 * 2;
    const from = stops[Math.min(1, Math.floor(place))]!;
    const to = stops[Math.min(1, Math.floor(place)) + 1]!;
    const share = place - Math.min(1, Math.floor(place));
    return [...from.map((value, index) => value + share * (to[index]! - value)), 1];
  });
}
