/** Answers of the server as typed records: a field that is absent has the value that protobuf gives it. */

import type {
  Archive,
  Hit,
  Info,
  Model,
  Operation,
  OperationState,
  Recording,
  RecordingState,
  SearchResult,
  Verdict,
} from './types';

type Fields = Record<string, unknown>;

const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
const number = (value: unknown): number => Number(value ?? 0);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const lastWord = (value: unknown): string => text(value).replace(/^(RECORDING|OPERATION)_STATE_/, '').toLowerCase();

function seconds(record: Fields, name: 'start' | 'end'): number {
  return number(record[name] ?? record[`${name}_seconds`] ?? fields(record['interval'])[`${name}_seconds`] ?? fields(record['interval'])[name]);
}

export function archive(value: unknown): Archive {
  const got = fields(value);
  return {
    name: text(got['name']),
    encoder: text(got['encoder']),
    recordings: number(got['recordings']),
    indexed_recordings: number(got['indexed_recordings']),
    audio_seconds: number(got['audio_seconds']),
    spans: number(got['spans']),
    segments: number(got['segments']),
    bytes_on_disk: number(got['bytes_on_disk']),
    create_time: text(got['create_time']),
    quarantined: list(got['quarantined']).map((one) => {
      const segment = fields(one);
      return { name: text(segment['name']), problem: text(segment['problem']), recordings: number(segment['recordings']) };
    }),
  };
}

export function recording(value: unknown): Recording {
  const got = fields(value);
  return {
    id: text(got['id']),
    path: text(got['path']),
    duration_seconds: number(got['duration_seconds']),
    sample_rate: number(got['sample_rate']),
    channels: number(got['channels']),
    format: text(got['format']),
    state: lastWord(got['state']) as RecordingState,
    problem: text(got['problem']),
    create_time: text(got['create_time']),
    warnings: list(got['warnings']).map(text),
    tags: fields(got['tags']) as Record<string, string>,
  };
}

export function operation(value: unknown): Operation {
  const got = fields(fields(value)['operation'] ?? value);
  return {
    id: text(got['id']),
    archive: text(got['archive']),
    encoder: text(got['encoder']),
    state: lastWord(got['state']) as OperationState,
    recordings_total: number(got['recordings_total']),
    recordings_done: number(got['recordings_done']),
    recordings_failed: number(got['recordings_failed']),
    audio_seconds_done: number(got['audio_seconds_done']),
    problem: text(got['problem']),
  };
}

export function hit(value: unknown): Hit {
  const got = fields(value);
  return {
    recording: text(got['recording']),
    path: text(got['path']),
    start: seconds(got, 'start'),
    end: seconds(got, 'end'),
    score: number(got['score']),
    p_correct: number(got['p_correct']),
    detected: Boolean(got['detected']),
    channel: number(got['channel']),
  };
}

export function result(value: unknown): SearchResult {
  const got = fields(fields(value)['result'] ?? value);
  const compared = fields(got['compared']);
  const synthesis = got['synthesis'] ? fields(got['synthesis']) : null;
  return {
    label: text(got['label']),
    hits: list(got['hits']).map(hit),
    compared: got['compared'] ? { start: seconds(compared, 'start'), end: seconds(compared, 'end') } : null,
    threshold: number(got['threshold']),
    p_threshold: got['p_threshold'] === undefined || got['p_threshold'] === null ? null : number(got['p_threshold']),
    seconds: number(got['seconds']),
    synthesis: synthesis && {
      synthesiser: text(synthesis['synthesiser']),
      language: text(synthesis['language']),
      speakers: list(synthesis['speakers']).map(text),
    },
    warnings: list(got['warnings']).map(text),
    advice: list(got['advice']).map(text),
    problem: text(fields(got['problem'])['detail']),
  };
}

export function verdict(value: unknown): Verdict {
  const got = fields(value);
  return {
    id: text(got['id']),
    recording: text(got['recording']),
    start: seconds(got, 'start'),
    end: seconds(got, 'end'),
    query: text(got['query']),
    correct: Boolean(got['correct']),
    author: text(got['author']),
    create_time: text(got['create_time']),
    score: number(got['score']),
    p_correct: number(got['p_correct']),
    channel: number(got['channel']),
  };
}

export function info(value: unknown): Info {
  const got = fields(value);
  const encoders = list(got['encoders']).map((one) => (typeof one === 'string' ? one : text(fields(one)['name'])));
  return {
    version: text(got['version']),
    default_encoder: text(got['default_encoder']),
    encoders,
    synthesis: Boolean(got['synthesis']),
    read_only: Boolean(got['read_only']),
    extensions: list(got['extensions']).map((one) => text(one).toLowerCase()),
  };
}

export function model(value: unknown): Model {
  const got = fields(value);
  return {
    name: text(got['name']),
    modality: text(got['modality']),
    capabilities: list(got['capabilities']).map(text),
    description: text(got['description']),
    loaded: Boolean(got['loaded']),
    options: list(got['options']).map(text),
  };
}
