/** Messages in the language that was chosen. */

import { en } from '../messages/en';
import { zhHant } from '../messages/zh-Hant';
import { prefs } from './prefs.svelte';

export type Key = keyof typeof en;
export type Values = Record<string, string | number>;

const CATALOGUES = { en, 'zh-Hant': zhHant };

/** Returns a message with its `{name}`s filled in; `{n|one|many}` chooses by the number n. */
export function t(key: Key, values: Values = {}): string {
  return CATALOGUES[prefs.language][key].replace(
    /\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g,
    (_, name: string, one?: string, many?: string) =>
      one === undefined ? String(values[name] ?? '') : Number(values[name]) === 1 ? one : (many ?? ''),
  );
}

export function count(value: number): string {
  return value.toLocaleString(prefs.language);
}

/** Returns a length in hours, minutes and seconds with their units. */
export function length(seconds: number): string {
  const whole = Math.round(seconds);
  if (seconds < 60) return t('unit.s', { s: seconds < 10 ? seconds.toFixed(1) : whole });
  if (whole < 3600) return t('unit.ms', { m: Math.floor(whole / 60), s: whole % 60 });
  return t('unit.hm', { h: Math.floor(whole / 3600), m: Math.floor((whole % 3600) / 60) });
}

export function when(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? ''
    : date.toLocaleString(prefs.language, { dateStyle: 'medium', timeStyle: 'short' });
}
