// Flags: what GET /v0/featureSpecs says of one, in the terms of people, and back.
import { isLosslessNumber } from 'lossless-json';

import { dateTime, percent } from '../lib/format';

/** A string, or a whole number of 64 bits. */
export type Value = string | bigint;

export interface Condition {
  property: string;
  comparator: '=' | 'in';
  /** One for `=`. */
  values: Value[];
}

export interface Rollout {
  /** As the server wrote them: a text that is sent back unchanged means the same second. */
  startText: string;
  endText: string;
  /** In Unix milliseconds. */
  start: number;
  end: number;
  /** Where the end was changed while it was running: what it goes on from. */
  reached?: { at: number; share: number };
}

export interface Flag {
  name: string;
  boolean: boolean;
  conditions: Condition[];
  rollout?: Rollout;
  /** As the server answered it. */
  spec: unknown;
}

interface SpecJson {
  name: string;
  boolean: boolean;
  rollout_start?: string;
  rollout_end?: string;
  rollout_reached?: { at: string; share: unknown };
  user: { property: string; comparator: '=' | 'in'; value: unknown }[];
}

const valueOf = (value: unknown): Value => (isLosslessNumber(value) ? BigInt(value.value) : String(value));

export function flagOf(spec: unknown): Flag {
  const { name, boolean, rollout_start: startText, rollout_end: endText, rollout_reached: reached, user } = spec as SpecJson;
  const flag: Flag = {
    name,
    boolean,
    conditions: user.map(({ property, comparator, value }) => ({ property, comparator, values: (Array.isArray(value) ? value : [value]).map(valueOf) })),
    spec,
  };
  if (startText !== undefined && endText !== undefined) {
    flag.rollout = { startText, endText, start: Date.parse(startText), end: Date.parse(endText) };
    if (reached) flag.rollout.reached = { at: Date.parse(reached.at), share: Number(String(reached.share)) };
  }
  return flag;
}

/** The share of users, 0 to 1, that a rollout has reached at a time in Unix milliseconds. */
export function shareAt({ start, end, reached }: Rollout, now: number): number {
  if (now >= end) return 1;
  const [from, first] = reached ? [reached.at, reached.share] : [start, 0];
  return now <= from ? first : first + ((1 - first) * (now - from)) / (end - from);
}

/** Whether all users have the flag, whoever they are. */
export const isForAll = ({ boolean, rollout }: Flag, now: number): boolean => boolean || (rollout !== undefined && shareAt(rollout, now) >= 1);

const LISTED = 3;

/** A value as it stands in a sentence. A text that would be taken for a number, for several values or for nothing is in quotes. */
export function valueWords(value: Value): string {
  if (typeof value === 'bigint') return String(value);
  return value !== value.trim() || /^$|[,\n]|^-?\d+$/.test(value) ? JSON.stringify(value) : value;
}

export function conditionWords({ property, comparator, values }: Condition, listed = LISTED): string {
  if (values.length === 0) return `${property} is one of nothing`;
  const more = values.length - listed;
  const list = values.slice(0, listed).map(valueWords).join(', ');
  return `${property} ${comparator === '=' ? 'is' : 'is one of'} ${list}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Whom a flag is on for, as a sentence without a full stop. */
export function words(flag: Flag, now: number): string {
  const { boolean, conditions, rollout } = flag;
  if (boolean) return 'On for everybody';
  if (isForAll(flag, now)) return `On for everybody since ${dateTime(rollout?.end ?? now)}`;
  const some = conditions.map((condition) => conditionWords(condition)).join(', or ');
  let share = '';
  if (rollout) {
    const reached = shareAt(rollout, now);
    share = reached > 0
      ? `${some ? 'and for' : 'On for'} ${percent(reached)} of users, everybody by ${dateTime(rollout.end)}`
      : `${some ? 'and for' : 'Off now; for'} a growing share of users from ${dateTime(rollout.start)}`;
  }
  if (!some && !share) return 'Off for everybody';
  return [some && `On where ${some}`, share].filter(Boolean).join(', ');
}
