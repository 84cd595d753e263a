/** Short messages at the foot of the page, read out by screen readers. */

import { Problem } from './api';
import { t } from './i18n.svelte';

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 6000;
const MAX_SHOWN = 4;

class Notices {
  shown = $state<Notice[]>([]);
  private count = 0;

  say(text: string, bad = false): void {
    const id = (this.count += 1);
    this.shown = [...this.shown.slice(1 - MAX_SHOWN), { id, text, bad }];
    if (!bad) setTimeout(() => this.close(id), SHOWN_MS);
  }

  close(id: number): void {
    this.shown = this.shown.filter((notice) => notice.id !== id);
  }

  /** Says what went wrong; nothing where one gave up oneself. */
  failed(error: unknown): void {
    const text = explained(error);
    if (text) this.say(text, true);
  }
}

/** Returns what a person can do something with about an error: the field, what was wrong, what is allowed. */
export function explained(error: unknown): string {
  if (error instanceof DOMException && error.name === 'AbortError') return '';
  if (!(error instanceof Problem)) return error instanceof Error ? error.message : String(error);
  if (error.status === 0) return t('problem.unreachable');
  const field = error.field ? `${error.field}: ` : '';
  const limit = error.limit && !error.message.includes(error.limit) ? ` (${error.limit})` : '';
  const wait = error.retryAfter ? ` ${t('problem.retry', { seconds: Math.ceil(error.retryAfter) })}` : '';
  const text = error.detail && error.title && error.status >= 500 ? `${error.title}: ${error.detail}` : error.message;
  return `${text.startsWith(error.field) ? '' : field}${text}${limit}${wait}`;
}

export const notices = new Notices();
