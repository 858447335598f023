// State that earlier versions have written (tests/golden/state-N/, kept for ever): read exactly, and gone on with.
//
// | state | version |
// |---|---|
// | 1 | without generations and marks |
// | 2 | with them |

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';

import { batch, ENV, FLAG, model, NAMESPACES, NEXT, unpack } from '../harness/golden-state.mjs';
import { FAULTS, serve, temporaryDirectory } from '../harness/server.mjs';
import { tables } from '../harness/sqlite.mjs';

const STATES = readdirSync(new URL('../../golden/', import.meta.url)).filter((name) => name.startsWith('state-'));

async function holds(server, expected) {
  for (const namespace of NAMESPACES) assert.deepEqual(await server.analytics(namespace), expected.analytics(namespace));
  assert.deepEqual((await server.get('/v0/featureSpecs')).json(), { featureSpecs: [{ ...FLAG, user: [] }] });
  assert.equal((await server.get('/healthz')).json().status, 'ok');
}

for (const state of STATES) {
  test(`${state}: answered exactly, gone on with, compacted and read again`, { timeout: 60_000 }, async (t) => {
    const stateDir = await temporaryDirectory(t);
    unpack(state, stateDir);
    // Read from the files: the alarm that the state holds is long due, and a server compacts the journal at its start.
    for (const table of ['journal', 'snapshot']) {
      const shards = tables(stateDir, table).filter(({ rows }) => rows.length > 0);
      assert.equal(shards.length, NAMESPACES.length * 2, `shards of the state with a ${table}`);
    }
    const server = await serve(t, { stateDir, env: ENV, build: FAULTS });
    await holds(server, model());
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
    for (const namespace of NAMESPACES) {
      const { since, points } = (await server.get(`/v0/series?namespace=${encodeURIComponent(namespace)}`)).json();
      assert.deepEqual([since, points.length, points.at(-1).users, points.at(-1).complete], [tomorrow, 30, null, false], 'periods count from the next day on');
    }
    await server.ingest(batch(0));
    await holds(server, model());
    await server.ingest(batch(NEXT));
    await holds(server, model(1));
    for (const namespace of NAMESPACES) {
      for (const index of [0, 1]) (await server.post(`/faults/compact?namespace=${encodeURIComponent(namespace)}&index=${index}`)).expect(204);
    }
    await holds(server, model(1));
    await server.restart({ signal: 'SIGKILL' });
    await holds(server, model(1));
    assert.equal((await server.shard()).journal_rows, 0);
  });
}

test('a deploy under way: what Workers and objects of two versions send each other is refused, not guessed at', async (t) => {
  const server = await serve(t, { env: ENV, build: FAULTS });
  const expected = model();
  for (let round = 0; round < NEXT; round += 1) await server.ingest(batch(round));
  const isAhead = async (versions) => (await server.post(`/faults/version?ahead=${versions}`)).expect(204);
  for (const ahead of [1, 254]) {
    await isAhead(ahead);
    for (const namespace of NAMESPACES) {
      const answer = await server.get(`/v0/analytics?namespace=${encodeURIComponent(namespace)}`);
      answer.refused(503, 'storage_unavailable');
      assert.ok(Number(answer.headers['retry-after']) >= 1);
    }
    (await server.post('/v0/analytics', batch(NEXT))).refused(503, 'storage_unavailable');
    (await server.post('/v0/featureSpecs', FLAG)).refused(503, 'storage_unavailable');
    await isAhead(0);
    for (const namespace of NAMESPACES) assert.deepEqual(await server.analytics(namespace), expected.analytics(namespace));
  }
  (await server.post('/v0/featureSpecs', FLAG)).expect(204);
  await server.ingest(batch(NEXT));
  await holds(server, model(1));
});

test('the check finds another state', async (t) => {
  const stateDir = await temporaryDirectory(t);
  unpack(STATES[0], stateDir);
  const server = await serve(t, { stateDir, env: ENV });
  await assert.rejects(holds(server, model(1)));
});
