// The limits on one request and on names, at the limit and one past it. Those on users, memory and combinations:
// capacity.test.mjs.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { answered, did, limited } from '../harness/limits.mjs';
import { Model } from '../harness/model.mjs';
import { serve } from '../harness/server.mjs';

/** A valid body of exactly this many bytes. */
function bodyOf(bytes, event) {
  const frame = JSON.stringify({ ...event, padding: '' }).length;
  const body = JSON.stringify({ ...event, padding: 'x'.repeat(bytes - frame) });
  assert.equal(Buffer.byteLength(body), bytes);
  return body;
}

for (const [set, max] of [[undefined, 5_242_880], ['1000', 1_000]]) {
  test(`a body of ${max} bytes, by its length and in chunks`, async (t) => {
    const server = await serve(t, { env: set ? { BODY_BYTES_MAX: set } : {} });
    const headers = { 'content-type': 'application/json' };
    for (const [i, chunked] of [false, true].entries()) {
      const send = (bytes) => server.request('POST', '/v0/analytics', { headers, chunked, body: bodyOf(bytes, did(`A${bytes}`, i)) });
      (await send(max)).expect(204);
      for (const bytes of [max + 1, max * 2]) limited(await answered(() => send(bytes)), 413, 'body_too_large', 'BODY_BYTES_MAX', max);
    }
    // A length past the limit is refused without waiting for the body.
    const declared = await server.request('POST', '/v0/analytics', { headers, declared: max + 1 });
    limited(declared, 413, 'body_too_large', 'BODY_BYTES_MAX', max);
    const { counts } = await server.analytics();
    assert.deepEqual(counts.map(({ name, count }) => [name, count]), [[`A${max}`, 2]]);
    const goal = await answered(() => server.request('POST', '/v0/goals', { headers, body: bodyOf(max + 1, { goal_name: 'G' }) }));
    limited(goal, 413, 'body_too_large', 'BODY_BYTES_MAX', max);
  });
}

for (const [set, max] of [[undefined, 10_000], ['3', 3]]) {
  test(`a batch of ${max} events`, async (t) => {
    const server = await serve(t, { env: set ? { BATCH_EVENTS_MAX: set } : {} });
    const batch = Array.from({ length: max + 1 }, (_, i) => did('A', i));
    for (const body of [batch, { events: batch }]) {
      limited(await server.post('/v0/analytics', body), 413, 'batch_too_large', 'BATCH_EVENTS_MAX', max);
    }
    assert.deepEqual(await server.analytics(), { counts: [], users: 0 });
    await server.ingest(batch.slice(0, max));
    assert.equal((await server.analytics()).users, max);
  });
}

for (const [set, max] of [[undefined, 256], ['10', 10]]) {
  test(`names and ids of ${max} bytes of UTF-8`, async (t) => {
    const server = await serve(t, { env: set ? { NAME_BYTES_MAX: set } : {} });
    const names = (bytes) => [
      'x'.repeat(bytes), 'é'.repeat(bytes >> 1) + 'x'.repeat(bytes & 1), '👍'.repeat(bytes >> 2) + 'x'.repeat(bytes & 3),
    ];
    for (const name of names(max)) {
      assert.equal(Buffer.byteLength(name), max);
      await server.ingest(did(name, name, { namespace: name, ensure_goal: true }));
      await server.goal(name, name);
      assert.equal((await server.analytics(name)).counts[0].count, 1);
    }
    for (const name of names(max + 1)) {
      for (const field of ['event_name', 'user_id', 'namespace']) {
        const bad = { ...did('A', 'u'), [field]: name };
        const alone = limited(await server.post('/v0/analytics', bad), 400, 'name_too_long', 'NAME_BYTES_MAX', max);
        assert.equal(alone.field, field);
        const error = limited(await server.post('/v0/analytics', [did('A', 'u'), bad]), 400, 'name_too_long', 'NAME_BYTES_MAX', max);
        assert.deepEqual([error.index, error.field], [1, field]);
      }
      for (const field of ['goal_name', 'namespace']) {
        const answer = await server.post('/v0/goals', { goal_name: 'G', [field]: name });
        const error = limited(answer, 400, 'name_too_long', 'NAME_BYTES_MAX', max);
        assert.equal(error.field, field);
      }
    }
    assert.deepEqual((await server.analytics()).counts, [], 'nothing of a refused batch is applied');
  });
}

test('the number of namespaces', async (t) => {
  const max = 4;
  const server = await serve(t, { env: { NAMESPACES_MAX: String(max) } });
  await server.ingest(did('A', 'u'));
  await server.goal('G', 'goals');
  await server.ingest([did('A', 'u', { namespace: 'two' }), did('A', 'u', { namespace: 'three' })]);
  const full = async () => {
    limited(await server.post('/v0/analytics', did('A', 'u', { namespace: 'past' })), 507, 'namespaces_full', 'NAMESPACES_MAX', max);
    limited(await server.post('/v0/goals', { goal_name: 'G', namespace: 'past' }), 507, 'namespaces_full', 'NAMESPACES_MAX', max);
    const mixed = [did('B', 'u', { namespace: 'two' }), did('A', 'u', { namespace: 'past' })];
    limited(await server.post('/v0/analytics', mixed), 507, 'namespaces_full', 'NAMESPACES_MAX', max);
    assert.deepEqual((await server.get('/v0/namespaces')).json(), { namespaces: ['default', 'goals', 'three', 'two'] });
    assert.deepEqual((await server.analytics('two')).counts.map(({ name }) => name), ['A'], 'the refused batch changed nothing');
    assert.deepEqual(await server.analytics('past'), { counts: [], users: 0 });
  };
  await full();
  await server.restart();
  await full();
  await server.ingest(did('C', 'v', { namespace: 'three' }));
  assert.equal((await server.analytics('three')).users, 2);
});

