// Storage that was damaged, cut off, lost or taken back to an earlier time: never answered from as if nothing were
// wrong. The namespace concerned answers 503, /healthz and the metrics say so, all others go on.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { checkpoint, databases } from './harness/damage.mjs';
import { filesUnder } from './harness/files.mjs';
import { Model } from './harness/model.mjs';
import { parse, total } from './harness/prometheus.mjs';
import { seeded } from './harness/random.mjs';
import { serve, temporaryDirectory } from './harness/server.mjs';
import { tables } from './harness/sqlite.mjs';

const SHOP = 'shop';
const SOUND = 'sound';
// Every batch is compacted, so that every one that is acknowledged has its mark.
const ENV = { SHARDS: '1', JOURNAL_ROWS_MAX: '1' };
const FLIPS = 60;

const batch = (namespace, round) => Array.from({ length: 40 }, (_, i) => ({
  event_name: `${namespace} ${i % 4}`, user_id: `${round}-${i >> 2}`, namespace, ensure_goal: i % 4 === 3, value: i,
}));

/** A server with two namespaces, stopped, and its model. */
async function stored(t, { signal = 'SIGKILL', rounds = 3 } = {}) {
  const server = await serve(t, { env: { ...ENV } });
  const model = new Model();
  for (let round = 0; round < rounds; round += 1) {
    for (const namespace of [SHOP, SOUND]) {
      await server.ingest(batch(namespace, round));
      model.applyAll(batch(namespace, round));
    }
  }
  await server.stop(signal);
  return { server, model };
}

/** The databases of the shards of the two namespaces; which is whose their names do not tell. */
function shardDatabases(server) {
  const shards = tables(server.stateDir, 'snapshot').map(({ path }) => path);
  assert.equal(shards.length, 2);
  return shards;
}

const keep = async (t, server) => {
  const copy = await temporaryDirectory(t);
  cpSync(server.stateDir, copy, { recursive: true });
  return () => {
    for (const path of filesUnder(server.stateDir)) rmSync(path);
    cpSync(copy, server.stateDir, { recursive: true });
  };
};

const flip = (path, at) => {
  const bytes = readFileSync(path);
  bytes[at >> 3] ^= 1 << (at & 7);
  writeFileSync(path, bytes);
};

/** Which of the namespaces answer; each that does must answer exactly. */
async function answering(server, model) {
  const sound = [];
  for (const namespace of [SHOP, SOUND]) {
    const answer = await server.get(`/v0/analytics?namespace=${namespace}`);
    if (answer.status === 200) {
      assert.deepEqual(answer.json(), model.analytics(namespace), namespace);
      sound.push(namespace);
    } else {
      answer.refused(503, 'storage_unavailable');
    }
  }
  return sound;
}

async function isTold(server, sound) {
  const lost = [SHOP, SOUND].find((namespace) => !sound.includes(namespace));
  const { status, unreadable_shards: unreadable } = (await server.get('/healthz')).expect(200).json();
  assert.deepEqual([status, unreadable], ['degraded', 1]);
  const metrics = parse((await server.get('/metrics')).expect(200).text);
  for (const namespace of [SHOP, SOUND]) {
    const labels = { kimball_namespace: namespace, shard: '0' };
    assert.equal(total(metrics, 'kimball_shard_unreadable', labels), namespace === lost ? 1 : 0);
  }
  for (const path of ['/metrics/counters', '/metrics/predictions']) {
    const found = parse((await server.get(path)).expect(200).text);
    assert.equal(total(found, 'kimball_namespace_unreadable', { kimball_namespace: lost }), 1, path);
  }
  (await server.post('/v0/analytics', batch(lost, 9))).refused(503, 'storage_unavailable');
  assert.match(server.log, /what is stored cannot be used|storage unavailable/);
}

const DAMAGES = {
  'the first frame of its log has a flipped bit': (path) => flip(`${path}-wal`, 8 * 200),
  'its log is cut off in the middle': (path) => truncateSync(`${path}-wal`, statSync(`${path}-wal`).size >> 1),
  'its log is gone': (path) => rmSync(`${path}-wal`),
  'it is gone': (path) => { for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true }); },
  'it is empty': (path) => { truncateSync(path, 0); rmSync(`${path}-wal`, { force: true }); },
};
const DAMAGES_AFTER_CHECKPOINT = {
  'it is cut off in the middle': (path) => truncateSync(path, statSync(path).size >> 1),
  'a page says that it has fewer rows': (path) => {
    // The number of cells is at byte 3 of a leaf page; page 1 has the schema behind the header of the file.
    const bytes = readFileSync(path);
    const size = bytes.readUInt16BE(16);
    const page = Array.from({ length: bytes.length / size - 1 }, (_, i) => (i + 1) * size)
      .find((at) => bytes[at] === 13 && bytes.readUInt16BE(at + 3) > 1);
    bytes.writeUInt16BE(bytes.readUInt16BE(page + 3) - 1, page + 3);
    writeFileSync(path, bytes);
  },
};

