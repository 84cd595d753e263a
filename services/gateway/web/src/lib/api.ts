/** Calls of the HTTP API of the server that served the page; no request goes anywhere else. */

import * as read from './read';
import type {
  Archive,
  Card,
  Info,
  Model,
  Operation,
  Peaks,
  Recording,
  SearchMessage,
  SearchResult,
  Verdict,
} from './types';

export const ROOT = '/api/v1';
export const PAGE_SIZE = 1000;

/** What a server answered instead of a result, as application/problem+json has it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly field = '',
    readonly limit = '',
    readonly retryAfter = 0,
  ) {
    super(detail || title);
  }

  static of(status: number, body: unknown): Problem {
    const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
    const said = (name: string) => (fields[name] === undefined || fields[name] === null ? '' : String(fields[name]));
    return new Problem(
      status,
      said('title') || `HTTP ${status}`,
      said('detail'),
      said('field'),
      typeof fields['limit'] === 'object' ? JSON.stringify(fields['limit']) : said('limit'),
      Number(fields['retry_after'] ?? 0),
    );
  }
}

/** Returns the path of an archive's resource, each part escaped. */
export function at(archive: string, ...parts: string[]): string {
  return [ROOT, 'archives', archive, ...parts].map((part, index) => (index ? encodeURIComponent(part) : part)).join('/');
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => '');
  try {
    return Problem.of(response.status, JSON.parse(text));
  } catch {
    return new Problem(response.status, `HTTP ${response.status}`, text.slice(0, 300));
  }
}

