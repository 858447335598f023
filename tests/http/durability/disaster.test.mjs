// What the machine does to a server: kills at the worst moments, a full disk, a clock that jumps.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';

import { until } from '../harness/deadline.mjs';
import { Model } from '../harness/model.mjs';
import { parse, total } from '../harness/prometheus.mjs';
import { seeded } from '../harness/random.mjs';
import { FAULTS, serve, temporaryDirectory } from '../harness/server.mjs';

const KILLS = 12;

const users = (from, count, more = {}) => Array.from({ length: count }, (_, i) => ({
  event_name: `event ${i % 10}`, user_id: `u${from + i}`, ...more,
}));

/** A server with so many users in one shard that its compactions and loads take a while. */
async function grown(t, env) {
  const server = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '3600000', ...env }, build: FAULTS });
  for (let from = 0; from < 200_000; from += 10_000) await server.ingest(users(from, 10_000));
  (await server.post('/faults/compact?namespace=default&index=0')).expect(204);
  return server;
}

/** Sends a request and kills the server `afterMs` later; true if it was answered before. */
async function killDuring(server, send, afterMs) {
  const sent = send().then((answer) => answer, (error) => {
    if (error.code === undefined) throw error;
    return null;
  });
  await delay(afterMs);
  await server.stop('SIGKILL');
  return await sent !== null;
}

async function took(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

test(`${KILLS} times SIGKILL during a compaction: the state is what it was`, { timeout: 180_000 }, async (t) => {
  const server = await grown(t);
  const random = seeded(3);
  const compact = () => server.post('/faults/compact?namespace=default&index=0');
  await server.ingest(users(1_000_000, 1_000));
  const usualMs = await took(compact);
  let interrupted = 0;
  for (let round = 0; round < KILLS; round += 1) {
    await server.ingest(users(2_000_000 + 1_000 * round, 1_000));
    const { digest, journal_rows: rows } = await server.shard();
    if (!await killDuring(server, compact, random.next() * usualMs)) interrupted += 1;
    await server.start();
    const found = await server.shard();
    assert.equal(found.digest, digest);
    assert.ok([0, rows].includes(found.journal_rows), `all of the compaction or nothing of it: ${found.journal_rows} of ${rows}`);
  }
  assert.ok(interrupted >= KILLS / 4, `only ${interrupted} of ${KILLS} compactions were interrupted`);
  assert.equal((await server.get('/healthz')).json().status, 'ok');
});

test(`${KILLS} times SIGKILL during a shard's load: the state is what it was`, { timeout: 180_000 }, async (t) => {
  const server = await grown(t);
  const random = seeded(4);
  await server.ingest(users(1_000_000, 10_000));
  const { digest } = await server.shard();
  await server.restart({ signal: 'SIGKILL' });
  const usualMs = await took(() => server.analytics());
  let interrupted = 0;
  for (let round = 0; round < KILLS; round += 1) {
    await server.restart({ signal: 'SIGKILL' });
    const batch = users(1_000_000, 10_000);
    if (!await killDuring(server, () => server.post('/v0/analytics', batch), random.next() * usualMs)) interrupted += 1;
    await server.start();
    assert.equal((await server.shard()).digest, digest);
  }
  assert.ok(interrupted >= KILLS / 4, `only ${interrupted} of ${KILLS} loads were interrupted`);
});

/** A small file system in memory, unmounted after the test; `undefined` where this user may not mount one. */
async function smallDisk(t, bytes) {
  let directory;
  // Before the directory is removed: what is registered first is done first.
  t.after(() => spawnSync('umount', ['-l', directory]));
  directory = await temporaryDirectory(t);
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', directory]);
  return status === 0 ? directory : undefined;
}

test('a full disk: 503, reads go on or say so, and all is well once there is room', { timeout: 120_000 }, async (t) => {
  const disk = await smallDisk(t, 24 << 20);
  if (disk === undefined) {
    t.skip('a small file system cannot be mounted here (that takes root)');
    return;
  }
  const server = await serve(t, { stateDir: join(disk, 'state'), env: { SHARDS: '2' } });
  const model = new Model();
  await server.ingest(users(0, 500));
  model.applyAll(users(0, 500));
  // Somebody else's file takes what is left.
  const ballast = join(disk, 'ballast');
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(ballast, Buffer.alloc(bavail * bsize));
  const refused = [];
  for (let round = 1; round <= 40; round += 1) {
    const batch = users(1_000 * round, 200);
    const answer = await server.post('/v0/analytics', batch);
    if (answer.status === 204) {
      model.applyAll(batch);
    } else {
      answer.refused(503);
      assert.ok(Number(answer.headers['retry-after']) >= 1);
      refused.push(batch);
    }
  }
  assert.ok(refused.length > 30, `only ${refused.length} batches were refused`);
  const answer = await server.get('/v0/analytics');
  if (answer.status === 200) {
    // Of a refused batch, one of the two shards may have taken its part.
    const counted = answer.json().users;
    assert.ok(counted >= model.analytics().users, 'all that was acknowledged is there');
  } else {
    answer.refused(503);
  }
  rmSync(ballast);
  for (const batch of refused) {
    await until('room again', async () => (await server.post('/v0/analytics', batch)).status === 204);
    model.applyAll(batch);
  }
  assert.deepEqual(await server.analytics(), model.analytics());
  await server.restart();
  assert.deepEqual(await server.analytics(), model.analytics());
  assert.equal((await server.get('/healthz')).json().status, 'ok');
});

test('the clock jumps back and forth: nothing is lost, counted twice or stuck', { timeout: 60_000 }, async (t) => {
  const server = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '200' }, build: FAULTS });
  const days = (count) => count * 86_400_000;
  const model = new Model();
  const ages = [];
  for (const [round, offsetMs] of [0, days(-400), days(400), -3_600_000, days(10_000), days(-30_000), 0].entries()) {
    (await server.post(`/faults/clock?offset_ms=${offsetMs}`)).expect(204);
    const batch = users(100 * round, 100, { ensure_goal: true });
    await server.ingest(batch);
    await server.ingest(batch);
    model.applyAll(batch);
    const flag = { name: `of ${round}`, boolean: false, rollout_start: '2026-01-01T00:00:00Z', rollout_end: '2026-02-01T00:00:00Z' };
    (await server.post('/v0/featureSpecs', flag)).expect(204);
    const { features } = (await server.get('/v0/features')).expect(200).json();
    assert.equal(features[flag.name], Date.now() + offsetMs > Date.parse(flag.rollout_end), 'a flag follows the clock at once');
    (await server.get('/metrics')).expect(200);
    ages.push((await server.get('/v0/status')).expect(200).json().namespace.shards[0].snapshot_age_s ?? 0);
    assert.deepEqual(await server.analytics(), model.analytics(), `${offsetMs} ms`);
    (await server.post('/faults/compact?namespace=default&index=0')).expect(204);
  }
  assert.ok(ages.some((age) => age > 100 * 86_400), `the control: the server saw the jumps (${ages})`);
  assert.ok(ages.every((age) => age >= 0), 'a snapshot from the future is of age 0');
  await server.restart();
  const compactions = async () => total(parse((await server.get('/metrics')).expect(200).text), 'kimball_shard_compaction_duration_seconds_count');
  let from = 5_000;
  await until('a compaction by alarm', async () => {
    await server.ingest(users(from, 10));
    model.applyAll(users(from, 10));
    from += 10;
    return await compactions() > 0;
  });
  assert.deepEqual(await server.analytics(), model.analytics());
});
