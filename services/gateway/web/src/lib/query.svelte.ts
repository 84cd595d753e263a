/** The query that one puts together: a typed word or spoken examples, and stretches of recordings with either. */

import type { Filter, QueryMessage, SearchMessage } from './types';
import { base64 } from './wav';

export interface SpokenPart {
  kind: 'sound';
  id: number;
  name: string;
  file: Blob;
  /** The stretch that is meant; all of it without one. */
  start?: number;
  end?: number;
}

export interface StretchPart {
  kind: 'stretch';
  id: number;
  recording: string;
  path: string;
  start: number;
  end: number;
  channel: number;
}

export type Part = SpokenPart | StretchPart;
type NewPart = Omit<SpokenPart, 'id'> | Omit<StretchPart, 'id'>;

export const MAX_PARTS = 16;
export const DEFAULT_TOP = 50;

let lastId = 0;

/** What limits a search, as one fills it in. */
export class Limits {
  paths = $state('');
  folders = $state('');
  tags = $state<Record<string, string>>({});
  dateFrom = $state('');
  dateTo = $state('');
  channel = $state('');
  recordings = $state<{ id: string; path: string }[]>([]);

  get count(): number {
    const given = [this.paths, this.folders, this.dateFrom, this.dateTo, this.channel].filter((one) => one.trim());
    return given.length + Object.keys(this.tags).length + (this.recordings.length ? 1 : 0);
  }

  get filter(): Filter | undefined {
    const filter: Filter = {};
    if (this.paths.trim()) filter.paths = words(this.paths);
    if (this.folders.trim()) filter.folders = words(this.folders);
    if (Object.keys(this.tags).length) filter.tags = { ...this.tags };
    if (this.dateFrom.trim()) filter.date_from = this.dateFrom.trim();
    if (this.dateTo.trim()) filter.date_to = this.dateTo.trim();
    return Object.keys(filter).length ? filter : undefined;
  }

  clear(): void {
    this.paths = this.folders = this.dateFrom = this.dateTo = this.channel = '';
    this.tags = {};
    this.recordings = [];
  }

  /** Returns the message with these limits set. */
  onto(message: SearchMessage): SearchMessage {
    const limited = { ...message };
    if (this.filter) limited.filter = this.filter;
    if (this.recordings.length) limited.recordings = this.recordings.map((one) => one.id);
    if (this.channel.trim()) limited.channel = Number(this.channel);
    return limited;
  }
}

function words(text: string): string[] {
  return text.split('\n').map((one) => one.trim()).filter(Boolean);
}

export class Query {
  text = $state('');
  label = $state('');
  language = $state('en');
  parts = $state.raw<Part[]>([]);
  top = $state(DEFAULT_TOP);
  speeds = $state(1);
  minScore = $state('');
  mode = $state('sound');

  get empty(): boolean {
    return !this.text.trim() && !this.parts.length;
  }

  /** A typed word is said by a synthesiser; the contract joins no other sounds to it, only stretches. */
  get mixed(): boolean {
    return Boolean(this.text.trim()) && this.parts.some((part) => part.kind === 'sound');
  }

  get name(): string {
    const first = this.parts[0];
    const ofPart = first ? (first.kind === 'sound' ? first.name : `${first.path.split('/').pop()} ${first.start.toFixed(2)}`) : '';
    return this.label.trim() || this.text.trim() || ofPart;
  }

  add(part: NewPart): void {
    if (part.kind === 'stretch' && this.parts.some((one) => one.kind === 'stretch' && same(one, part))) return;
    this.parts = [...this.parts, { ...part, id: (lastId += 1) } as Part];
  }

  change(id: number, change: { start?: number; end?: number }): void {
    this.parts = this.parts.map((part) => (part.id === id ? ({ ...part, ...change } as Part) : part));
  }

  remove(id: number): void {
    this.parts = this.parts.filter((part) => part.id !== id);
  }

  clear(): void {
    this.text = this.label = '';
    this.parts = [];
  }

  async message(): Promise<QueryMessage> {
    const examples = await Promise.all(
      this.parts.map(async (part) =>
        part.kind === 'stretch'
          ? { recording: part.recording, start: part.start, end: part.end, ...(part.channel ? { channel: part.channel } : {}) }
          : {
              audio: await base64(part.file),
              filename: part.name,
              ...(part.start === undefined ? {} : { start: part.start, end: part.end! }),
            },
      ),
    );
    const message: QueryMessage = { label: this.name };
    if (examples.length) message.examples = examples;
    if (this.text.trim()) {
      message.text = this.text.trim();
      message.language = this.language;
    }
    return message;
  }

  /** Returns the options of a search for any queries. */
  options(queries: QueryMessage[]): SearchMessage {
    const message: SearchMessage = { queries, top: this.top, all_hits: true };
    if (this.speeds > 1) message.speed_variants = this.speeds;
    if (this.minScore.trim()) message.min_score = Number(this.minScore);
    if (this.mode !== 'sound') message.mode = this.mode;
    return message;
  }
}

function same(a: { recording: string; start: number; end: number }, b: typeof a): boolean {
  return a.recording === b.recording && Math.abs(a.start - b.start) < 0.02 && Math.abs(a.end - b.end) < 0.02;
}