test('the number of event names of a namespace', async (t) => {
  const max = 5;
  const server = await serve(t, { env: { EVENTS_PER_NAMESPACE_MAX: String(max) } });
  await server.ingest(Array.from({ length: max - 1 }, (_, i) => did(`E${i}`, 'u')));
  await server.goal('G');
  const full = async () => {
    for (const body of [did('past', 'v'), [did('E0', 'v'), did('past', 'v')], did('past', 'v', { ensure_goal: true })]) {
      limited(await server.post('/v0/analytics', body), 507, 'events_full', 'EVENTS_PER_NAMESPACE_MAX', max);
    }
    limited(await server.post('/v0/goals', { goal_name: 'past' }), 507, 'events_full', 'EVENTS_PER_NAMESPACE_MAX', max);
    const { counts } = await server.analytics();
    assert.deepEqual(counts.map(({ name, count }) => [name, count]), [['E0', 1], ['E1', 1], ['E2', 1], ['E3', 1], ['G', 0]]);
  };
  await full();
  await server.restart();
  await full();
  await server.goal('E1');
  await server.ingest(did('past', 'v', { namespace: 'other' }));
  await server.ingest([did('E0', 'v'), did('G', 'v')]);
  assert.equal((await server.analytics()).users, 2);
});

test('names of a single batch beyond the limit are refused whole', async (t) => {
  const server = await serve(t, { env: { EVENTS_PER_NAMESPACE_MAX: '5' } });
  const batch = Array.from({ length: 6 }, (_, i) => did(`E${i}`, 'u'));
  limited(await server.post('/v0/analytics', batch), 507, 'events_full', 'EVENTS_PER_NAMESPACE_MAX', 5);
  assert.deepEqual(await server.analytics(), { counts: [], users: 0 });
  await server.ingest(batch.slice(1));
});

test('names are counted exactly when many are new at the same time', async (t) => {
  const max = 20;
  const server = await serve(t, { env: { EVENTS_PER_NAMESPACE_MAX: String(max), NAMESPACES_MAX: '10' } });
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => server.post('/v0/analytics', did(`E${i}`, i))));
  const accepted = answers.flatMap(({ status }, i) => (status === 204 ? [`E${i}`] : []));
  for (const answer of answers.filter(({ status }) => status !== 204)) limited(answer, 507, 'events_full', 'EVENTS_PER_NAMESPACE_MAX', max);
  assert.equal(accepted.length, max);
  assert.deepEqual((await server.analytics()).counts.map(({ name }) => name).sort(), accepted.sort());

  const spaces = await Promise.all(Array.from({ length: 30 }, (_, i) => server.goal('G', `n${i}`).then(() => 1, () => 0)));
  assert.equal(spaces.reduce((sum, one) => sum + one), 9, 'default and nine more');
  assert.equal((await server.get('/v0/namespaces')).json().namespaces.length, 10);
});

test('limits that are lowered later refuse what is new and keep what is there', async (t) => {
  const server = await serve(t, { env: { SHARDS: '2' } });
  const model = new Model();
  const name = 'a long name for an event and for a namespace';
  const events = Array.from({ length: 400 }, (_, i) => did(`E${i % 20}`, i >> 3, { value: i, ensure_goal: i % 20 === 19 }));
  for (const batch of [events, [did(name, name, { namespace: name })]]) {
    await server.ingest(batch);
    model.applyAll(batch);
  }
  await server.restart({ env: { EVENTS_PER_NAMESPACE_MAX: '3', NAMESPACES_MAX: '1', USERS_PER_EVENT_MAX: '2', NAME_BYTES_MAX: '20',
    SHARD_MEMORY_BYTES_MAX: '4096', ISOLATE_MEMORY_BYTES_MAX: '4096' } });
  assert.deepEqual(await server.analytics(), model.analytics());
  await server.ingest(events);
  assert.deepEqual(await server.analytics(), model.analytics(), 'repeats change nothing and are accepted');
  (await server.post('/v0/analytics', did('new', 'u'))).refused(507, 'events_full');
  (await server.post('/v0/analytics', did('A', 'u', { namespace: 'new' }))).refused(507, 'namespaces_full');
  (await server.post('/v0/analytics', did('E0', 'new'))).refused(507, ['users_full', 'shard_memory_full']);
  await server.restart({ env: { NAME_BYTES_MAX: '' } });
  assert.deepEqual(await server.analytics(name), model.analytics(name));
});
