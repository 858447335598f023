// DELETE of events, goals and namespaces: gone everywhere, for good, and also where it was cut short.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FAULTS, serve } from '../harness/server.mjs';
import { images, setRow, tables } from '../harness/sqlite.mjs';

const did = (event_name, user_id, more) => ({ event_name, user_id: String(user_id), ...more });
const users = (count, from = 0) => Array.from({ length: count }, (_, i) => from + i);
const remove = (server, kind, name, query = '', options = {}) =>
  server.request('DELETE', `/v0/${kind}/${encodeURIComponent(name)}${query}`, options);
const epochOf = (answer) => Number(answer.headers['kimball-epoch']);

/** The numbers of a namespace by name. */
async function numbers(server, namespace) {
  const { counts, users: all } = await server.analytics(namespace);
  return { all, ...Object.fromEntries(counts.map(({ name, count }) => [name, count])) };
}

async function shop(server, namespace = 'shop') {
  const more = { namespace };
  await server.goal('Buy', namespace);
  await server.ingest([
    ...users(40).map((i) => did('View', i, more)),
    ...users(20).map((i) => did('Cart', i, more)),
    ...users(10).map((i) => did('Buy', i, { ...more, value: 2 })),
  ]);
}

test('an event is deleted with all that was counted of it, and its name comes back as a new event', async (t) => {
  const server = await serve(t, { build: FAULTS });
  await shop(server);
  const before = epochOf((await server.post('/v0/analytics', did('View', 1, { namespace: 'shop' }))).expect(204));
  (await remove(server, 'events', 'Cart', '?namespace=shop')).expect(204);
  (await remove(server, 'events', 'Cart', '?namespace=shop')).expect(204);
  assert.deepEqual(await numbers(server, 'shop'), { all: 40, Buy: 10, View: 40 });
  const buy = (await server.analytics('shop')).counts.find(({ name }) => name === 'Buy');
  assert.deepEqual(buy.event_counts, [{ events: ['View'], count: 10 }]);
  assert.deepEqual(buy.single_event_counts, [{ name: 'View', count: 10 }]);
  assert.deepEqual(buy.value, { sum: 20 });
  // Who did it before is counted anew, by an isolate that knew its old number.
  const again = (await server.post('/v0/analytics', users(5).map((i) => did('Cart', i, { namespace: 'shop' })))).expect(204);
  assert.ok(epochOf(again) > before, `${epochOf(again)} after ${before}`);
  assert.deepEqual(await numbers(server, 'shop'), { all: 40, Buy: 10, Cart: 5, View: 40 });
  await server.restart();
  assert.deepEqual(await numbers(server, 'shop'), { all: 40, Buy: 10, Cart: 5, View: 40 });
  const metrics = (await server.get('/metrics/counters')).text;
  assert.match(metrics, /kimball_counter\{kimball_namespace="shop",name="Cart"\} 5/);
  assert.equal(metrics.match(/kimball_namespace="shop"/g).length, 3);
  const predictions = (await server.get('/v0/predictions?namespace=shop')).expect(200).json();
  assert.deepEqual(Object.keys(predictions.goals.Buy.events ?? predictions.goals.Buy), ['View']);
});

test('a goal is deleted and its event stays', async (t) => {
  const server = await serve(t);
  await shop(server);
  (await remove(server, 'goals', 'Buy', '?namespace=shop')).expect(204);
  (await remove(server, 'goals', 'Buy', '?namespace=shop')).expect(204);
  (await remove(server, 'goals', 'View', '?namespace=shop')).expect(204);
  assert.deepEqual((await server.get('/v0/goals?namespace=shop')).expect(200).json().goals, []);
  const of = async () => (await server.analytics('shop')).counts.find(({ name }) => name === 'Buy');
  assert.deepEqual([(await of()).count, (await of()).event_counts], [10, []]);
  assert.equal('event_counts_other' in await of(), false);
  // It can become one again, from then on, also by an isolate that took it for one.
  await server.ingest([did('View', 100, { namespace: 'shop' }), did('Buy', 100, { namespace: 'shop', ensure_goal: true })]);
  assert.deepEqual((await server.get('/v0/goals?namespace=shop')).json().goals, ['Buy']);
  assert.deepEqual((await of()).event_counts, [{ events: ['View'], count: 1 }]);
});

