/** What one does with an archive while the page is open: the query, its hits, keyword lists. */

import * as api from './api';
import { explained } from './notices.svelte';
import { Limits, Query } from './query.svelte';
import type { Hit, Recording, SearchResult } from './types';

export class Session {
  readonly query = new Query();
  readonly limits = new Limits();
  results = $state.raw<SearchResult[]>([]);
  /** Only hits of this recording are shown; any without one. */
  onlyRecording = $state('');
  running = $state(false);
  problem = $state('');
  asked = $state(false);
  keywords = $state('');
  matrix = $state.raw<SearchResult[]>([]);
  matrixAsked = $state(0);
  matrixProblem = $state('');
  private searching: AbortController | null = null;
  private readonly known = new Map<string, Promise<Recording>>();

  constructor(readonly archive: string) {}

  async search(): Promise<void> {
    this.searching?.abort();
    const searching = (this.searching = new AbortController());
    this.running = true;
    this.problem = '';
    try {
      const message = this.limits.onto(this.query.options([await this.query.message()]));
      this.show(await api.search(this.archive, message, searching.signal));
    } catch (error) {
      if (this.searching === searching) this.problem = explained(error);
    } finally {
      if (this.searching === searching) this.running = false;
    }
  }

  stop(): void {
    this.searching?.abort();
    this.running = false;
  }

  show(results: SearchResult[], recording = ''): void {
    this.results = results;
    this.onlyRecording = recording;
    this.asked = true;
    this.problem = '';
  }

  /** Returns a recording, fetched once until something changes. */
  recording(id: string): Promise<Recording> {
    let found = this.known.get(id);
    if (!found) {
      found = api.recording(this.archive, id);
      found.catch(() => this.known.delete(id));
      this.known.set(id, found);
    }
    return found;
  }

  forget(): void {
    this.known.clear();
  }

  /** Returns the hits of the last search or keyword list in a recording, with what was looked for. */
  hitsIn(recording: string): { label: string; hit: Hit }[] {
    const shown = [...this.results, ...this.matrix.filter((one) => !this.results.includes(one))];
    return shown.flatMap(({ label, hits }) =>
      hits.filter((hit) => hit.recording === recording).map((hit) => ({ label, hit })),
    );
  }
}

const sessions = new Map<string, Session>();

export function sessionOf(archive: string): Session {
  let session = sessions.get(archive);
  if (!session) sessions.set(archive, (session = new Session(archive)));
  return session;
}
