// Storage that was damaged, cut off, lost or taken back to an earlier time: never answered from as if nothing were
// wrong. The namespace concerned answers 503, /healthz and the metrics say so, /v0/status and the log say which shard,
// where, and what is wrong; all others go on.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { checkpoint, databases, editRow, reframed, sql } from '../harness/damage.mjs';
import { until } from '../harness/deadline.mjs';
import { filesUnder } from '../harness/files.mjs';
import { Model } from '../harness/model.mjs';
import { parse, total } from '../harness/prometheus.mjs';
import { seeded } from '../harness/random.mjs';
import { serve, temporaryDirectory } from '../harness/server.mjs';
import { setRow, tables } from '../harness/sqlite.mjs';

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
  const { shards } = (await server.get(`/v0/status?namespace=${lost}`)).expect(200).json().namespace;
  assert.equal(shards[0].reachable, false);
  assert.ok(new RegExp(`^shard ${lost}/0[,:] \\S`).test(shards[0].what), shards[0].what);
  assert.match(server.log, new RegExp(`(what is stored cannot be used: shard|storage unavailable:) ${lost}/0`));
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

const flipped = (bytes) => { bytes[bytes.length >> 1] ^= 1; return bytes; };
const flag = (value) => (payload) => { payload[9] = value; return payload; };

/** What is done to the database of shop/0, and what is told of it behind `shard shop/0, `. Event 0 has section 1 and a set. */
const PLACES = {
  'a bit of a section': [(path) => editRow(path, 'snapshot', 256, flipped),
    'section 1 (event 0), frame, checksum: does not match the content'],
  'a section that is cut off': [(path) => editRow(path, 'snapshot', 256, (row) => reframed(row, (payload) => payload.subarray(0, -1))),
    'section 1 (event 0), flags: the bytes end before it does'],
  'a set that is cut off': [(path) => editRow(path, 'snapshot', setRow(0), (row) => reframed(row, (payload) => payload.subarray(0, -1))),
    'set of kind 1 (users of event 0), user set, gaps: the bytes end before it does'],
  'a set of another event': [(path) => sql(path, `UPDATE snapshot SET id = ${setRow(7)} WHERE id = ${setRow(1)}`),
    'set of kind 1 (users of event 7), section number: does not fit what comes before it'],
  'a set without its counter': [(path) => sql(path, 'DELETE FROM snapshot WHERE id = 256'),
    'set of kind 1 (users of event 0), user set: does not fit what comes before it'],
  'a section with bytes behind it': [(path) => editRow(path, 'snapshot', 0, (row) => reframed(row, (payload) => Buffer.concat([payload, Buffer.of(0)]))),
    'section 0 (all users): bytes are left behind it'],
  'flags that no counter has': [(path) => editRow(path, 'snapshot', 512, (row) => reframed(row, flag(0xf0))),
    'section 2 (event 1), flags: out of range'],
  'a section of a later version': [(path) => editRow(path, 'snapshot', 256, (row) => { row[3] = 9; return row; }),
    'section 1 (event 0), frame, version: unknown to this version'],
  'a section in the place of another': [(path) => sql(path, 'UPDATE snapshot SET id = 99 * 256 WHERE id = 512'),
    'section 99 (event 98), section number: does not fit what comes before it'],
  'a section whose first part is gone': [(path) => sql(path, 'UPDATE snapshot SET id = 257 WHERE id = 256'),
    'section 1 (event 0), part 0: missing'],
  'a section that is no bytes': [(path) => sql(path, "UPDATE snapshot SET row = 'text' WHERE id = 256"),
    'section 1 (event 0), part 0: not in the form that is written'],
  'a bit of a journal row': [(path) => editRow(path, 'journal', 2, flipped),
    'journal row 2: cannot be unsealed: another HASH_KEY, or changed bytes'],
  'a journal row that is cut off': [(path) => editRow(path, 'journal', 1, (row) => row.subarray(0, 20)),
    'journal row 1, nonce: the bytes end before it does'],
  'a journal row that is no bytes': [(path) => sql(path, "UPDATE journal SET row = 'text' WHERE seq = 1"),
    'journal row 1: not in the form that is written'],
  'sets and a journal without the rows that made their counters': [(path) => sql(path, `DELETE FROM snapshot WHERE id IN (256, ${setRow(0)})`),
    'set of kind 3 (users in a period of event 0), user set: does not fit what comes before it'],
};

test('the log and /v0/status say which shard, which section or journal row, and which field', { timeout: 180_000 }, async (t) => {
  const env = { SHARDS: '1', JOURNAL_ROWS_MAX: '1', COMPACTION_DELAY_MS: '3600000' };
  const server = await serve(t, { env });
  const user = 'Zq8-marked-user';
  const did = (name, user_id) => ({ event_name: name, user_id, namespace: SHOP });
  await server.ingest([did('Visit', user), did('Buy', user), did('Visit', 'b')]);
  await server.restart({ env: { JOURNAL_ROWS_MAX: '100' } });
  for (const user_id of ['c', 'd', 'e']) await server.ingest(did('Visit', user_id));
  await server.stop();
  const [path] = tables(server.stateDir, 'snapshot').map((table) => table.path);
  const restore = await keep(t, server);
  for (const [name, [damage, place]] of Object.entries(PLACES)) {
    damage(path);
    await server.start();
    const before = server.log.length;
    (await server.get(`/v0/analytics?namespace=${SHOP}`)).refused(503, 'storage_unavailable');
    const { shards } = (await server.get(`/v0/status?namespace=${SHOP}`)).expect(200).json().namespace;
    const what = `shard ${SHOP}/0, ${place}`;
    assert.deepEqual(shards, [{ index: 0, reachable: false, what }], name);
    await until('the log', () => server.log.slice(before).includes(`what is stored cannot be used: ${what} (database `));
    assert.ok(server.log.slice(before).includes(path.match(/([0-9a-f]{64})\.sqlite$/)[1]), 'the log names the file');
    await server.stop('SIGKILL');
    restore();
  }
  await server.start();
  assert.deepEqual((await server.analytics(SHOP)).counts.map((event) => [event.name, event.count]), [['Buy', 1], ['Visit', 5]]);
  assert.ok(!server.log.includes(user));
});

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
  const sound = await answering(server, twice);
  assert.equal(sound.length, 1);
  const lost = [SHOP, SOUND].find((namespace) => !sound.includes(namespace));
  const [shard] = (await server.get(`/v0/status?namespace=${lost}`)).json().namespace.shards;
  assert.match(shard.what, new RegExp(`^shard ${lost}/0, age: it is of generation \\d+, and generation \\d+ was acknowledged$`));
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
