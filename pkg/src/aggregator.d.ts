/**
 * Counts events as the server does and passes on only those that could change the server's numbers.
 *
 * Call {@link init} once before anything else; in Node and Workers it resolves at once.
 */

/** Something that a user did. */
export interface RawEvent {
  /** The event's name: not empty, at most `nameBytesMax` bytes of UTF-8, no control characters. */
  event: string;
  /** Who did it. An integer is its decimal string. Not empty, at most `nameBytesMax` bytes of UTF-8. */
  user: string | number;
  /** What is summed up over users: finite, at most 1e300 in magnitude. Only the value of a user's first occurrence counts. */
  value?: number | null;
  /** When: a `Date`, Unix milliseconds, or what `new Date(string)` reads, in the years 0 to 9999. Absent: now. */
  at?: Date | number | string;
  /** Whether the event is a goal from now on: what users had done before it is counted. Default false. */
  ensureGoal?: boolean;
  /** Numbers of one namespace know nothing of another. Default `"default"`. */
  namespace?: string;
}

/** What is kept of a stream of events: see `preAggregate` of {@link AggregatorOptions}. */
export type Level = 'order' | 'day' | 'week';

/** An event as `POST /v0/analytics` takes it. */
export interface WireEvent {
  event_name: string;
  user_id: string;
  /** Absent: `default`. */
  namespace?: string;
  value?: number;
  ensure_goal?: true;
  /** Midnight UTC of the event's day, such as `2026-11-24T00:00:00Z`: no finer time leaves the page. */
  datetime: string;
  /** By which the server knows the event when it comes again: 11 letters, digits, `-` and `_`. Absent where there is no randomness. */
  id?: string;
}

/** What `POST /v0/analytics` takes as its body. */
export interface Batch {
  /** What its sender kept. */
  kept: Level;
  events: WireEvent[];
}

/** A name with a number of users. */
export interface NamedCount {
  name: string;
  count: number;
}

/** Users who had done exactly these other events before the goal. */
export interface CombinationCount {
  events: string[];
  count: number;
}

/** The numbers of one event, or of one week of an event. */
export interface Count {
  /** The event; of a week followed by the ISO year and week, such as `Login 202648`. */
  name: string;
  type: 'named' | 'weekly';
  /** Unique users. */
  count: number;
  /** Of a goal: users per combination of events that they had done before, most first. */
  event_counts: CombinationCount[];
  /** Of a goal: users whose combination is not listed. */
  event_counts_other?: number;
  /** Of a goal: users per single event that they had done before, most first. */
  single_event_counts: NamedCount[];
  /** The sum of the values of first occurrences; empty where there was none. */
  value: { sum?: number };
}

/** What `GET /v0/analytics` answers. */
export interface Analytics {
  /** Ascending by name. */
  counts: Count[];
  /** Users who have done anything. */
  users: number;
}

/** Bounds and kinds of an aggregator. */
export interface AggregatorOptions {
  /** Bytes for what has been seen, names included. Default 1,048,576. */
  memoryBytesMax?: number;
  /** Bytes for events that were passed on and not drained. Default 1,048,576. */
  pendingBytesMax?: number;
  /** Bytes of UTF-8 of an event's name, a namespace or a user id. Default 256, at most 1,024. */
  nameBytesMax?: number;
  /**
   * What is passed on. `'week'`: a user's first occurrence of an event, ever and in an ISO week, and what makes a goal. `'day'`: the first
   * on a day, too. `'order'` (default): whatever a funnel of up to 8 steps can depend on, too. False: repeats as well.
   */
  preAggregate?: Level | false;
  /** Whether {@link Aggregator.report} lists weekly cohorts. Default false. */
  weekly?: boolean;
  /** 32 bytes under which users are hashed; absent: random. Aggregators can be merged only under one key. */
  key?: Uint8Array;
}

/** What has been seen, and what of it is yet to be sent. */
export class Aggregator {
  /**
   * An aggregator that has seen nothing.
   *
   * @throws Error where an option is not what it must be.
   */
  constructor(options?: AggregatorOptions);

  /**
   * Takes one event; appends it to {@link pending} if it could change the server's numbers.
   *
   * That is: if it is the user's first occurrence of the event, ever, in its ISO week or on its day, or the first that makes the
   * event a goal; or if it comes behind other events in an order that is new (see `preAggregate`). Anything else is a repeat. Where memory
   * has run out ({@link isSaturated}), events that do not fit are passed on without being remembered. After half an hour without an event
   * of a user the order of theirs is forgotten: they may have gone on elsewhere.
   *
   * @returns false for a repeat; `'order'` where the event was done on that day already and only its order is new, so that it can wait for
   * another one; else `'first'`.
   * @throws Error naming the field, for what the server would refuse; and where pending events have reached
   * `pendingBytesMax`: drain, then record it again. Nothing has changed then.
   */
  record(event: RawEvent): 'first' | 'order' | false;

  /** The events that are yet to be sent, oldest first, at most `max` (default 10,000, what the server takes at once). */
  pending(max?: number): Batch;

  /** The same, and takes them out. Send them until the server has acknowledged them: sending twice changes nothing, because ids stay the same. */
  drain(max?: number): Batch;

  /** How many events are yet to be sent. */
  readonly pendingEvents: number;

  /** The numbers of one namespace (default `"default"`), in exactly the form of `GET /v0/analytics`. */
  report(namespace?: string): Analytics;

  /** Everything, the key included: versioned, checksummed, for {@link fromBytes}. */
  toBytes(): Uint8Array;

  /**
   * The aggregator that {@link toBytes} has written.
   *
   * @throws Error where the bytes are damaged or not its own.
   */
  static fromBytes(bytes: Uint8Array, options?: AggregatorOptions): Aggregator;

  /**
   * Adds what another aggregator has seen and has yet to send. The other one stays as it is. The order of events is forgotten.
   *
   * @throws Error where the keys differ, or where the result could not be exact: users overlap in part for an event
   * that has values or is a goal. Nothing has changed then.
   */
  merge(other: Aggregator): void;

  /** Whether `memoryBytesMax` was met: events that are not known pass on unseen, none is lost. */
  readonly isSaturated: boolean;

  /** How many events were passed on without being remembered. */
  readonly passedUnseen: number;

  /** Bytes that what has been seen takes, names included. */
  readonly memoryBytes: number;

  /** Gives the memory back. Any use afterwards throws. */
  free(): void;

  /** The same as {@link free}, for `using`. */
  [Symbol.dispose](): void;
}

/** 32 hexadecimal digits of randomness, for a user who has no id yet. */
export function anonymousId(): string;

/** From where a page gets the wasm. */
export type WasmInput = string | URL | Request | Response | Promise<Response> | BufferSource | WebAssembly.Module;

/**
 * Loads the wasm, once however often it is called.
 *
 * @param input where it is; absent: `aggregator.wasm` beside the script. Not used in Node and Workers, where the wasm
 * comes with the import.
 * @throws Error where it cannot be fetched, or where a Content-Security-Policy without `wasm-unsafe-eval` forbids it.
 * The next call tries again.
 */
export default function init(input?: WasmInput): Promise<void>;
