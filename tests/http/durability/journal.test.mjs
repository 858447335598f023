// A journal that is short beside what it changes stays, and is marked: alarms write rows, not the set. It survives what a
// snapshot survives, is counted, deleted and closed with, and is compacted once it is long or old.

import assert from 'node:assert/strict';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { checkpoint, databases, sql } from '../harness/damage.mjs';
import { until } from '../harness/deadline.mjs';
import { parse, total } from '../harness/prometheus.mjs';
import { FAULTS, serve } from '../harness/server.mjs';
import { tables } from '../harness/sqlite.mjs';

const USERS = 40_000;
const BATCH = 10_000;
const LATER = '3600000';
// A row of the journal and its alarm; the generation, the marked rows and the mark in the shard, and the registry's; the alarm for when
// the journal is old.
const ROWS_OF_A_MARKED_EVENT = 7;
const DAY_MS = 86_400_000;
// An alarm that should have come so long ago is set again: it does not know that the clock was set.
const OVERDUE_MS = 90_000;

const visits = (from, count, event_name = 'Visit') => Array.from({ length: count }, (_, i) => ({ event_name, user_id: `u${from + i}` }));
const compact = async (server) => (await server.post('/faults/compact?namespace=default&index=0')).expect(204);

/**
 * A server with one shard whose snapshot is large, and no journal. It is without series: sets of periods change with every day, and have an
 * alarm to close (../api/series.test.mjs).
 */
async function grown(t, idleMs, env = {}) {
  const server = await serve(t, { env: { SHARDS: '1', TIME_FINGERPRINTS_MAX: '0', ...env, COMPACTION_DELAY_MS: LATER }, build: FAULTS });
  for (let from = 0; from < USERS; from += BATCH) await server.ingest(visits(from, BATCH));
  await compact(server);
  // Only now, so that no alarm of these batches is still to come.
  await server.restart({ env: { COMPACTION_DELAY_MS: idleMs } });
  return server;
}

const metric = async (server, name) => total(parse((await server.get('/metrics')).expect(200).text), name);
const rowsWritten = (server) => metric(server, 'kimball_rows_written_total');
const compactions = (server) => metric(server, 'kimball_shard_compaction_duration_seconds_count');
const loads = (server) => metric(server, 'kimball_shard_load_duration_seconds_count');

/** Sends one new user, and waits until an alarm has marked the row. */
async function marked(server, user, event) {
  const before = await rowsWritten(server);
  await server.ingest(visits(user, 1, event));
  await until('the mark', async () => await rowsWritten(server) >= before + ROWS_OF_A_MARKED_EVENT);
}

async function counts(server) {
  const { counts: events, users } = await server.analytics();
  return { users, ...Object.fromEntries(events.map(({ name, count }) => [name, count])) };
}

/** Of a stopped server. */
const database = (server) => tables(server.stateDir, 'snapshot').map(({ path }) => path)[0];
const settings = (path) => Object.fromEntries(sql(path, 'SELECT name, value FROM setting').map(([name, value]) => [name, Number(value)]));
/** Hours until the alarm of each shard that has one. */
const alarms = (server) => Object.fromEntries(databases(server.stateDir).filter((path) => path.endsWith('shard/metadata.sqlite'))
  .flatMap((path) => sql(path, 'SELECT actor_id, scheduled_time FROM _cf_ALARM'))
  .map(([id, time]) => [id, (Number(time) / 1e6 - Date.now()) / 3_600_000]));
const isAboutADay = (hours) => hours > 23 && hours <= 24;

test('a trickle into a large set writes rows, and the set once the journal is a share of it', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, '50');
  assert.equal((await counts(server)).Visit, USERS);
  const before = await rowsWritten(server);
  for (let nth = 0; nth < 12; nth += 1) await marked(server, USERS + nth);
  assert.equal((await server.shard()).journal_rows, 12);
  assert.equal(await compactions(server), 0);
  assert.equal(await rowsWritten(server) - before, 12 * ROWS_OF_A_MARKED_EVENT);
  await server.ingest(visits(USERS + 12, 5_000));
  await until('a compaction', async () => (await server.shard()).journal_rows === 0);
  assert.equal(await compactions(server), 1);
  assert.deepEqual(await counts(server), { users: USERS + 5_012, Visit: USERS + 5_012 });
  await server.stop();
  assert.equal(settings(database(server)).marked_rows, undefined);
});

