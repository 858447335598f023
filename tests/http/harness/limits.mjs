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

/**
 * The answer to a body that is refused before all of it is sent. The server then closes the connection, and Node,
 * where a write fails first, gives up without reading the answer that is there already: so it is asked again.
 */
export async function answered(request, tries = 50) {
  try {
    return await request();
  } catch (error) {
    if (!['ECONNRESET', 'EPIPE'].includes(error.code) || tries === 0) throw error;
    return answered(request, tries - 1);
  }
}
