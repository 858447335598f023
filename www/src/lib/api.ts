// The server's API: one function a request. Types are those of /api-docs/openapi.json.
import { parse, stringify } from 'lossless-json';

import type { CombinationCount as Combination, WireEvent } from '../../../pkg/src/aggregator';
import type { Shown } from './format';
import { at } from './place';
import { session, type Access } from './session.svelte';

const DEADLINE_MS = 30_000;

export type { Combination };

/** The numbers of one event, or of one week of an event. */
export interface Count {
  name: string;
  type: 'named' | 'weekly';
  count: Shown;
  /** Of a goal, most users first; without those of too few users. */
  event_counts: Combination[];
  /** Of a goal. */
  event_counts_other?: Shown;
  /** Of a goal, most users first. */
  single_event_counts: { name: string; count: Shown; suppressed?: true }[];
  value: { sum?: Shown; suppressed?: true };
  /** Whether a number in it is hidden. */
  suppressed?: true;
}

export interface Analytics {
  counts: Count[];
  users: Shown;
  suppressed?: true;
}

export type Unit = 'day' | 'week' | 'month';

/** The users of one day, week or month (UTC). */
export interface Point {
  /** As in "2026-11-28", "2026-W48" or "2026-11". */
  period: string;
  /** Null where they were not counted or are not kept any more, and with `suppressed` where they are hidden. */
  users: Shown;
  first_users: Shown;
  /** Of those who came for the first time; null also where they had no values. */
  value: Shown;
  state: 'open' | 'late' | 'closed';
  /** Whether no users may be missing. */
  complete: boolean;
  suppressed?: true;
}

export interface Series {
  /** Null for anybody. */
  event: string | null;
  unit: Unit;
  /** The first day that is counted. */
  since: string;
  /** Where the event has no series of the unit. */
  series?: false;
  points: Point[];
  /** As many periods before. */
  previous?: { from: string; to: string; points: Point[] };
}

/** An event as the API takes it: with any time, or none. */
export type NewEvent = Omit<WireEvent, 'datetime' | 'ensure_goal'> & { datetime?: string; ensure_goal?: boolean };

export interface SinglePrediction {
  bayes: Shown;
  probability: Shown;
  support: Shown;
  suppressed?: true;
}

export interface GoalPrediction {
  note?: string;
  yes?: Shown;
  no?: Shown;
  likelihood?: Shown;
  probability?: Shown;
  support?: Shown;
  suppressed?: true;
}

export interface Nudge {
  event_name: string;
  prediction: number;
  probability: number;
  support: number;
}

/** What went wrong with a request: the server's own words where there are some. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    what: string,
    readonly field?: string,
  ) {
    super(what);
  }

  static of(cause: unknown): Problem {
    return cause instanceof Problem ? cause : new Problem(0, 'unexpected', cause instanceof Error ? cause.message : String(cause));
  }
}

export interface Call {
  method?: 'GET' | 'POST' | 'DELETE';
  query?: Record<string, string | string[] | undefined>;
  body?: unknown;
  signal?: AbortSignal;
  token?: string;
}

async function refusal(response: Response): Promise<Problem> {
  const answer = (await response.json().catch(() => undefined)) as { error?: { what?: string; code?: string; field?: string } } | undefined;
  const { what, code, field } = answer?.error ?? {};
  return new Problem(response.status, code ?? 'unexpected', what ?? `The server answered ${response.status}.`, field);
}

/**
 * Sends a request and answers the text of a success, empty for 204.
 *
 * Throws a {@link Problem}: the server's refusal, `offline` where there was no answer. What was given up by `signal` throws its reason.
 */
export async function request(path: string, { method = 'GET', query = {}, body, signal, token = session.token }: Call = {}): Promise<string> {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of typeof value === 'string' ? [value] : (value ?? [])) search.append(name, item);
  }
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
  };
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  try {
    const response = await fetch(search.size > 0 ? `${at(path)}?${search}` : at(path), {
      method,
      headers,
      ...(body !== undefined && { body: stringify(body) ?? '' }),
      signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    });
    if (!response.ok) {
      const problem = await refusal(response);
      if (problem.status === 401 && token && token === session.token) session.expire();
      throw problem;
    }
    return await response.text();
  } catch (cause) {
    if (cause instanceof Problem || signal?.aborted) throw cause;
    throw new Problem(0, 'offline', deadline.aborted ? 'The server took too long to answer.' : 'The server cannot be reached.');
  }
}

async function read<T>(path: string, call: Call = {}): Promise<T> {
  return JSON.parse(await request(path, call)) as T;
}

/** What a token may do. */
export const access = (token: string): Promise<Access> => read('/v0/access', { token });

export const analytics = (namespace: string, signal?: AbortSignal): Promise<Analytics> =>
  read('/v0/analytics', { query: { namespace }, signal });

