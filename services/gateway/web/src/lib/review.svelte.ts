/** Goes through hits one after the other: which are shown, which is the current one. */

import type { Hit, SearchResult } from './types';
import type { Verdicts } from './verdicts.svelte';

export type Shown = 'all' | 'detected' | 'uncertain' | 'open' | 'confirmed' | 'rejected';

export interface Item {
  key: string;
  result: SearchResult;
  hit: Hit;
}

export interface Group {
  recording: string;
  path: string;
  items: Item[];
}

export const MAX_SHOWN_STEP = 100;

export class Review {
  shown = $state<Shown>('all');
  order = $state<'best' | 'path'>('best');
  most = $state(MAX_SHOWN_STEP);
  current = $state('');

  constructor(
    private readonly results: () => SearchResult[],
    private readonly onlyRecording: () => string,
    private readonly verdicts: Verdicts,
  ) {}

  readonly all: Item[] = $derived.by(() =>
    this.results().flatMap((result, index) =>
      result.hits
        .filter((hit) => !this.onlyRecording() || hit.recording === this.onlyRecording())
        .map((hit) => ({ key: `${index}/${hit.recording}/${hit.channel}/${hit.start}`, result, hit })),
    ),
  );

  readonly chosen: Item[] = $derived(this.all.filter((item) => this.wanted(item)));

  readonly groups: Group[] = $derived.by(() => {
    const groups = new Map<string, Group>();
    for (const item of this.chosen) {
      const { recording, path } = item.hit;
      const group = groups.get(recording);
      if (group) group.items.push(item);
      else groups.set(recording, { recording, path, items: [item] });
    }
    const found = [...groups.values()];
    return this.order === 'path' ? found.sort((a, b) => a.path.localeCompare(b.path)) : found;
  });

  /** The hits in the order of the page, as many as are shown. */
  readonly items: Item[] = $derived(this.groups.flatMap((group) => group.items).slice(0, this.most));

  get item(): Item | undefined {
    return this.items.find((item) => item.key === this.current);
  }

  /** Moves the current hit by so many places and returns it. */
  move(by: number): Item | undefined {
    const before = this.items.findIndex((item) => item.key === this.current);
    if (before + by >= this.items.length && this.most < this.chosen.length) this.most += MAX_SHOWN_STEP;
    const index = before < 0 ? 0 : Math.min(Math.max(before + by, 0), this.items.length - 1);
    this.current = this.items[index]?.key ?? '';
    return this.items[index];
  }

  private wanted({ result, hit }: Item): boolean {
    if (this.shown === 'detected') return hit.detected;
    if (this.shown === 'uncertain') return !hit.detected;
    if (this.shown === 'all') return true;
    const verdict = this.verdicts.of(result.label, hit);
    if (this.shown === 'open') return !verdict;
    return verdict !== undefined && verdict.correct === (this.shown === 'confirmed');
  }
}
