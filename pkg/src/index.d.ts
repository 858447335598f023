/** What a client can be told. */
export interface KimballOptions {
  /**
   * Address of the server, such as `https://analytics.example`, or `/kimball` for one under a path of the page's host. Default: the page's own
   * origin. What is no address throws a TypeError.
   */
  url?: string | URL | null | undefined;
  /** A token with the scope `ingest`, which may only add events and ask for flags. */
  token?: string | undefined;
  /** Namespace of events that name none. Default `"default"`. */
  namespace?: string | undefined;
  /** Events that wait before they are sent at once, and the most of one request. Default 100, at most 10,000. Where they tell of order only, 20. */
  batchEvents?: number | undefined;
  /** Milliseconds after which fewer are sent. Default 2,000. Events that tell of order only wait for another one, or until the page is hidden. */
  batchMs?: number | undefined;
  /** Events that are queued; beyond it the oldest are lost, counted and reported (`evicted`). Default 1,000. */
  queueEventsMax?: number | undefined;
  /** Where the queue lives. `auto` (default): IndexedDB, else localStorage, else memory. */
  storage?: 'auto' | 'memory' | undefined;
  /**
   * What is sent: `'order'` (default) whatever a funnel can depend on, `'day'` a user's first of each event on a day, `'week'` in an ISO
   * week; `false` every event, repeats included. The server may say that less is enough for the day; then less is sent.
   */
  preAggregate?: 'order' | 'day' | 'week' | false | undefined;
  /**
   * Bytes for what was sent (`memoryBytesMax`, 1,048,576), and of a name or user id (`nameBytesMax`, 256). There are two generations of the first,
   * each within it: where one is full, what was not done for the longest is forgotten.
   */
  memory?: { memoryBytesMax?: number; nameBytesMax?: number } | undefined;
  /** Sends SHA-256 of `salt ‖ 0 ‖ user id`, in hexadecimal, in the place of user ids. Needs a secure context. */
  blind?: boolean | undefined;
  /** The public salt of `blind`. Default: the page's host name. */
  salt?: string | undefined;
  /** True starts opted out, until `optIn()`. What the visitor has chosen before is stronger. Default false. */
  optedOut?: boolean | undefined;
  /** True counts users who send Global Privacy Control or Do Not Track, too. Default false. */
  ignorePrivacySignals?: boolean | undefined;
  /** Milliseconds for which flags are kept. Default 60,000. */
  featuresMs?: number | undefined;
  /** Milliseconds after which a question for flags is answered with what is known, or the fallback. Default 3,000. */
  featuresTimeoutMs?: number | undefined;
  /** Hears of everything that goes wrong; nothing is thrown. Default `console.warn`. */
  onError?: ((error: KimballError) => void) | undefined;
  /** Loads the parts behind the shell. For service workers, which cannot `import()`: `async () => parts`. */
  parts?: (() => Promise<unknown>) | undefined;
}

export interface KimballError extends Error {
  /**
   * - `invalid`: a call that the server would refuse; it was left out.
   * - `refused`: the server refused events (`count` of them); they were left out. They are news again on another page, and here after ten minutes.
   * - `evicted`: the queue was full; `count` events are lost.
   * - `unavailable`: the server cannot be reached or answers with an error; it is tried again.
   * - `storage`: stored data is damaged, or was cleared, or cannot be written; it goes on, in memory if need be. Said once.
   * - `saturated`: the memory is full; what was not done for the longest is forgotten, and may be sent again. Said once.
   * - `wasm`: the wasm cannot be loaded; events are sent without pre-aggregation.
   * - `blind`: the user id cannot be hashed here; events are held.
   * - `closed`: a call after `close()`.
   * - `failed`: anything else.
   */
  readonly code: 'invalid' | 'refused' | 'evicted' | 'unavailable' | 'storage' | 'saturated' | 'wasm' | 'blind' | 'closed' | 'failed';
  /** Events concerned, where that is known. */
  readonly count?: number;
}

/**
 * What the client does: `counting`; `opted-out`, by `optOut()` or `optedOut`; `signalled`, because the browser sends Global Privacy Control or Do
 * Not Track; `closed`. In all but the first nothing is loaded, stored or asked for.
 */
export type KimballState = 'counting' | 'opted-out' | 'signalled' | 'closed';

export interface TrackOptions {
  /** Summed up over users: only that of a user's first occurrence counts. */
  value?: number | null;
  /** Makes the event a goal. The token must be allowed to. */
  ensureGoal?: boolean | null;
  namespace?: string | null;
  /** When it was done. Default: now. The day is all that is sent of it. */
  at?: Date | number | string | null;
}

/** Counts events of one user at a time, and asks for their flags. No method throws, and no promise rejects; every wait ends. */
export class KimballClient {
  constructor(options?: KimballOptions);
  /** Takes an event. Resolves once it is queued, or known to be a repeat. */
  track(event: string, options?: TrackOptions | null): Promise<void>;
  /**
   * Says who the user is: events before it, held until then, go out under this id. `properties` are sent to the server
   * only to evaluate flags. Null: nobody again. What can be no id is reported (`invalid`), and nobody's.
   */
  identify(userId: string | number | bigint | null, properties?: Record<string, string | number> | null): Promise<void>;
  /** Whether a flag is on; `fallback` (default false) where it does not exist or no answer was ever had. */
  feature(name: string, fallback?: boolean): Promise<boolean>;
  /** All flags of this user. */
  features(): Promise<Record<string, boolean>>;
  /** Calls back with all flags when they change; asks every `featuresMs`. Answers how to stop. */
  onChange(listener: (features: Record<string, boolean>) => void): () => void;
  /** What the client does at this moment. */
  state(): KimballState;
  /** Sends what is queued now. Whether all of it is acknowledged; false behind `close()`. */
  flush(): Promise<boolean>;
  /**
   * Forgets what is queued and known of this user, and keeps nothing from here on, in this browser, until `optIn()`. The choice is kept in
   * localStorage: who clears that has not opted out any more.
   */
  optOut(): Promise<void>;
  optIn(): Promise<void>;
  /** Sends what is queued and ends. Whether all of it is acknowledged; what is not stays queued for the next time. */
  close(): Promise<boolean>;
}
