/** Files that the server writes, handed to the browser's downloads. */

import * as api from './api';
import { download, givenName } from './format';
import type { Hit, Verdict } from './types';

export const FORMATS = [
  ['csv', 'CSV'],
  ['tsv', 'TSV'],
  ['jsonl', 'JSON Lines'],
  ['eaf', 'ELAN (EAF)'],
  ['textgrid', 'Praat TextGrid'],
  ['srt', 'SubRip (SRT)'],
  ['vtt', 'WebVTT'],
  ['audacity', 'Audacity labels'],
] as const;

export interface Exported {
  query: string;
  recording: string;
  path: string;
  start: number;
  end: number;
  score: number;
  p_correct: number;
  detected: boolean;
  channel: number;
  correct?: boolean;
  author?: string;
}

/** Returns a hit as it is exported, with the verdict on it. */
export function exportedHit(label: string, hit: Hit, verdict?: Verdict): Exported {
  const { recording, path, start, end, score, p_correct, detected, channel } = hit;
  const judged = verdict ? { correct: verdict.correct, author: verdict.author } : {};
  return { query: label, recording, path, start, end, score, p_correct, detected, channel, ...judged };
}

export async function exportAs(archive: string, format: string, hits: Exported[], name: string): Promise<void> {
  const response = await api.exported(archive, { format, hits });
  download(await response.blob(), givenName(response.headers.get('Content-Disposition'), `${name}.${format}`));
}