/** The users of an event, or of anybody, with the period before; from the server's own beginning of the range unless `from` is given. */
export const series = (namespace: string, unit: Unit, { event, from }: { event?: string; from?: string }, signal?: AbortSignal): Promise<Series> =>
  read('/v0/series', { query: { namespace, unit, event, from, compare: 'previous' }, signal });

export const namespaces = (signal?: AbortSignal): Promise<string[]> =>
  read<{ namespaces: string[] }>('/v0/namespaces', { signal }).then((answer) => answer.namespaces);

/** Records events; safe to repeat. */
export const record = async (events: NewEvent[], signal?: AbortSignal, token?: string): Promise<void> => {
  await request('/v0/analytics', { method: 'POST', body: { events }, signal, token });
};

/** Makes an event a goal from now on; safe to repeat. */
export const addGoal = async (namespace: string, goal_name: string): Promise<void> => {
  await request('/v0/goals', { method: 'POST', body: { goal_name, namespace } });
};

/** Deletes for good; safe to repeat. The name is no part of the path, which could not hold `.` and `..`. */
const remove = async (kind: 'events' | 'goals' | 'namespaces', query: { name: string; namespace?: string }): Promise<void> => {
  await request(`/v0/${kind}`, { method: 'DELETE', query });
};

export const removeEvent = (namespace: string, name: string): Promise<void> => remove('events', { namespace, name });

/** The event stays. */
export const removeGoal = (namespace: string, name: string): Promise<void> => remove('goals', { namespace, name });

export const removeNamespace = (name: string): Promise<void> => remove('namespaces', { name });

/** Per goal and prior event. */
export const predictions = (namespace: string, signal?: AbortSignal): Promise<Record<string, Record<string, SinglePrediction>>> =>
  read<{ goals: Record<string, { events: Record<string, SinglePrediction> }> }>('/v0/predictions', { query: { namespace }, signal }).then(
    ({ goals }) => Object.fromEntries(Object.entries(goals).map(([goal, { events }]) => [goal, events])),
  );

/** Per goal, of a user who did these events and no others. */
export const whatIf = (namespace: string, event: string[], signal?: AbortSignal): Promise<Record<string, GoalPrediction>> =>
  read<{ goals: Record<string, GoalPrediction> }>('/v0/predictions', { query: { namespace, event }, signal }).then(({ goals }) => goals);

export const nudges = (namespace: string, goal: string, user_id: string, signal?: AbortSignal): Promise<Nudge[]> =>
  read<{ nudges: Nudge[] }>('/v0/nudges', { query: { namespace, goal, user_id }, signal }).then((answer) => answer.nudges);

export interface Usage {
  count: number;
  limit: number;
}

export interface Shard {
  index: number;
  reachable: boolean;
  /** Why it is not reachable. */
  what?: string;
  memory_bytes?: number;
  memory_limit_bytes?: number;
  journal_rows?: number;
  journal_rows_limit?: number;
  journal_bytes?: number;
  journal_bytes_limit?: number;
  snapshot_counters?: number;
  snapshot_age_s?: number;
}

export interface Status {
  version: string;
  started: string;
  isolate_memory_bytes: number;
  configuration: {
    authentication: boolean;
    tokens: { admin: number; ingest: number; read: number };
    ingest_may_add_goals: boolean;
    allowed_origins: string[];
    allowed_hosts: string[];
    hash_key: 'configured' | 'generated';
    counters: { pattern: string; date_cohort?: string; type?: string; size?: number; error_probability?: number }[];
    limits: { name: string; value: number; default: number; unit: string }[];
  };
  namespaces: Usage;
  flags: Usage & { bytes: number; bytes_limit: number };
  namespace: { name: string; events: Usage; goals: number; shards: Shard[] };
  events: { accepted: number; repeated: number; refused: Record<string, number> };
}

export const status = (namespace: string, signal?: AbortSignal): Promise<Status> => read('/v0/status', { query: { namespace }, signal });

/** All flags, ascending by name, as JSON in which whole numbers of 64 bits stay what they are. */
export const featureSpecs = async (signal?: AbortSignal): Promise<unknown[]> =>
  (parse(await request('/v0/featureSpecs', { signal })) as { featureSpecs: unknown[] }).featureSpecs;

/** Adds a flag, or puts it in the place of the one of its name. */
export const putFlag = async (spec: Record<string, unknown>): Promise<void> => {
  await request('/v0/featureSpecs', { method: 'POST', body: spec });
};

export const removeFlag = async (name: string): Promise<void> => {
  await request(`/v0/featureSpecs/${encodeURIComponent(name)}`, { method: 'DELETE' });
};

/** Every flag for a user, who is given as JSON. Nothing is recorded. */
export const features = async (user: string): Promise<Record<string, boolean>> => {
  const bytes = new TextEncoder().encode(user);
  const user_obj = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  return (await read<{ features: Record<string, boolean> }>('/v0/features', { query: { user_obj } })).features;
};
