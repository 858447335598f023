// What bounds the delivery, and every wait. A wait that has no bound can hold up a page, and all others, for good.

/** What a page may have in flight when it is closed is 64 KiB. */
export const BODY_BYTES_MAX = 60_000;
/** What a body has around its events. */
export const ENVELOPE_BYTES = 40;
/** Events that tell of nothing but order wait for others, up to so many. */
export const QUIET_EVENTS_MAX = 20;

/** For one request and its answer. */
export const TIMEOUT_MS = 30_000;
/** For the JavaScript behind the shell, and for the wasm. */
export const LOAD_MS = 15_000;
export const WASM_MS = 10_000;
/** For one step of a database, of which few are behind one another. */
export const STORAGE_MS = 5_000;
/** For the lock of the queue: longer than who has it can take, unless it is a page that stands still. */
export const QUEUE_LOCK_MS = 10_000;
/** For the lock of sending: longer than a request and what is stored after it. */
export const SEND_LOCK_MS = TIMEOUT_MS + QUEUE_LOCK_MS;

/** Twice this after the first failure, twice as much after each other, and never more than the second. */
export const BACKOFF_FIRST_MS = 1_000;
export const BACKOFF_MAX_MS = 300_000;
/** A storage that has failed is tried again after this, twice as much after each other, and never more than the second. */
export const REOPEN_FIRST_MS = 1_000;
export const REOPEN_MAX_MS = 60_000;
/** The longest that a timer can wait. */
export const TIMER_MS_MAX = 2 ** 31 - 1;
/** Refusals in a row of events that the server names, until there is a pause. */
export const NAMED_REFUSALS_MAX = 8;

/** An event that was refused is not tried again by the same page for so long. */
export const REFUSED_MS = 600_000;
/** Events that were lost and are remembered one by one; beyond it all is forgotten. */
export const LOST_MAX = 1_000;

/** What was seen takes so much memory, unless an option says otherwise; and twice as much. */
export const SEEN_BYTES_MAX = 1 << 20;
/** What is new of it is stored apart up to this, or to the size of the rest. */
export const CHANGES_BYTES_MIN = 4_096;
/** The longest name or user id that a server takes, unless it is set up otherwise. */
export const NAME_BYTES_MAX = 256;
/** The greatest magnitude of a value. */
export const VALUE_MAX = 1e300;
