// Waiting without sleeping: ask again until the answer is there or the deadline has passed.

import { setTimeout as delay } from 'node:timers/promises';

const INTERVAL_MS = 25;

/**
 * Calls `ask` until it returns something truthy, and returns that.
 * Fails with `what` and the last answer when the deadline has passed.
 */
export async function until(what, ask, deadlineMs = 20_000) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what} (last answer: ${answer})`);
    await delay(INTERVAL_MS);
  }
}

/** Fails when `promise` has not settled within the deadline: a hung request is a failed test, not a hung run. */
export async function within(what, promise, deadlineMs) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
