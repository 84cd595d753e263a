/** What the form of each capability asks for and what its answer holds: a new model needs no new page. */

import { t, type Key } from './i18n.svelte';
import type { Card, Model } from './types';
import { en } from '../messages/en';

/** What a capability needs of who calls it. */
export type Input = 'subject' | 'mask' | 'code' | 'count' | 'seed' | 'options' | 'word' | 'analogy' | 'map';

export interface Form {
  capability: string;
  /** The last part of the path. */
  call: string;
  inputs: Input[];
  streams: boolean;
}

const FORMS: Record<string, Omit<Form, 'capability'>> = {
  sample: { call: 'sample', inputs: ['count', 'seed', 'options'], streams: false },
  generate: { call: 'generate', inputs: ['count', 'seed', 'options'], streams: true },
  complete: { call: 'complete', inputs: ['mask', 'seed', 'options'], streams: false },
  reconstruct: { call: 'reconstruct', inputs: ['subject'], streams: false },
  translate: { call: 'translate', inputs: ['subject', 'options'], streams: false },
  encode: { call: 'encode', inputs: ['subject'], streams: false },
  decode: { call: 'decode', inputs: ['code'], streams: false },
  classify: { call: 'classify', inputs: ['subject'], streams: false },
  nll: { call: 'log_likelihood', inputs: ['subject', 'seed'], streams: false },
  describe: { call: 'describe', inputs: ['subject', 'seed', 'options'], streams: true },
  neighbours: { call: 'neighbours', inputs: ['word', 'count'], streams: false },
  analogy: { call: 'analogy', inputs: ['analogy', 'count'], streams: false },
  embed: { call: 'embed', inputs: ['map'], streams: false },
};

const ORDER = Object.keys(FORMS);

/** Returns the forms of a model, one a capability; of one that the page does not know, a bare one. */
export function formsOf(model: Model): Form[] {
  const known = [...model.capabilities].sort((a, b) => place(a) - place(b));
  return known.map((capability) => ({ capability, ...(FORMS[capability] ?? { call: capability, inputs: [], streams: false }) }));
}

function place(capability: string): number {
  const at = ORDER.indexOf(capability);
  return at < 0 ? ORDER.length : at;
}

export function capabilityName(capability: string): string {
  const key = `can.${capability}`;
  return key in en ? t(key as Key) : capability;
}

export function modalityName(modality: string): string {
  const key = `modality.${modality}`;
  return key in en ? t(key as Key) : modality;
}

export interface Shape {
  width: number;
  height: number;
  channels: number;
  frames: number;
  code: number;
}

/** Returns the sizes that a card tells of; 0 where it tells none. */
export function shapeOf(card: Card): Shape {
  const config = card.config ?? {};
  const number = (name: string) => (typeof config[name] === 'number' ? (config[name] as number) : 0);
  return {
    width: number('width'),
    height: number('height'),
    channels: number('channels') || 1,
    frames: number('frames'),
    code: number('code'),
  };
}

/** Whether a model answers turns of a conversation: its card says what it learned from. */
export function converses(model: Model, card: Card): boolean {
  const data = (card['data'] ?? {}) as Record<string, unknown>;
  return model.modality === 'text' && (data['source'] === 'conversations' || /conversation/i.test(model.description));
}
