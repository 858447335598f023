// ACCEPT_OLDER_STATE: what was accepted is stored at once, of the shards that are named and of no other.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { checkpoint, databases } from '../harness/damage.mjs';
import { until } from '../harness/deadline.mjs';
import { Model } from '../harness/model.mjs';
import { serve } from '../harness/server.mjs';
import { tables } from '../harness/sqlite.mjs';

const COMMA = 'black, white: 50 %';
const NAMESPACES = ['shop', 'sound', COMMA];
// Every batch is compacted, so that every one that is acknowledged has its mark.
const ENV = { SHARDS: '1', JOURNAL_ROWS_MAX: '1', COMPACTION_DELAY_MS: '3600000' };

const batch = (namespace, round) => Array.from({ length: 20 }, (_, i) => ({
  event_name: `${namespace} ${i % 3}`, user_id: `${round}-${i >> 1}`, namespace,
}));

const ingest = async (server, round) => {
  for (const namespace of NAMESPACES) await server.ingest(batch(namespace, round));
};

/** What the namespaces hold after so many rounds. */
function model(rounds) {
  const expected = new Model();
  for (let round = 0; round < rounds; round += 1) for (const namespace of NAMESPACES) expected.applyAll(batch(namespace, round));
  return expected;
}

const put = (path, bytes) => {
  for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true });
  writeFileSync(path, bytes);
};

/** A stopped server whose shards (or, with `isRegistry`, whose registry) are these rounds, and what was done
 * `meanwhile`, older than the rest. */
async function older(t, { isRegistry = false, rounds = [1, 2], meanwhile = async () => {} } = {}) {
  const server = await serve(t, { env: { ...ENV } });
  await ingest(server, 0);
  await server.stop();
  checkpoint(server.stateDir);
  const shards = tables(server.stateDir, 'snapshot').map(({ path }) => path);
  const registries = databases(server.stateDir).filter((path) => path.includes('registry') && !path.includes('metadata'));
  const paths = isRegistry ? registries : shards;
  assert.equal(paths.length, isRegistry ? 1 : NAMESPACES.length);
  const earlier = paths.map((path) => readFileSync(path));
  await server.start();
  for (const round of rounds) await ingest(server, round);
  await meanwhile(server);
  await server.stop();
  checkpoint(server.stateDir);
  paths.forEach((path, i) => put(path, earlier[i]));
  return server;
}

const path = (namespace) => `/v0/analytics?namespace=${encodeURIComponent(namespace)}`;

/** Those of the namespaces that answer, with what they must. */
async function answering(server, expected) {
  const found = [];
  for (const namespace of NAMESPACES) {
    const answer = await server.get(path(namespace));
    if (answer.status === 200) {
      assert.deepEqual(answer.json(), expected.analytics(namespace));
      found.push(namespace);
    } else {
      answer.refused(503, 'storage_unavailable');
    }
  }
  return found;
}

const isTaken = (server, shard) => until(`shard ${shard} is taken`, () => server.log.includes(`ACCEPT_OLDER_STATE: shard ${shard} is taken as it is`));

test('a shard that was only read is accepted for good, and no other', { timeout: 60_000 }, async (t) => {
  const server = await older(t);
  await server.start();
  assert.deepEqual(await answering(server, model(1)), []);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'shop/0' } });
  assert.deepEqual(await answering(server, model(1)), ['shop']);
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' }, signal: 'SIGKILL' });
  assert.deepEqual(await answering(server, model(1)), ['shop']);
  const log = server.log.split('\n').filter((line) => line.includes('is taken as it is'));
  assert.equal(log.length, 1, log.join('\n'));
  assert.match(log[0], /ACCEPT_OLDER_STATE: shard shop\/0 is taken as it is, from now on: it is of generation \d+, and generation \d+ was acknowledged/);
  // As sound as ever: it is counted on, compacted and read again.
  await server.ingest(batch('shop', 1));
  await server.restart({ signal: 'SIGKILL' });
  assert.deepEqual((await server.analytics('shop')), model(2).analytics('shop'));
});

test('shards that nobody touches while it is set are accepted for good', { timeout: 60_000 }, async (t) => {
  const server = await older(t);
  await server.restart({ env: { ACCEPT_OLDER_STATE: `sound/0,  ${encodeURIComponent(COMMA)}/0,shop/9` } });
  (await server.get('/alive')).expect(200);
  await isTaken(server, 'sound/0');
  await isTaken(server, `${COMMA}/0`);
  await until('what is not there is told', () => server.log.includes('ACCEPT_OLDER_STATE: shard shop/9 is not older: nothing to accept'));
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' } });
  assert.deepEqual(await answering(server, model(1)), ['sound', COMMA]);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'true' } });
  (await server.get('/alive')).expect(200);
  await isTaken(server, 'shop/0');
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' } });
  assert.deepEqual(await answering(server, model(1)), NAMESPACES);
});

test('a registry that is older than the shards is accepted for those that are named', { timeout: 60_000 }, async (t) => {
  const server = await older(t, { isRegistry: true });
  await server.start();
  assert.deepEqual(await answering(server, model(3)), []);
  const [shard] = (await server.get('/v0/status?namespace=shop')).json().namespace.shards;
  assert.match(shard.what, /^shard shop\/0, age: the registry is older than it: \d+, and \d+ was acknowledged$/);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'shop/0' } });
  (await server.get('/v0/status?namespace=shop')).expect(200);
  await isTaken(server, 'shop/0');
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'false' } });
  assert.deepEqual(await answering(server, model(3)), ['shop']);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'true' } });
  assert.deepEqual(await answering(server, model(3)), NAMESPACES);
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' }, signal: 'SIGKILL' });
  assert.deepEqual(await answering(server, model(3)), NAMESPACES);
});

