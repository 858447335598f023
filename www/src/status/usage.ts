// How near a service is to its limits, and what an operator should know first.
import type { Analytics, Status } from '../lib/api';
import { bytes, count, number, percent } from '../lib/format';
import { share } from '../lib/funnel';

/** From here on a limit is near. */
export const NEAR = 0.8;

export interface Gauge {
  name: string;
  /** Of which event. */
  of?: string;
  used: number;
  limit: number;
  show: (value: number) => string;
}

/** What a namespace and a deployment use of what they may. */
export function gauges({ namespaces, namespace, flags, configuration }: Status, { counts }: Analytics): Gauge[] {
  const limit = (name: string) => configuration.limits.find((each) => each.name === name)?.value ?? 0;
  const named = counts.filter(({ type }) => type === 'named');
  const largest = named.reduce((most, { name, count: users }) => (users !== null && users > most.users ? { name, users } : most), { name: '', users: 0 });
  const areHidden = named.length > 0 && named.every(({ count: users }) => users === null);
  const combined = named.reduce((most, each) => (each.event_counts.length > most.event_counts.length ? each : most), { name: '', event_counts: [] as unknown[] });
  return [
    { name: 'Event names', used: namespace.events.count, limit: namespace.events.limit, show: number },
    ...(areHidden ? [] : [{ name: 'Users of the largest event', of: largest.name, used: largest.users, limit: limit('USERS_PER_EVENT_MAX'), show: number }]),
    { name: 'Combinations of a goal', of: combined.name, used: combined.event_counts.length, limit: limit('COMBINATIONS_PER_GOAL_MAX'), show: number },
    { name: 'Namespaces', used: namespaces.count, limit: namespaces.limit, show: number },
    { name: 'Flags', used: flags.count, limit: flags.limit, show: number },
    { name: 'Size of all flags', used: flags.bytes, limit: flags.bytes_limit, show: bytes },
  ];
}

export interface Remark {
  kind: 'bad' | 'warn';
  text: string;
}

/** What is not as it should be, worst first; empty where all is well. A full journal is none: it compacts by itself. */
export function remarks(status: Status, used: Gauge[]): Remark[] {
  const { shards } = status.namespace;
  const lost = shards.filter(({ reachable }) => !reachable);
  const near = used.filter(({ used: part, limit }) => share(part, limit) >= NEAR);
  const crowded = shards.filter(({ memory_bytes = 0, memory_limit_bytes = 0 }) => share(memory_bytes, memory_limit_bytes) >= NEAR);
  const refused = Object.entries(status.events.refused).filter(([code]) => /full|unavailable|reset|changed/.test(code));
  return [
    ...lost.map(({ index, what }): Remark => ({ kind: 'bad', text: `Shard ${index} cannot be read: ${what ?? 'it does not answer'}. Reads of this namespace fail until it can; the other namespaces go on.` })),
    ...crowded.map(({ index, memory_bytes = 0, memory_limit_bytes = 0 }): Remark => ({ kind: 'warn', text: `Shard ${index} uses ${percent(share(memory_bytes, memory_limit_bytes))} of its memory. When it is full, new users of it are refused; known ones go on. More shards help new namespaces (SHARDS).` })),
    ...near.map(({ name, used: part, limit, show }): Remark => ({ kind: 'warn', text: `${name}: ${show(part)} of ${show(limit)}.` })),
    ...refused.map(([code, events]): Remark => ({ kind: 'warn', text: `${count(events, 'event')} refused since the start: ${code}.` })),
  ];
}

/** What a refusal was for. */
export const REASONS: Record<string, string> = {
  body_too_large: 'body too large',
  batch_too_large: 'too many events in a request',
  events_full: 'no room for a further event name',
  namespaces_full: 'no room for a further namespace',
  users_full: 'an event had its maximum of users',
  shard_memory_full: 'the memory of a shard was full',
  unauthorized: 'no token, or an unknown one',
  forbidden: 'a token that may not do it',
  storage_unavailable: 'storage could not be reached',
};