for (const [isCheckpointed, damages] of [[false, DAMAGES], [true, DAMAGES_AFTER_CHECKPOINT]]) {
  for (const [name, damage] of Object.entries(damages)) {
    test(`a shard's database: ${name}`, { timeout: 60_000 }, async (t) => {
      const { server, model } = await stored(t);
      if (isCheckpointed) checkpoint(server.stateDir);
      const restore = await keep(t, server);
      damage(shardDatabases(server)[0]);
      await server.start();
      const sound = await answering(server, model);
      assert.equal(sound.length, 1, 'damage to one shard is seen, and is the other\'s no matter');
      await isTold(server, sound);
      await server.ingest(batch(sound[0], 7));
      // A backup makes it good.
      await server.stop();
      restore();
      await server.start();
      assert.deepEqual(await answering(server, model), [SHOP, SOUND]);
      assert.equal((await server.get('/healthz')).json().status, 'ok');
    });
  }
}

test('a shard that was taken back to an earlier time: refused, or taken on request', { timeout: 60_000 }, async (t) => {
  const { server } = await stored(t, { rounds: 1 });
  checkpoint(server.stateDir);
  const [path] = shardDatabases(server);
  const earlier = readFileSync(path);
  await server.start();
  for (const namespace of [SHOP, SOUND]) await server.ingest(batch(namespace, 1));
  await server.stop();
  checkpoint(server.stateDir);
  writeFileSync(path, earlier);
  for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true });
  const once = new Model();
  const twice = new Model();
  for (const namespace of [SHOP, SOUND]) {
    once.applyAll(batch(namespace, 0));
    for (const round of [0, 1]) twice.applyAll(batch(namespace, round));
  }
  await server.start();
  assert.equal((await answering(server, twice)).length, 1);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'true' } });
  const states = [];
  for (const namespace of [SHOP, SOUND]) {
    const found = await server.analytics(namespace);
    states.push([once, twice].findIndex((model) => {
      try { assert.deepEqual(found, model.analytics(namespace)); return true; } catch { return false; }
    }));
  }
  assert.deepEqual(states.toSorted(), [0, 1]);
  // What is written from now on is as sound as ever, without the setting.
  for (const namespace of [SHOP, SOUND]) await server.ingest(batch(namespace, 1));
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' } });
  assert.deepEqual(await answering(server, twice), [SHOP, SOUND]);
});

test('the registry was taken back to an earlier time: shards that know better refuse', { timeout: 60_000 }, async (t) => {
  const { server } = await stored(t);
  const shards = new Set(shardDatabases(server));
  for (const path of databases(server.stateDir)) {
    if (!shards.has(path)) for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
  }
  await server.start();
  // It knows no namespace; the events that name them again must not be counted as other ones.
  for (const namespace of [SHOP, SOUND]) {
    (await server.post('/v0/analytics', batch(namespace, 0).toReversed())).refused(503, 'storage_unavailable');
    (await server.get(`/v0/analytics?namespace=${namespace}`)).refused(503, 'storage_unavailable');
  }
});

test(`${FLIPS} bits flipped one at a time anywhere in a shard's files: exact, or refused`, { timeout: 300_000 }, async (t) => {
  const { server, model } = await stored(t);
  const random = seeded(11);
  const [path] = shardDatabases(server);
  let refused = 0;
  for (let round = 0; round < FLIPS; round += 1) {
    if (round === FLIPS / 2) checkpoint(server.stateDir);
    const restore = await keep(t, server);
    const file = round < FLIPS / 2 ? `${path}-wal` : path;
    const at = random.below(8 * statSync(file).size);
    flip(file, at);
    await server.start();
    const sound = await answering(server, model).catch((error) => { throw new Error(`bit ${at} of ${file}`, { cause: error }); });
    refused += 2 - sound.length;
    await server.stop('SIGKILL');
    restore();
  }
  assert.ok(refused > FLIPS / 10, `only ${refused} were seen: the flips hit nothing that counts`);
  await server.start();
  assert.deepEqual(await answering(server, model), [SHOP, SOUND]);
});
