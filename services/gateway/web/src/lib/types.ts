/** What the HTTP API answers, as the page uses it. Times are seconds. */

export interface Archive {
  name: string;
  encoder: string;
  recordings: number;
  indexed_recordings: number;
  audio_seconds: number;
  spans: number;
  segments: number;
  bytes_on_disk: number;
  create_time: string;
  quarantined: { name: string; problem: string; recordings: number }[];
}

export type RecordingState = 'added' | 'indexed' | 'failed' | 'missing';

export interface Recording {
  id: string;
  path: string;
  duration_seconds: number;
  sample_rate: number;
  channels: number;
  format: string;
  state: RecordingState;
  problem: string;
  create_time: string;
  warnings: string[];
  tags: Record<string, string>;
}

export type OperationState = 'running' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted';

export interface Operation {
  id: string;
  archive: string;
  encoder: string;
  state: OperationState;
  recordings_total: number;
  recordings_done: number;
  recordings_failed: number;
  audio_seconds_done: number;
  problem: string;
}

export interface Stretch {
  recording: string;
  start: number;
  end: number;
  channel?: number;
}

export interface SpokenExample {
  audio: string;
  filename?: string;
  start?: number;
  end?: number;
}

export interface QueryMessage {
  label: string;
  examples?: (Stretch | SpokenExample)[];
  text?: string;
  language?: string;
  speakers?: number;
}

export interface Filter {
  paths?: string[];
  folders?: string[];
  tags?: Record<string, string>;
  date_from?: string;
  date_to?: string;
}

export interface SearchMessage {
  queries: QueryMessage[];
  top: number;
  all_hits: boolean;
  min_score?: number;
  speed_variants?: number;
  mode?: string;
  filter?: Filter;
  recordings?: string[];
  channel?: number;
}

export interface Hit {
  recording: string;
  path: string;
  start: number;
  end: number;
  score: number;
  p_correct: number;
  detected: boolean;
  channel: number;
}

export interface SearchResult {
  label: string;
  hits: Hit[];
  compared: { start: number; end: number } | null;
  threshold: number;
  p_threshold: number | null;
  seconds: number;
  synthesis: { synthesiser: string; language: string; speakers: string[] } | null;
  warnings: string[];
  advice: string[];
  /** Why this query of several could not be answered. */
  problem: string;
}

export interface Verdict {
  id: string;
  recording: string;
  start: number;
  end: number;
  query: string;
  correct: boolean;
  author: string;
  create_time: string;
  score: number;
  p_correct: number;
  channel: number;
}

export interface Info {
  version: string;
  default_encoder: string;
  encoders: string[];
  synthesis: boolean;
  read_only: boolean;
  extensions: string[];
}

export interface Peaks {
  start: number;
  end: number;
  buckets: number;
  min: number[];
  max: number[];
}

export interface Model {
  name: string;
  modality: string;
  capabilities: string[];
  description: string;
  loaded: boolean;
  options: string[];
}

export type Card = Record<string, unknown> & { config?: Record<string, unknown> };
