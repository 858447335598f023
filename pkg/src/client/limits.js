// What bounds the delivery.

/** What a page may have in flight when it is closed is 64 KiB. */
export const BODY_BYTES_MAX = 60_000;
/** What a body has around its events. */
export const ENVELOPE_BYTES = 40;
/** Events that tell of nothing but order wait for others, up to so many. */
export const QUIET_EVENTS_MAX = 20;
export const TIMEOUT_MS = 30_000;
/** Twice this after the first failure, twice as much after each other, and never more than the second. */
export const BACKOFF_FIRST_MS = 1_000;
export const BACKOFF_MAX_MS = 300_000;
