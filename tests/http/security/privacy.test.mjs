// No user id, and nothing that links one user's events to each other, is ever at rest or in the log.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { query } from '../harness/client.mjs';
import { until } from '../harness/deadline.mjs';
import { occurrences } from '../harness/files.mjs';
import { decodeSection, fingerprintsWithin } from '../harness/snapshot.mjs';
import { tables } from '../harness/sqlite.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

// Every spelling that is searched for is long enough not to occur by chance.
const MARK = 'Qx7Zw9KpUserIdMark';
const EVENT_MARK = 'Jv4Hd2RtEventNameMark';
const id = (i) => `${MARK} "ü\\ ${i}`;

/** Everything that a request with a user id can do: be stored, be repeated, be refused, be cut off, record a feature. */
async function exercise(server) {
  const events = Array.from({ length: 50 }, (_, i) => ({
    event_name: `${EVENT_MARK} ${i % 3}`, user_id: id(i >> 1), value: i, ensure_goal: i % 3 === 2,
  }));
  await server.ingest(events);
  await server.ingest(events);
  await server.ingest({ event_name: EVENT_MARK, user_id: id('alone'), namespace: 'other' });
  for (const bad of [{ event_name: 1 }, { event_name: 'A', value: 'x' }, { event_name: 'A', datetime: 'x' }, { event_name: 'A', namespace: '' },
    { event_name: 'A', user_id: [id(0)] }, { event_name: 'A', user_id: id('x'.repeat(300)) }]) {
    (await server.post('/v0/analytics', [events[0], { user_id: id(0), ...bad }])).expect(400);
  }
  const headers = { 'content-type': 'application/json' };
  (await server.request('POST', '/v0/analytics', { headers, body: JSON.stringify(events).slice(0, -5) })).expect(400);
  (await server.request('POST', '/v0/analytics', { headers: { 'content-type': 'text/plain' }, body: JSON.stringify(events) })).expect(400);
  (await server.request('POST', `/v0/nothing/${MARK}`, { headers, body: JSON.stringify(events) })).expect(404);
  (await server.request('PUT', '/v0/analytics', { headers, body: JSON.stringify(events) })).expect(405);
  const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');
  const feature = { context_obj: base64({ feature: `${EVENT_MARK} feature` }) };
  (await server.get(`/v0/features${query({ user_obj: base64({ user_id: id('flag') }), ...feature })}`)).expect(200);
  (await server.get(`/v0/features${query({ user_obj: base64(`{"user_id":"${MARK}"`), ...feature })}`)).expect(400);
  (await server.get(`/v0/analytics?namespace=default&user_id=${MARK}`)).expect(200);
  await until('the feature event', async () => (
    (await server.analytics()).counts.some(({ name }) => name === `${EVENT_MARK} feature`)));
}

for (const key of ['given', 'generated']) {
  test(`a marked user id is nowhere in the state or the log, with a ${key} key`, async (t) => {
    const env = { COMPACTION_DELAY_MS: '3600000', ...(key === 'generated' ? { HASH_KEY: '' } : {}) };
    const server = await serve(t, { env, build: FAULTS });
    const absent = (moment) => {
      assert.deepEqual(occurrences(MARK, server.stateDir, server.log), [], moment);
      // The control: the search does find what is stored.
      assert.notDeepEqual(occurrences(EVENT_MARK, server.stateDir), [], moment);
    };
    await exercise(server);
    assert.ok((await server.shard()).journal_rows > 0);
    absent('while running, with a journal');
    await server.stop('SIGKILL');
    absent('after a kill, with a journal');
    await server.start();
    await exercise(server);
    for (const fault of ['shard-panic', 'shard-trap', 'worker-panic', 'worker-trap', 'journal-write']) {
      const body = { event_name: 'A', user_id: id(fault) };
      (await server.post('/v0/analytics', body, { headers: { 'x-kimball-fault': fault } })).expect(503);
    }
    absent('after faults');
    for (let index = 0; index < 4; index += 1) (await server.post(`/faults/compact?namespace=default&index=${index}`)).expect(204);
    assert.equal((await server.shard()).journal_rows, 0);
    absent('after compaction');
    await server.stop('SIGTERM');
    absent('after a clean stop');
  });
}

test('the search finds every spelling of the mark', async () => {
  const { spellings } = await import('../harness/files.mjs');
  const found = Object.entries(spellings(MARK));
  for (const [spelling, bytes] of found) assert.ok(bytes.length >= MARK.length, spelling);
  for (let shift = 0; shift < 3; shift += 1) {
    const encoded = Buffer.from(`${'x'.repeat(shift)}${MARK} and more`).toString('base64');
    assert.ok(found.some(([, bytes]) => encoded.includes(bytes.toString())), `base64 at ${shift}`);
  }
});

/** The `row` column of this table in every database of a server that has been stopped. */
const blobs = (server, table) => tables(server.stateDir, table)
  .map(({ path, rows }) => ({ path, rows: rows.map(({ values: [, row] }) => row) }));

test('two events with the same users share no stored value, and the journal holds none in the clear', async (t) => {
  const users = 4_000;
  const env = { SHARDS: '1', COMPACTION_DELAY_MS: '3600000', JOURNAL_BYTES_MAX: '8000000' };
  const server = await serve(t, { env, build: FAULTS });
  const datetime = new Date().toISOString();
  const event = (name, i, more) => ({ event_name: name, user_id: `user-${i}`, namespace: 'linked', datetime, ...more });
  for (let from = 0; from < users; from += 500) {
    await server.ingest(Array.from({ length: 500 }, (_, i) => [event('A', from + i), event('B', from + i, { value: 1 })]).flat());
  }
  // The same users do the same event in another namespace, too.
  await server.ingest(Array.from({ length: users }, (_, i) => ({ ...event('A', i), namespace: 'elsewhere' })));
  await server.stop('SIGKILL');
  const journal = blobs(server, 'journal').flatMap(({ rows }) => rows);
  assert.equal(journal.length, users / 500 + 1);

  await server.start();
  for (const namespace of ['linked', 'elsewhere']) (await server.post(`/faults/compact?namespace=${namespace}&index=0`)).expect(204);
  await server.stop('SIGKILL');
  const shards = blobs(server, 'snapshot').filter(({ rows }) => rows.length > 0);
  assert.equal(shards.length, 2);
  const sections = shards.flatMap(({ rows }) => rows.map(decodeSection)).filter(({ fingerprints }) => fingerprints.length > 0);
  // All users, A and B of one namespace; all users and A of the other. Of each event a day and a week, of anybody a month, too.
  assert.equal(sections.length, 3 + 2 * 2 + 3 + 2 + 2 + 3);
  for (const { fingerprints } of sections) assert.equal(new Set(fingerprints).size, users);

  // By chance 4,000² / 2^36 = 0.0002 values of two sets are common, other ones every day: two of one pair, once in 200,000 runs.
  for (const [i, one] of sections.entries()) {
    const values = new Set(one.fingerprints);
    for (const other of sections.slice(i + 1)) {
      assert.ok(other.fingerprints.filter((value) => values.has(value)).length <= 1, 'sets of the same users can be joined');
    }
  }

  // Sealed rows are random bytes: among so many positions a few dozen bits match by chance once in hundreds of runs.
  const all = sections.flatMap(({ fingerprints }) => fingerprints);
  const matches = journal.reduce((sum, row) => sum + fingerprintsWithin(row, all), 0);
  assert.ok(matches <= 3, `${matches} stored fingerprints are in the journal`);
  // The control: the search finds fingerprints in a row that is not sealed.
  const open = Buffer.alloc(16);
  open.writeBigUInt64LE(all[0] << 28n, 3);
  assert.equal(fingerprintsWithin(open, all), 1);
});

test('the same users under another key have other fingerprints', async (t) => {
  const datetime = new Date().toISOString();
  const stored = async (HASH_KEY) => {
    const server = await serve(t, { env: { SHARDS: '1', HASH_KEY }, build: FAULTS });
    await server.ingest(Array.from({ length: 1_000 }, (_, i) => ({ event_name: 'A', user_id: i, datetime })));
    (await server.post('/faults/compact?namespace=default&index=0')).expect(204);
    await server.stop('SIGKILL');
    return blobs(server, 'snapshot').flatMap(({ rows }) => rows.flatMap((row) => decodeSection(row).fingerprints));
  };
  const [one, same, other] = [await stored('11'.repeat(32)), await stored('11'.repeat(32)), await stored('22'.repeat(32))];
  // All users and A; A by day and week, anybody by day, week and month.
  assert.equal(one.length, 7_000);
  assert.deepEqual(one, same, 'the control: equal keys give equal fingerprints');
  const values = new Set(one);
  assert.equal(other.filter((value) => values.has(value)).length, 0);
});
