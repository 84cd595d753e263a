/** Who said of which place whether the query is said there. */

import * as api from './api';
import { notices } from './notices.svelte';
import { prefs } from './prefs.svelte';
import { refresh } from './refresh.svelte';
import type { Hit, Verdict } from './types';

const SAME_PLACE = 0.5; // share of the shorter that they have in common

export interface Place {
  recording: string;
  start: number;
  end: number;
  channel: number;
}

function overlap(a: Place, b: Place): number {
  const common = Math.min(a.end, b.end) - Math.max(a.start, b.start);
  return common / Math.max(1e-9, Math.min(a.end - a.start, b.end - b.start));
}

export class Verdicts {
  all = $state.raw<Verdict[]>([]);
  loaded = $state(false);
  /** What waits for the name of who judges. */
  waiting = $state.raw<(() => Promise<void>) | null>(null);

  constructor(readonly archive: string) {}

  async load(): Promise<void> {
    try {
      this.all = await api.verdicts(this.archive);
      this.loaded = true;
    } catch (error) {
      notices.failed(error);
    }
  }

  of(label: string, hit: Place): Verdict | undefined {
    return this.all.find(
      (one) => one.recording === hit.recording && one.query === label && one.channel === hit.channel && overlap(one, hit) >= SAME_PLACE,
    );
  }

  confirmed(label: string): Verdict[] {
    return this.all.filter((one) => one.query === label && one.correct);
  }

  /** Stores a verdict; the same once more takes it back. Asks for a name first where none is known. */
  async judge(label: string, hit: Hit, correct: boolean): Promise<void> {
    if (!prefs.author) {
      this.waiting = () => this.judge(label, hit, correct);
      return;
    }
    const before = this.of(label, hit);
    try {
      if (before && before.correct === correct) {
        await api.deleteVerdict(this.archive, before.id);
        this.all = this.all.filter((one) => one !== before);
      } else {
        const { recording, start, end, score, p_correct, channel } = hit;
        const added = await api.addVerdicts(this.archive, [
          { recording, start, end, query: label, correct, author: prefs.author, score, p_correct, channel },
        ]);
        this.all = [...this.all.filter((one) => one !== before && !added.some((two) => two.id === one.id)), ...added];
      }
      refresh.changed();
    } catch (error) {
      notices.failed(error);
      await this.load();
    }
  }

  async remove(verdict: Verdict): Promise<void> {
    try {
      await api.deleteVerdict(this.archive, verdict.id);
      this.all = this.all.filter((one) => one.id !== verdict.id);
      refresh.changed();
    } catch (error) {
      notices.failed(error);
      await this.load();
    }
  }
}

const known = new Map<string, Verdicts>();

export function verdictsOf(archive: string): Verdicts {
  let found = known.get(archive);
  if (!found) known.set(archive, (found = new Verdicts(archive)));
  return found;
}