/** Returns the response to a request; throws a Problem for any that did not succeed. */
export async function request(url: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Problem(0, 'unreachable', '');
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function json(url: string, method = 'GET', body?: unknown, signal?: AbortSignal): Promise<unknown> {
  const init: RequestInit = { method, signal };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  const response = await request(url, init);
  return response.status === 204 ? null : response.json();
}

/** Yields the messages of server-sent events, those of a POST too. An event `error` is thrown as a Problem. */
export async function* events(
  url: string,
  init: RequestInit = {},
): AsyncGenerator<{ event: string; data: unknown }, void, void> {
  const response = await request(url, { ...init, headers: { Accept: 'text/event-stream', ...init.headers } });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let pending = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      pending += value.replaceAll('\r\n', '\n');
      for (let end = pending.indexOf('\n\n'); end >= 0; end = pending.indexOf('\n\n')) {
        const message = parsedEvent(pending.slice(0, end));
        pending = pending.slice(end + 2);
        if (!message) continue;
        if (message.event === 'error') throw Problem.of(Number((message.data as { status?: number })?.status ?? 500), message.data);
        yield message;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parsedEvent(block: string): { event: string; data: unknown } | null {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) event = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
  }
  if (!data.length) return event === 'message' ? null : { event, data: null };
  return { event, data: JSON.parse(data.join('\n')) };
}

export function posted(body: unknown, signal?: AbortSignal): RequestInit {
  return { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' }, signal };
}

async function pages<T>(url: string, key: string, one: (value: unknown) => T, most = Infinity): Promise<T[]> {
  const found: T[] = [];
  let token = '';
  do {
    const separator = url.includes('?') ? '&' : '?';
    const page = (await json(
      `${url}${separator}page_size=${PAGE_SIZE}${token ? `&page_token=${encodeURIComponent(token)}` : ''}`,
    )) as Record<string, unknown>;
    found.push(...((page[key] as unknown[]) ?? []).map(one));
    token = String(page['next_page_token'] ?? '');
  } while (token && found.length < most);
  return found;
}

export const info = async (): Promise<Info> => read.info(await json(`${ROOT}/info`));

export const archives = (): Promise<Archive[]> => pages(`${ROOT}/archives`, 'archives', read.archive);
export const archive = async (name: string): Promise<Archive> => read.archive(await json(at(name)));
export const createArchive = (name: string) => json(at(name), 'PUT');
export const deleteArchive = (name: string) => json(at(name), 'DELETE');

export const recordings = (name: string): Promise<Recording[]> =>
  pages(at(name, 'recordings'), 'recordings', read.recording);
export const recording = async (name: string, id: string): Promise<Recording> =>
  read.recording(await json(at(name, 'recordings', id)));
export const deleteRecording = (name: string, id: string) => json(at(name, 'recordings', id), 'DELETE');
/** Sets the tags of a recording to those given; of those before, the others are removed. */
export const setTags = async (name: string, before: Recording, tags: Record<string, string>) => {
  const removed = Object.keys(before.tags).filter((key) => !(key in tags));
  const changes = { ...tags, ...Object.fromEntries(removed.map((key) => [key, null])) };
  await json(at(name, 'recordings', before.id), 'PATCH', { tags: changes });
};
export const addPath = async (name: string, path: string, tags: Record<string, string>) =>
  json(at(name, 'recordings'), 'POST', { path, tags });

export const audioUrl = (name: string, id: string, channel = 0) =>
  `${at(name, 'recordings', id, 'audio')}${channel ? `?channel=${channel}` : ''}`;
export const clipUrl = (name: string, id: string, start: number, end: number, channel = 0) =>
  `${at(name, 'recordings', id, 'clip')}?start=${start.toFixed(3)}&end=${end.toFixed(3)}&padding=0${
    channel ? `&channel=${channel}` : ''
  }`;
export const clip = async (name: string, stretch: { recording: string; start: number; end: number; channel?: number }, signal?: AbortSignal) =>
  (await request(clipUrl(name, stretch.recording, stretch.start, stretch.end, stretch.channel), { signal })).blob();
export const peaks = async (name: string, id: string, start: number, end: number, buckets: number, signal?: AbortSignal) =>
  (await json(
    `${at(name, 'recordings', id, 'peaks')}?start=${start.toFixed(3)}&end=${end.toFixed(3)}&buckets=${buckets}`,
    'GET',
    undefined,
    signal,
  )) as Peaks;

export const startIndexing = async (name: string, encoder = ''): Promise<Operation> =>
  read.operation(await json(at(name, 'index'), 'POST', encoder ? { encoder } : {}));
export const operations = (name: string): Promise<Operation[]> => pages(at(name, 'operations'), 'operations', read.operation, PAGE_SIZE);
export const stopOperation = async (id: string) =>
  read.operation(await json(`${ROOT}/operations/${encodeURIComponent(id)}/cancel`, 'POST'));
export const resumeOperation = async (id: string) =>
  read.operation(await json(`${ROOT}/operations/${encodeURIComponent(id)}/resume`, 'POST'));
export async function* watch(id: string, signal?: AbortSignal): AsyncGenerator<Operation> {
  for await (const { event, data } of events(`${ROOT}/operations/${encodeURIComponent(id)}/events`, { signal })) {
    if (data && typeof data === 'object' && 'id' in data) yield read.operation(data);
    if (event === 'end') return;
  }
}

export const maintain = (name: string, what: string) => request(at(name, what), { method: 'POST' });

export async function search(name: string, message: SearchMessage, signal?: AbortSignal): Promise<SearchResult[]> {
  const answer = (await json(at(name, 'search'), 'POST', message, signal)) as { results: unknown[] };
  return answer.results.map(read.result);
}

export async function* searchStream(name: string, message: SearchMessage, signal?: AbortSignal): AsyncGenerator<SearchResult> {
  for await (const { event, data } of events(at(name, 'search', 'stream'), posted(message, signal))) {
    if (event === 'result') yield read.result(data);
    if (event === 'end') return;
  }
}

export const verdicts = (name: string, recordingId = ''): Promise<Verdict[]> =>
  pages(`${at(name, 'verdicts')}${recordingId ? `?recording=${encodeURIComponent(recordingId)}` : ''}`, 'verdicts', read.verdict);
export async function addVerdicts(name: string, given: Omit<Verdict, 'id' | 'create_time'>[]): Promise<Verdict[]> {
  const verdicts = given.map(({ start, end, ...rest }) => ({ ...rest, interval: { start_seconds: start, end_seconds: end } }));
  const answer = (await json(at(name, 'verdicts'), 'POST', { verdicts })) as { verdicts: unknown[] };
  return answer.verdicts.map(read.verdict);
}
export const deleteVerdict = (name: string, id: string) => json(at(name, 'verdicts', id), 'DELETE');

export const exported = (name: string, body: unknown) => request(at(name, 'export'), posted(body));
export async function importTiers(name: string, file: File): Promise<unknown> {
  const form = new FormData();
  form.set('file', file);
  return (await request(at(name, 'import', 'tiers'), { method: 'POST', body: form })).json();
}

export const models = async (): Promise<Model[]> =>
  ((await json(`${ROOT}/models`)) as { models: unknown[] }).models.map(read.model);
export async function model(name: string): Promise<{ model: Model; card: Card }> {
  const answer = (await json(`${ROOT}/models/${encodeURIComponent(name)}`)) as Record<string, unknown>;
  const card = answer['card'];
  return {
    model: read.model(answer['model'] ?? answer),
    card: (typeof card === 'string' ? JSON.parse(card || '{}') : (card ?? {})) as Card,
  };
}
export const callModel = (name: string, what: string, body: unknown, signal?: AbortSignal) =>
  json(`${ROOT}/models/${encodeURIComponent(name)}/${what}`, 'POST', body, signal);
export const streamModel = (name: string, what: string, body: unknown, signal?: AbortSignal) =>
  events(`${ROOT}/models/${encodeURIComponent(name)}/${what}`, posted(body, signal));

/** Returns the values that each tag has in an archive. */
export async function tags(name: string): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const { key, value } of await pages(at(name, 'tags'), 'tags', (one) => one as { key: string; value: string }))
    (found[key] ??= []).push(value);
  return found;
}
