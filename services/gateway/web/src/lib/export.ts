/** Files that the server writes, handed to the browser's downloads. */

import * as api from './api';
import { download, givenName } from './format';

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

export async function exportAs(archive: string, format: string, what: Record<string, unknown>, name: string): Promise<void> {
  const response = await api.exported(archive, { format, ...what });
  download(await response.blob(), givenName(response.headers.get('Content-Disposition'), `${name}.${format}`));
}