test('a namespace is deleted, and its name begins anew', async (t) => {
  const server = await serve(t);
  await shop(server);
  await shop(server, 'other');
  (await remove(server, 'namespaces', 'shop')).expect(204);
  (await remove(server, 'namespaces', 'shop')).expect(204);
  (await remove(server, 'namespaces', 'never there')).expect(204);
  assert.deepEqual((await server.get('/v0/namespaces')).json().namespaces, ['default', 'other']);
  assert.deepEqual(await numbers(server, 'shop'), { all: 0 });
  assert.deepEqual((await server.get('/v0/goals?namespace=shop')).json().goals, []);
  const answer = (await server.post('/v0/analytics', [did('View', 1, { namespace: 'shop' }), did('Cart', 1, { namespace: 'shop' })])).expect(204);
  assert.ok(epochOf(answer) > 0);
  assert.deepEqual(await numbers(server, 'shop'), { all: 1, Cart: 1, View: 1 });
  assert.deepEqual(await numbers(server, 'other'), { all: 40, Buy: 10, Cart: 20, View: 40 });
  await server.restart();
  assert.deepEqual(await numbers(server, 'shop'), { all: 1, Cart: 1, View: 1 });
  (await remove(server, 'namespaces', 'default')).expect(204);
  assert.deepEqual((await server.get('/v0/namespaces')).json().namespaces, ['default', 'other', 'shop']);
});

test('a deletion that is cut short is gone on with, whoever asks', async (t) => {
  const server = await serve(t, { build: FAULTS });
  const cutShort = { headers: { 'x-kimball-fault': 'worker-trap' } };
  for (const [round, goOn] of [
    () => remove(server, 'events', 'Cart', '?namespace=shop'),
    () => server.post('/v0/analytics', did(`New ${Math.random()}`, 1, { namespace: 'shop' })),
    async () => { await server.restart(); return server.get('/v0/namespaces'); },
  ].entries()) {
    await shop(server);
    (await remove(server, 'events', 'Cart', '?namespace=shop', cutShort)).refused(503, 'worker_reset');
    // It is in no answer, though the shards still hold it.
    assert.equal((await numbers(server, 'shop')).Cart, undefined, `round ${round}`);
    const answer = await goOn();
    assert.ok(answer.status < 300, answer.text);
    await server.ingest([did('Cart', `new ${round}`, { namespace: 'shop' })]);
    assert.equal((await numbers(server, 'shop')).Cart, 1, `round ${round}`);
    (await remove(server, 'namespaces', 'shop')).expect(204);
  }
  // A namespace that is deleted and used again before its shards were asked begins empty.
  await shop(server);
  (await remove(server, 'namespaces', 'shop', '', cutShort)).refused(503, 'worker_reset');
  await server.ingest([did('View', 'new', { namespace: 'shop' })]);
  assert.deepEqual(await numbers(server, 'shop'), { all: 1, View: 1 });
});

test('deletions amid writers: what comes after the answer counts from nothing', async (t) => {
  const server = await serve(t, { env: { SHARDS: '3' } });
  let stopped = false;
  const writer = async (name) => {
    // Every user does something, however soon the deletions are done.
    for (let i = 0; !stopped || i < 50; i += 1) {
      const answer = await server.post('/v0/analytics', [did(name, i % 50, { namespace: 'busy' }), did('Other', i % 50, { namespace: 'busy' })]);
      assert.ok([204, 503].includes(answer.status), answer.text);
    }
  };
  const writers = ['Gone', 'Kept', 'Gone'].map(writer);
  for (let round = 0; round < 10; round += 1) (await remove(server, 'events', 'Gone', '?namespace=busy')).expect(204);
  stopped = true;
  await Promise.all(writers);
  (await remove(server, 'events', 'Gone', '?namespace=busy')).expect(204);
  await server.ingest(users(7).map((i) => did('Gone', i, { namespace: 'busy' })));
  const { Gone, Other, all } = await numbers(server, 'busy');
  assert.deepEqual([Gone, all], [7, Other]);
});

