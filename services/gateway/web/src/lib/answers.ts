/** What models answer, whichever call it came from. */

import { blobOf } from './wav';

export type Answer = Record<string, unknown>;

export interface Sound {
  wav?: Blob;
  samples?: Float32Array;
  rate: number;
}

export interface Look {
  text: string;
  columns: number;
  shares: number[];
}

export interface Made {
  pictures: string[];
  clips: string[][];
  sounds: Sound[];
  texts: string[];
  attention: Look[];
  words: { word: string; similarity: number }[];
  probabilities: number[][];
  nats: number[];
  codes: number[][];
  unknown: string[];
  rest: string;
}

const KNOWN = ['pictures', 'clips', 'sounds', 'sound', 'texts', 'attention', 'neighbours', 'answers', 'probabilities', 'nats', 'codes', 'vectors', 'unknown'];

function list<T>(answer: Answer, name: string, inner = ''): T[] {
  const value = answer[name];
  if (Array.isArray(value)) return value as T[];
  const nested = value && typeof value === 'object' ? (value as Answer)[inner || name] : undefined;
  return Array.isArray(nested) ? (nested as T[]) : [];
}

function numbers(value: unknown): number[] {
  return Array.isArray(value) ? (value as number[]) : (((value as Answer | null)?.['values'] as number[] | undefined) ?? []);
}

function frames(value: unknown): string[] {
  return Array.isArray(value) ? (value as string[]) : (((value as Answer | null)?.['png'] as string[] | undefined) ?? []);
}

export function modelAnswer(answer: Answer): Made {
  const rest = Object.fromEntries(
    Object.entries(answer).filter(([key, value]) => !KNOWN.includes(key) && value !== null && !(Array.isArray(value) && !value.length)),
  );
  return {
    pictures: list<string>(answer, 'pictures', 'png'),
    clips: list<unknown>(answer, 'clips').map(frames),
    sounds: [
      ...list<string>(answer, 'sounds', 'wav').map((one) => ({ wav: blobOf(one, 'audio/wav'), rate: 0 })),
      ...list<Sound>(answer, 'sound'),
    ],
    texts: list<string>(answer, 'texts'),
    attention: list<Look>(answer, 'attention'),
    words: [...list<{ word: string; similarity: number }>(answer, 'neighbours'), ...list<{ word: string; similarity: number }>(answer, 'answers')],
    probabilities: list<unknown>(answer, 'probabilities').map(numbers),
    nats: list<number>(answer, 'nats'),
    codes: [...list<unknown>(answer, 'codes'), ...list<unknown>(answer, 'vectors')].map(numbers),
    unknown: list<string>(answer, 'unknown'),
    rest: Object.keys(rest).length ? JSON.stringify(rest, null, 2) : '',
  };
}

interface StreamedSound {
  pcm?: string;
  rate?: number;
}

/** Returns an answer with one more part of a stream: pictures are added, sounds and texts go on. */
export function withPart(answer: Answer, part: Answer): Answer {
  const png = part['png'] as string | null;
  if (png) return { ...answer, pictures: [...list<string>(answer, 'pictures'), png] };
  const sound = part['sound'] as StreamedSound | null;
  if (sound?.pcm) {
    const bytes = Uint8Array.from(atob(sound.pcm), (one) => one.charCodeAt(0));
    const more = new Float32Array(bytes.buffer);
    const before = list<Sound>(answer, 'sound')[0]?.samples ?? new Float32Array();
    const samples = new Float32Array(before.length + more.length);
    samples.set(before);
    samples.set(more, before.length);
    return { ...answer, sound: [{ samples, rate: sound.rate ?? 16000 }] };
  }
  const wav = part['wav'] as string | null;
  if (wav) return { ...answer, sounds: [...list<string>(answer, 'sounds'), wav] };
  const text = part['text'] as string | null;
  if (text === null || text === undefined) return answer;
  const next: Answer = { ...answer, texts: [(list<string>(answer, 'texts')[0] ?? '') + text] };
  const attention = part['attention'] as { shape?: number[]; shares?: number[] } | null;
  if (attention?.shares?.length) {
    const most = Math.max(...attention.shares, 1e-9);
    const look: Look = { text: text.trim(), columns: attention.shape?.[1] ?? attention.shares.length, shares: attention.shares.map((one) => one / most) };
    next['attention'] = [...list<Look>(answer, 'attention'), look];
  }
  return next;
}