test('what a trickle changes decides, not what else the shard holds', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, LATER);
  // Users who are known do something else: its set is small, and the one of all users stays as it is.
  await server.ingest(visits(0, 10, 'Cart'));
  await server.restart({ env: { COMPACTION_DELAY_MS: '50' } });
  let carts = 10;
  await until('a compaction', async () => {
    await server.ingest(visits(carts, 1, 'Cart'));
    carts += 1;
    return await compactions(server) > 0;
  });
  assert.ok(carts < 100, `${carts}`);
  assert.deepEqual(await counts(server), { users: USERS, Visit: USERS, Cart: carts });
});

test('a journal that stays survives any end, has an alarm for when it is old, and is counted without a load', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, '50');
  for (let nth = 0; nth < 3; nth += 1) await marked(server, USERS + nth);
  const { digest } = await server.shard();
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await server.restart({ signal });
    const metrics = parse((await server.get('/metrics/counters')).expect(200).text);
    assert.equal(total(metrics, 'kimball_counter', { name: 'Visit' }), USERS + 3);
    assert.equal(await loads(server), 0, 'the row of counts is that of the snapshot, whatever the generation');
    const before = await rowsWritten(server);
    assert.deepEqual(await counts(server), { users: USERS + 3, Visit: USERS + 3 });
    (await server.get('/v0/status')).expect(200);
    const shard = await server.shard();
    assert.deepEqual([shard.digest, shard.journal_rows], [digest, 3]);
    assert.equal(await rowsWritten(server), before, 'a read writes nothing, and sets no other alarm');
  }
  await server.stop();
  const hours = Object.values(alarms(server));
  assert.ok(hours.length === 1 && hours.every(isAboutADay), `${hours}`);
  // What comes behind the marked rows has no mark, and is as durable.
  await server.restart({ env: { COMPACTION_DELAY_MS: LATER } });
  await server.ingest(visits(USERS + 3, 1));
  await server.restart({ signal: 'SIGKILL', env: { COMPACTION_DELAY_MS: LATER } });
  const metrics = parse((await server.get('/metrics/counters')).expect(200).text);
  assert.equal(total(metrics, 'kimball_counter', { name: 'Visit' }), USERS + 4);
  assert.deepEqual(await counts(server), { users: USERS + 4, Visit: USERS + 4 });
});

test('a log that lost its end behind an alarm that only marked is refused, or all is there', { timeout: 120_000 }, async (t) => {
  const server = await grown(t, LATER);
  await server.stop();
  checkpoint(server.stateDir);
  const path = database(server);
  await server.restart({ env: { COMPACTION_DELAY_MS: '50' } });
  await marked(server, USERS);
  await server.stop('SIGKILL');
  const log = `${path}-wal`;
  const whole = readFileSync(log);
  const frame = 24 + 4_096;
  const frames = Math.floor((statSync(log).size - 32) / frame);
  assert.ok(frames >= 3, `${frames} frames`);
  const outcomes = [];
  for (let kept = frames; kept >= 0; kept -= 1) {
    writeFileSync(log, whole);
    truncateSync(log, 32 + kept * frame);
    await server.start();
    const answer = await server.get('/v0/analytics');
    if (answer.status === 200) {
      assert.deepEqual(await counts(server), { users: USERS + 1, Visit: USERS + 1 });
    } else {
      answer.refused(503, 'storage_unavailable');
      const [{ what }] = (await server.get('/v0/status')).json().namespace.shards;
      assert.match(what, /^shard default\/0, age: it is of generation \d+, and generation \d+ was acknowledged$/);
    }
    outcomes.push(answer.status);
    await server.stop('SIGKILL');
  }
  assert.equal(outcomes[0], 200);
  const firstRefused = outcomes.indexOf(503);
  assert.ok(firstRefused > 0 && outcomes.slice(firstRefused).every((status) => status === 503), `${outcomes}`);
  // With the row that was acknowledged still in it, too.
  assert.ok(outcomes.length - firstRefused > 1, `${outcomes}`);
});

test('a deletion with a journal that stays: it is gone, and the rest is exact', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, '50');
  await marked(server, USERS);
  await marked(server, USERS + 1);
  // Of the journal alone, and of the snapshot.
  await server.restart({ env: { COMPACTION_DELAY_MS: LATER } });
  await server.ingest(visits(USERS, 2, 'Cart'));
  (await server.request('DELETE', '/v0/events/Cart')).expect(204);
  assert.equal((await server.shard()).journal_rows, 0);
  await server.restart({ signal: 'SIGKILL', env: { COMPACTION_DELAY_MS: '50' } });
  assert.deepEqual(await counts(server), { users: USERS + 2, Visit: USERS + 2 });
  await marked(server, USERS + 2);
  (await server.request('DELETE', '/v0/events/Visit')).expect(204);
  await server.restart({ signal: 'SIGKILL' });
  assert.deepEqual(await counts(server), { users: USERS + 3 });
  await server.stop();
  assert.equal(settings(database(server)).marked_rows, undefined);
});

