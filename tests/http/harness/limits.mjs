// What the tests of limits share.

import assert from 'node:assert/strict';

/** An event. */
export const did = (event_name, user_id, more = {}) => ({ event_name, user_id: String(user_id), ...more });

/** Asserts that a refusal names this limit and its value. */
export function limited(answer, status, code, limit, value) {
  const error = answer.refused(status, code);
  assert.deepEqual([error.limit, error.value], [limit, value]);
  return error;
}
