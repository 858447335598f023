// When the next request may be made. Times are of a clock that nobody sets.

import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS } from './limits.js';

const now = () => performance.now();

export function createPace() {
  /** Failures since the last request that was fine. */
  let failures = 0;
  /** Nothing is tried by itself before this time, our own back-off, and nothing at all before that of the server. */
  let backOffUntil = 0;
  let forbiddenUntil = 0;
  return {
    hasFailed: () => failures > 0,

    succeed() {
      failures = 0;
    },

    backOff() {
      failures += 1;
      const longest = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
      backOffUntil = now() + Math.random() * longest;
    },

    /** A Retry-After names seconds from now, or a date. */
    obey(after) {
      if (!after) return;
      const ms = after > 0 ? after * 1_000 : Date.parse(after) - Date.now();
      forbiddenUntil = now() + (ms || 0);
    },

    /** How long the server wants no request. */
    forbiddenMs: () => Math.max(0, forbiddenUntil - now()),

    /** How long nothing is to be tried by itself. */
    pauseMs: () => Math.max(0, backOffUntil - now(), forbiddenUntil - now()),
  };
}
