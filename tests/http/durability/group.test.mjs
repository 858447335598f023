// Group commit: batches that arrive together share journal rows, and nothing else: each is answered for itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Model } from '../harness/model.mjs';
import { parse, total } from '../harness/prometheus.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const TOGETHER = 60;
const ENV = { SHARDS: '1', COMPACTION_DELAY_MS: '3600000' };

const batch = (number, size = 5) => Array.from({ length: size }, (_, i) => ({
  event_name: ['view', 'cart', 'purchase'][i % 3], user_id: `${number}-${i >> 1}`, value: i, ensure_goal: i % 3 === 2,
}));

/** Sends all at the same time, each on a connection of its own. `done` gets their numbers in the order of the answers. */
const together = (server, batches, { faults = {}, done = [] } = {}) => Promise.all(batches.map(async (events, number) => {
  const headers = faults[number] ? { 'x-kimball-fault': faults[number] } : {};
  const answer = await server.post('/v0/analytics', events, { headers });
  done.push(number);
  return answer;
}));

test(`${TOGETHER} batches at a time share journal rows; the numbers are those of one after the other`, async (t) => {
  const server = await serve(t, { env: ENV, build: FAULTS });
  const model = new Model();
  await server.ingest(batch('first'));
  model.applyAll(batch('first'));
  for (let round = 0; round < 5; round += 1) {
    const batches = Array.from({ length: TOGETHER }, (_, number) => batch(`${round} ${number}`));
    for (const answer of await together(server, batches)) answer.expect(204);
    for (const events of batches) model.applyAll(events);
  }
  assert.deepEqual(await server.analytics(), model.analytics());
  const { journal_rows: rows } = await server.shard();
  assert.ok(rows < 5 * TOGETHER, `${rows} rows for ${5 * TOGETHER} batches: nothing was shared`);
  const metrics = parse((await server.get('/metrics')).expect(200).text);
  assert.equal(total(metrics, 'kimball_shard_batches_total'), 1 + 5 * TOGETHER, 'each batch counts');
  await server.restart({ signal: 'SIGKILL' });
  assert.deepEqual(await server.analytics(), model.analytics());
});

test('batches one after the other have a row each', async (t) => {
  const server = await serve(t, { env: ENV, build: FAULTS });
  for (let number = 0; number < 5; number += 1) await server.ingest(batch(number));
  assert.equal((await server.shard()).journal_rows, 5);
});

test('a batch that is refused leaves those beside it alone', async (t) => {
  const server = await serve(t, { env: { ...ENV, USERS_PER_EVENT_MAX: '100' }, build: FAULTS });
  const model = new Model();
  const small = Array.from({ length: TOGETHER }, (_, number) => [{ event_name: 'view', user_id: `${number}` }]);
  // More users than any event may have, so refused whenever its turn comes.
  const large = Array.from({ length: 101 }, (_, number) => ({ event_name: 'view', user_id: `large ${number}` }));
  const batches = small.flatMap((events, number) => (number % 10 === 5 ? [events, large] : [events]));
  const answers = await together(server, batches);
  answers.forEach((answer, number) => {
    if (batches[number] === large) answer.refused(507, 'users_full');
    else answer.expect(204);
  });
  for (const events of small) model.applyAll(events);
  assert.deepEqual(await server.analytics(), model.analytics());
  await server.restart({ signal: 'SIGKILL' });
  assert.deepEqual(await server.analytics(), model.analytics());
});

test('a journal write that fails acknowledges nothing of its group, and nobody waits for a call that is stuck', async (t) => {
  const server = await serve(t, { env: ENV, build: FAULTS });
  const model = new Model();
  const faults = { 20: 'journal-write', 40: 'slow-2000' };
  for (let round = 0; round < 3; round += 1) {
    const batches = Array.from({ length: TOGETHER }, (_, number) => batch(`${round} ${number}`));
    const done = [];
    const answers = await together(server, batches, { faults, done });
    assert.equal(done.at(-1), 40, 'the one that is stuck is the last');
    answers[20].refused(503, 'storage_unavailable');
    answers.forEach((answer, number) => {
      if (answer.status === 204) model.applyAll(batches[number]);
      else answer.refused(503, 'storage_unavailable');
    });
    assert.deepEqual(await server.analytics(), model.analytics(), 'what was acknowledged, and nothing else');
  }
});

test('panics amid a group: each call is answered, and resending makes it right', { timeout: 60_000 }, async (t) => {
  const server = await serve(t, { env: ENV, build: FAULTS });
  const model = new Model();
  const batches = Array.from({ length: TOGETHER }, (_, number) => batch(number));
  const faults = { 10: 'shard-panic', 30: 'shard-panic', 50: 'shard-panic' };
  const answers = await together(server, batches, { faults });
  answers.forEach((answer, number) => {
    if (faults[number]) answer.refused(503);
    else assert.ok([204, 503].includes(answer.status), answer.text);
  });
  for (const events of batches) {
    await server.ingest(events);
    model.applyAll(events);
  }
  assert.deepEqual(await server.analytics(), model.analytics());
});
