/** What a client can be told. */
export interface KimballOptions {
  /** Address of the server, such as `https://analytics.example`, or `/kimball` for one under a path of the page's host. Default: the page's own origin. */
  url?: string;
  /** A token with the scope `ingest`, which may only add events and ask for flags. */
  token?: string;
  /** Namespace of events that name none. Default `"default"`. */
  namespace?: string;
  /** Events that wait before they are sent at once, and the most of one request. Default 100, at most 10,000. Where they tell of order only, 20. */
  batchEvents?: number;
  /** Milliseconds after which fewer are sent. Default 2,000. Events that tell of order only wait for another one, or until the page is hidden. */
  batchMs?: number;
  /** Events that are queued; beyond it the oldest are lost, counted and reported (`evicted`). Default 1,000. */
  queueEventsMax?: number;
  /** Where the queue lives. `auto` (default): IndexedDB, else localStorage, else memory. */
  storage?: 'auto' | 'memory';
  /**
   * What is sent: `'order'` (default) whatever a funnel can depend on, `'day'` a user's first of each event on a day, `'week'` in an ISO
   * week; `false` every event, repeats included. The server may say that less is enough for the day; then less is sent.
   */
  preAggregate?: 'order' | 'day' | 'week' | false;
  /** Bounds of the aggregator: see `AggregatorOptions` of `kimball-edge/aggregator`. */
  memory?: { memoryBytesMax?: number; pendingBytesMax?: number; nameBytesMax?: number };
  /** Sends SHA-256 of `salt ‖ 0 ‖ user id`, in hexadecimal, in the place of user ids. Needs a secure context. */
  blind?: boolean;
  /** The public salt of `blind`. Default: the page's host name. */
  salt?: string;
  /** True counts users who send Global Privacy Control or Do Not Track, too. Default false. */
  ignorePrivacySignals?: boolean;
  /** Milliseconds for which flags are kept. Default 60,000. */
  featuresMs?: number;
  /** Hears of everything that goes wrong; nothing is thrown. Default `console.warn`. */
  onError?: (error: KimballError) => void;
  /** Loads the parts behind the shell. For service workers, which cannot `import()`: `async () => parts`. */
  parts?: () => Promise<unknown>;
}

export interface KimballError extends Error {
  /**
   * - `invalid`: a call that the server would refuse; it was left out.
   * - `refused`: the server refused events (`count` of them); they were left out.
   * - `evicted`: the queue was full; `count` events are lost.
   * - `unavailable`: the server cannot be reached or answers with an error; it is tried again.
   * - `storage`: stored data is damaged, or cannot be written; it goes on in memory.
   * - `saturated`: the aggregator's memory is full; repeats may be sent.
   * - `wasm`: the wasm cannot be loaded; events are sent without pre-aggregation.
   * - `blind`: the user id cannot be hashed here; events are held.
   * - `failed`: anything else.
   */
  readonly code: 'invalid' | 'refused' | 'evicted' | 'unavailable' | 'storage' | 'saturated' | 'wasm' | 'blind' | 'failed';
  /** Events concerned, where that is known. */
  readonly count?: number;
}

export interface TrackOptions {
  /** Summed up over users: only that of a user's first occurrence counts. */
  value?: number | null;
  /** Makes the event a goal. The token must be allowed to. */
  ensureGoal?: boolean;
  namespace?: string;
  /** When it was done. Default: now. The day is all that is sent of it. */
  at?: Date | number | string;
}

/** Counts events of one user at a time, and asks for their flags. No method throws, and no promise rejects. */
export class KimballClient {
  constructor(options?: KimballOptions);
  /** Takes an event. Resolves once it is queued, or known to be a repeat. */
  track(event: string, options?: TrackOptions): Promise<void>;
  /**
   * Says who the user is: events before it, held until then, go out under this id. `properties` are sent to the server
   * only to evaluate flags. Null: nobody again.
   */
  identify(userId: string | number | null, properties?: Record<string, string | number>): Promise<void>;
  /** Whether a flag is on; `fallback` (default false) where it does not exist or no answer was ever had. */
  feature(name: string, fallback?: boolean): Promise<boolean>;
  /** All flags of this user. */
  features(): Promise<Record<string, boolean>>;
  /** Calls back with all flags when they change; asks every `featuresMs`. Answers how to stop. */
  onChange(listener: (features: Record<string, boolean>) => void): () => void;
  /** Sends what is queued now. Whether all of it is acknowledged. */
  flush(): Promise<boolean>;
  /** Forgets what is queued and known of this user, and keeps nothing from here on, in this browser, until `optIn()`. */
  optOut(): Promise<void>;
  optIn(): Promise<void>;
  /** Sends what is queued and ends. Whether all of it is acknowledged; what is not stays queued for the next time. */
  close(): Promise<boolean>;
}
