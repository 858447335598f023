// Batches whose effects take more room than one stored row may have.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Model } from '../harness/model.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const EVENTS = 10_000;
const USERS = 2_000;

test('a batch of many long combinations is stored in several rows, all or none', { timeout: 60_000 }, async (t) => {
  const env = {
    SHARDS: '1', EVENTS_PER_NAMESPACE_MAX: String(EVENTS), SHARD_MEMORY_BYTES_MAX: '1000000', COMPACTION_DELAY_MS: '3600000',
    JOURNAL_BYTES_MAX: '8388608',
  };
  const server = await serve(t, { env, build: FAULTS });
  // Names are registered before the shard refuses their counters, so that the next event has the last number.
  const names = Array.from({ length: EVENTS - 2 }, (_, i) => ({ event_name: `event ${i}`, user_id: 'somebody' }));
  (await server.post('/v0/analytics', names)).refused(507, 'shard_memory_full');
  // Who has done an event of such a number has a combination of more than a kilobyte.
  const long = Array.from({ length: USERS }, (_, i) => [
    { event_name: 'last', user_id: `${i}` }, { event_name: 'goal', user_id: `${i}`, ensure_goal: true },
  ]).flat();
  const model = new Model();
  await server.ingest(long);
  model.applyAll(long);
  const { journal_rows: rows } = await server.shard();
  assert.ok(rows > 1, 'one row would have more bytes than one may have');
  assert.deepEqual(await server.analytics(), model.analytics());
  await server.restart({ signal: 'SIGKILL' });
  assert.deepEqual(await server.analytics(), model.analytics());
});