test('what is deleted leaves next to no bytes of its set in the database', async (t) => {
  const server = await serve(t, { build: FAULTS, env: { SHARDS: '1' } });
  const compact = () => server.post('/faults/compact?namespace=default&index=0');
  for (let part = 0; part < 4; part += 1) await server.ingest(users(5_000, part * 5_000).map((i) => did('Secret', i)));
  await compact();
  await server.ingest(users(3_000).map((i) => did('Kept', i)));
  await compact();
  await server.stop();
  const set = (event) => tables(server.stateDir, 'snapshot').flatMap(({ rows }) => rows)
    .filter(({ rowid }) => rowid === setRow(event)).map(({ values }) => values[1])[0];
  const [secret, kept] = [set(0), set(1)];
  assert.ok(secret.length > 40_000 && kept.length > 5_000, `${secret.length}, ${kept.length}`);
  /** How many windows of 32 bytes of a section are in the database. */
  const windows = (bytes) => {
    const all = images(server.stateDir);
    let found = 0;
    for (let at = 32; at + 32 <= bytes.length; at += 32) found += all.some((image) => image.includes(bytes.subarray(at, at + 32))) ? 1 : 0;
    return found;
  };
  assert.ok(windows(secret) > 1_000);
  await server.start();
  (await remove(server, 'events', 'Secret')).expect(204);
  await server.stop();
  assert.ok(windows(kept) > 100);
  // A table that grew has moved rows between its pages, and left what it moved where it was.
  const PAGE_WINDOWS = 4_096 / 32;
  assert.ok(windows(secret) <= PAGE_WINDOWS, `${windows(secret)} windows`);
});

test('names that a path cannot hold, and who may delete', async (t) => {
  const server = await serve(t, { env: { API_AUTH: '', API_TOKENS: 'admin', READ_TOKENS: 'read', INGEST_TOKENS: 'page' }, token: 'admin' });
  const as = (token) => ({ headers: { authorization: `Bearer ${token}` } });
  for (const name of ['a/b', '..', '.', 'ü ☃', '%', 'a?b#c']) {
    await server.ingest([did(name, 1)]);
    (await server.request('DELETE', `/v0/events?name=${encodeURIComponent(name)}`)).expect(204);
    assert.equal((await numbers(server))[name], undefined, name);
  }
  await server.ingest([did('A', 1)]);
  for (const token of ['read', 'page']) (await remove(server, 'events', 'A', '', as(token))).refused(403, 'forbidden');
  for (const kind of ['events', 'goals', 'namespaces']) {
    (await server.request('DELETE', `/v0/${kind}`)).refused(400, 'field_missing');
    (await server.request('DELETE', `/v0/${kind}/A?name=B`)).refused(400, 'parameter_invalid');
    (await server.request('DELETE', `/v0/${kind}/%ff`)).refused(400, 'parameter_invalid');
    (await remove(server, kind, 'x'.repeat(257))).refused(400, 'name_too_long');
  }
  assert.equal((await numbers(server)).A, 1);
});

test('a goal is on all shards or on none, also where one has no room', async (t) => {
  const server = await serve(t, { env: { SHARDS: '4', SHARD_MEMORY_BYTES_MAX: String(256 << 10) } });
  const send = (events) => server.post('/v0/analytics', events);
  // One shard is filled until it refuses; others take goals and events of theirs.
  let round = 0;
  for (; round < 200; round += 1) {
    const answer = await send(users(2_000, round * 2_000).map((i) => did(`Filler ${round % 20}`, i)));
    if (answer.status !== 204) { answer.refused(507, 'shard_memory_full'); break; }
  }
  assert.ok(round < 200, 'a shard is full');
  await server.goal('Planned');
  assert.deepEqual((await server.get('/v0/goals')).json().goals, ['Planned']);
  // With events that are refused, too.
  const mixed = [did('Mixed', 'u', { ensure_goal: true }), ...users(4_000, 10_000_000).map((i) => did('Mixed', i))];
  const answer = await send(mixed);
  if (answer.status !== 204) answer.refused(507, 'shard_memory_full');
  assert.deepEqual((await server.get('/v0/goals')).json().goals, ['Mixed', 'Planned']);
  await server.restart();
  assert.deepEqual((await server.get('/v0/goals')).json().goals, ['Mixed', 'Planned']);
});