/** Sends a round, and answers the epoch that pages learn from it. */
async function epoch(server, namespace, round, isSent = () => true) {
  const events = batch(namespace, round).filter(({ event_name: name }) => isSent(name));
  const answer = (await server.post('/v0/analytics', { events })).expect(204);
  return Number(answer.headers['kimball-epoch']);
}

test('pages forget what they have seen once older state was accepted', { timeout: 60_000 }, async (t) => {
  let before;
  const server = await older(t, { meanwhile: async (running) => { before = await epoch(running, 'shop', 2); } });
  // With isolates that have heard of the older incarnation, and those that have not.
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'shop/0' } });
  const accepted = await epoch(server, 'shop', 1);
  assert.ok(accepted > before, `${accepted} after ${before}`);
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' }, signal: 'SIGKILL' });
  assert.equal(await epoch(server, 'shop', 1), accepted, 'once for all');
  assert.deepEqual(await server.analytics('shop'), model(2).analytics('shop'));
});

test('a registry from before a deletion is written to once it is accepted, and deletes as before', { timeout: 60_000 }, async (t) => {
  let before;
  const meanwhile = async (running) => {
    (await running.request('DELETE', `/v0/events/${encodeURIComponent('shop 0')}?namespace=shop`)).expect(204);
    // What is new since is lost with the registry's knowledge of it: here that is nothing.
    before = await epoch(running, 'shop', 0, (name) => name !== 'shop 0');
  };
  const server = await older(t, { isRegistry: true, meanwhile });
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'true' } });
  const accepted = await epoch(server, 'shop', 0);
  assert.ok(accepted > before, `${accepted} after ${before}`);
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' } });
  // The numbers of deletions are not given twice: this one is not taken for the one that was carried out already.
  (await server.request('DELETE', `/v0/events/${encodeURIComponent('shop 1')}?namespace=shop`)).expect(204);
  const { counts } = await server.analytics('shop');
  assert.deepEqual(counts.map(({ name }) => name).filter((name) => name === 'shop 1'), []);
  assert.ok(await epoch(server, 'shop', 1) > accepted);
});

test('a registry from before the last deletion is noticed where nothing else was done since, or gives other numbers', { timeout: 60_000 }, async (t) => {
  const remove = (server, name) => server.request('DELETE', `/v0/events/${encodeURIComponent(name)}?namespace=shop`);
  const server = await older(t, { isRegistry: true, rounds: [], meanwhile: async (running) => (await remove(running, 'shop 0')).expect(204) });
  await server.start();
  (await server.post('/v0/analytics', batch('shop', 1))).refused(503, 'storage_unavailable');
  const [shard] = (await server.get('/v0/status?namespace=shop')).json().namespace.shards;
  assert.match(shard.what, /^shard shop\/0, age: the registry is older than it: of incarnation 0, and \d+ was acknowledged$/);
  // What it deletes meanwhile has a number of its own. Where that is the greater one, it is carried out, and all is in order.
  const { status } = await remove(server, 'shop 1');
  assert.ok([204, 503].includes(status), status);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'true' }, signal: 'SIGKILL' });
  (await remove(server, 'shop 1')).expect(204);
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' }, signal: 'SIGKILL' });
  const { counts } = await server.analytics('shop');
  assert.deepEqual(counts.filter(({ count }) => count > 0).map(({ name }) => name), ['shop 2']);
  (await remove(server, 'shop 2')).expect(204);
  assert.ok(await epoch(server, 'shop', 1) > 0);
  const after = await server.analytics('shop');
  const expected = new Model();
  expected.applyAll(batch('shop', 1));
  assert.deepEqual([...after.counts].sort((x, y) => x.name < y.name ? -1 : 1), expected.analytics('shop').counts);
});

test('a shard that is gone is accepted as an empty one, and what was there before is refused after it', { timeout: 60_000 }, async (t) => {
  const server = await serve(t, { env: { ...ENV } });
  for (const round of [0, 1]) await ingest(server, round);
  await server.stop();
  checkpoint(server.stateDir);
  const shards = tables(server.stateDir, 'snapshot').map((table) => table.path);
  for (const shard of shards) {
    copyFileSync(shard, `${shard}.kept`);
    for (const end of ['', '-wal', '-shm']) rmSync(shard + end, { force: true });
  }
  await server.start();
  assert.deepEqual(await answering(server, new Model()), []);
  await server.restart({ env: { ACCEPT_OLDER_STATE: 'true' } });
  assert.deepEqual(await answering(server, new Model()), NAMESPACES);
  await server.restart({ env: { ACCEPT_OLDER_STATE: '' } });
  assert.deepEqual(await answering(server, new Model()), NAMESPACES);
  await ingest(server, 0);
  assert.deepEqual(await answering(server, model(1)), NAMESPACES);
  await server.stop();
  for (const shard of shards) put(shard, readFileSync(`${shard}.kept`));
  await server.start();
  assert.deepEqual(await answering(server, model(2)), []);
  assert.ok(databases(server.stateDir).length > 0);
});