test('a journal that is a day old is compacted by a write or a read, however short', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, '50');
  await marked(server, USERS);
  (await server.post(`/faults/clock?offset_ms=${DAY_MS - 3_600_000}`)).expect(204);
  await marked(server, USERS + 1);
  assert.equal((await server.shard()).journal_rows, 2);
  (await server.post(`/faults/clock?offset_ms=${DAY_MS + OVERDUE_MS}`)).expect(204);
  await server.ingest(visits(USERS + 2, 1));
  await until('a compaction', async () => (await server.shard()).journal_rows === 0);
  await marked(server, USERS + 3);
  (await server.post(`/faults/clock?offset_ms=${2 * DAY_MS + 2 * OVERDUE_MS}`)).expect(204);
  assert.deepEqual(await counts(server), { users: USERS + 4, Visit: USERS + 4 });
  await until('a compaction', async () => (await server.shard()).journal_rows === 0);
  assert.deepEqual(await counts(server), { users: USERS + 4, Visit: USERS + 4 });
});

test('the journal of a small state is gone within the hour, also where nobody asks the shard', { timeout: 60_000 }, async (t) => {
  const server = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '50' }, build: FAULTS });
  await server.ingest(visits(0, 1));
  await until('the first compaction', async () => await compactions(server) >= 1);
  const before = await compactions(server);
  (await server.post('/faults/clock?offset_ms=0&speed=600')).expect(204);
  await server.ingest(visits(1, 1));
  // Six seconds are an hour. The metrics ask no shard that is open.
  await until('a compaction', async () => await compactions(server) > before);
  assert.equal((await server.shard()).journal_rows, 0);
  assert.deepEqual(await counts(server), { users: 2, Visit: 2 });
});

test('a shard that is closed with a short journal is marked, and leaves the alarm for when it is old', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, LATER, { OPEN_SHARDS_MAX: '4' });
  await server.ingest(visits(USERS, 1));
  for (let nth = 0; nth < 8; nth += 1) await server.ingest({ ...visits(0, 1)[0], namespace: `other ${nth}` });
  await server.stop();
  const large = tables(server.stateDir, 'snapshot').find(({ rows }) => rows.some(({ values }) => values[1].length > 50_000)).path;
  const id = large.match(/([0-9a-f]{64})\.sqlite$/)[1];
  const { [id]: own, ...others } = alarms(server);
  assert.ok(isAboutADay(own), `${own} hours`);
  assert.ok(Object.values(others).some((hours) => hours > 0 && hours <= 1), 'those that are open have theirs');
  assert.deepEqual(sql(large, 'SELECT count(*) FROM journal'), [['1']]);
  assert.equal(settings(large).marked_rows % 2 ** 20, 1);
  await server.start();
  assert.deepEqual(await counts(server), { users: USERS + 1, Visit: USERS + 1 });
});

test('what a version leaves behind that knows no marked rows is read exactly', { timeout: 60_000 }, async (t) => {
  const server = await grown(t, '50');
  await marked(server, USERS);
  await server.stop();
  const path = database(server);
  // It has compacted: the journal is empty, the generation one more, and the marked rows are still there.
  await server.restart({ env: { COMPACTION_DELAY_MS: LATER } });
  await compact(server);
  await server.stop();
  sql(path, `INSERT OR REPLACE INTO setting(name, value) VALUES('marked_rows', ${2 ** 20 + 1})`);
  const counted = async () => total(parse((await server.get('/metrics/counters')).expect(200).text), 'kimball_counter', { name: 'Visit' });
  await server.start();
  assert.equal(await counted(), USERS + 1);
  // As many rows as are said to be marked, and none of them is.
  await server.ingest(visits(USERS + 1, 1));
  await server.restart({ env: { COMPACTION_DELAY_MS: '50' }, signal: 'SIGKILL' });
  assert.equal(await counted(), USERS + 2);
  for (let nth = 2; nth < 4; nth += 1) await marked(server, USERS + nth);
  await server.restart({ signal: 'SIGKILL' });
  assert.deepEqual(await counts(server), { users: USERS + 4, Visit: USERS + 4 });
  await server.stop();
  assert.equal(settings(path).marked_rows % 2 ** 20, 3);
});
