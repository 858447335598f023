// Every limit at the limit and one past it: what is refused and how, and that everything accepted before stays.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Model } from './harness/model.mjs';
import { serve } from './harness/server.mjs';

const did = (event_name, user_id, more = {}) => ({ event_name, user_id: String(user_id), ...more });

/** Asserts that a refusal names this limit and its value. */
function limited(answer, status, code, limit, value) {
  const error = answer.refused(status, code);
  assert.deepEqual([error.limit, error.value], [limit, value]);
  return error;
}

/** A valid body of exactly this many bytes. */
function bodyOf(bytes, event) {
  const frame = JSON.stringify({ ...event, padding: '' }).length;
  const body = JSON.stringify({ ...event, padding: 'x'.repeat(bytes - frame) });
  assert.equal(Buffer.byteLength(body), bytes);
  return body;
}

/**
 * The answer to a body that is refused before all of it is sent. The server then closes the connection, and Node,
 * where a write fails first, gives up without reading the answer that is there already: so it is asked again.
 */
async function answered(request, tries = 50) {
  try {
    return await request();
  } catch (error) {
    if (!['ECONNRESET', 'EPIPE'].includes(error.code) || tries === 0) throw error;
    return answered(request, tries - 1);
  }
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
    const names = (bytes) => ['x'.repeat(bytes), 'é'.repeat(bytes >> 1) + 'x'.repeat(bytes & 1), '👍'.repeat(bytes >> 2) + 'x'.repeat(bytes & 3)];
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
        const error = limited(await server.post('/v0/goals', { goal_name: 'G', [field]: name }), 400, 'name_too_long', 'NAME_BYTES_MAX', max);
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

test('the number of users of an event', async (t) => {
  const max = 50;
  const server = await serve(t, { env: { USERS_PER_EVENT_MAX: String(max), SHARDS: '1' } });
  const users = Array.from({ length: max }, (_, i) => did('A', i, { value: 1 }));
  await server.ingest(users.slice(0, max - 1));
  await server.ingest(did('B', 0));
  // The set of all users of the namespace is held to the same limit, so the users past it are users of A already.
  await server.ingest(users.at(-1));
  const full = async () => {
    limited(await server.post('/v0/analytics', did('A', 'past')), 507, 'users_full', 'USERS_PER_EVENT_MAX', max);
    limited(await server.post('/v0/analytics', [did('B', 1), did('A', 'past')]), 507, 'users_full', 'USERS_PER_EVENT_MAX', max);
    const { counts, users: total } = await server.analytics();
    assert.deepEqual(counts.map(({ name, count, value }) => [name, count, value.sum]), [['A', max, max], ['B', 1, undefined]]);
    assert.equal(total, max);
    await server.ingest(users);
  };
  await full();
  await server.restart();
  await full();
  await server.ingest([did('B', 1), did('B', 2)]);
  assert.equal((await server.analytics()).counts[1].count, 3);
});

test('the number of users of an event, over several shards', async (t) => {
  const max = 50;
  const server = await serve(t, { env: { USERS_PER_EVENT_MAX: String(max), SHARDS: '4' } });
  let accepted = 0;
  let refused = 0;
  for (let i = 0; i < 200; i += 1) {
    const answer = await server.post('/v0/analytics', did('A', i));
    if (answer.status === 204) {
      accepted += 1;
    } else {
      refused += 1;
      limited(answer, 507, 'users_full', 'USERS_PER_EVENT_MAX', max);
    }
  }
  assert.equal((await server.analytics()).counts[0].count, accepted);
  assert.ok(accepted <= max, `${accepted} users were accepted`);
  assert.ok(refused > 0);
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

test('the memory of a shard: refused past it, repeats accepted, everything kept', async (t) => {
  const max = 16_384;
  const server = await serve(t, { env: { SHARD_MEMORY_BYTES_MAX: String(max), SHARDS: '1', JOURNAL_ROWS_MAX: '16' }, build: 'build/faults' });
  const model = new Model();
  const accepted = [];
  let refusal = null;
  for (let batch = 0; refusal === null && batch < 500; batch += 1) {
    const events = Array.from({ length: 100 }, (_, i) => did(`E${batch % 5}`, batch * 100 + i, { value: 0.5 }));
    const answer = await server.post('/v0/analytics', events);
    if (answer.status === 204) {
      accepted.push(events);
      model.applyAll(events);
    } else {
      refusal = answer;
    }
  }
  assert.ok(refusal, 'the limit was never met');
  assert.ok(accepted.length >= 3, `only ${accepted.length} batches were accepted`);
  limited(refusal, 507, 'shard_memory_full', 'SHARD_MEMORY_BYTES_MAX', max);
  const same = async () => {
    assert.deepEqual(await server.analytics(), model.analytics());
    assert.ok((await server.shard()).memory_bytes <= max);
  };
  await same();
  for (const events of accepted) await server.ingest(events);
  await same();
  await server.restart();
  await same();
  for (const events of accepted) await server.ingest(events);
  const more = Array.from({ length: 2_000 }, (_, i) => did('E0', `more ${i}`));
  limited(await server.post('/v0/analytics', more), 507, 'shard_memory_full', 'SHARD_MEMORY_BYTES_MAX', max);
  await same();
});

test('the memory of an isolate: shards are dropped and come back, nothing is refused', async (t) => {
  // Room for about one of the shards at a time.
  const env = { ISOLATE_MEMORY_BYTES_MAX: '16384', SHARD_MEMORY_BYTES_MAX: '16384', SHARDS: '4' };
  const server = await serve(t, { env });
  const model = new Model();
  for (let round = 0; round < 3; round += 1) {
    for (const namespace of ['a', 'b', 'c']) {
      const events = Array.from({ length: 400 }, (_, i) => did(`E${i % 4}`, i + 200 * round, { namespace, ensure_goal: i % 4 === 3 }));
      await server.ingest(events);
      model.applyAll(events);
    }
    for (const namespace of ['a', 'b', 'c']) assert.deepEqual(await server.analytics(namespace), model.analytics(namespace));
  }
});

for (const shards of [1, 4]) {
  test(`combinations past the limit count in other, with ${shards} shards`, async (t) => {
    const max = 5;
    const server = await serve(t, { env: { COMBINATIONS_PER_GOAL_MAX: String(max), SHARDS: String(shards) } });
    const model = new Model();
    const play = async (events) => {
      await server.ingest(events);
      model.applyAll(events);
    };
    await server.goal('G');
    model.goal('G');
    /** The answer's goal; its sums must be right and what is listed must be true. */
    const check = async () => {
      const expected = model.analytics().counts.find(({ name }) => name === 'G');
      const goal = (await server.analytics()).counts.find(({ name }) => name === 'G');
      const listed = goal.event_counts.reduce((sum, { count }) => sum + count, 0);
      assert.equal(goal.count, expected.count);
      assert.equal(listed + goal.event_counts_other, expected.count, 'listed and other make all completions');
      assert.ok(goal.event_counts.length <= max);
      assert.deepEqual(goal.single_event_counts, expected.single_event_counts);
      const truth = new Map(expected.event_counts.map(({ events, count }) => [String(events), count]));
      for (const { events, count } of goal.event_counts) {
        assert.ok(count <= truth.get(String(events)), `${events}: ${count} of ${truth.get(String(events))}`);
      }
      return goal;
    };
    const user = (name, combination) => [...combination.map((event) => did(event, name)), did('G', name)];
    // At the limit: five combinations of many users each, all listed, none in other.
    const five = [[], ['A'], ['B'], ['A', 'B'], ['C']];
    await play(five.flatMap((combination, i) => Array.from({ length: 30 }, (_, n) => user(`${i}.${n}`, combination)).flat()));
    const atLimit = await check();
    assert.equal(atLimit.event_counts_other, 0);
    assert.equal(atLimit.event_counts.length, max);
    assert.deepEqual(atLimit.event_counts, model.analytics().counts.find(({ name }) => name === 'G').event_counts);
    // One past it, and more: the new ones are in other, the listed ones still grow.
    await play(user('past', ['A', 'C']));
    assert.equal((await check()).event_counts_other, 1);
    await play([...user('past too', ['B', 'C']), ...user('listed', ['A']), ...user('past again', ['A', 'C'])]);
    const past = await check();
    assert.equal(past.event_counts_other, 3);
    assert.equal(past.event_counts.find(({ events }) => String(events) === 'A').count, 31);
    await server.restart();
    assert.deepEqual(await check(), past);
  });
}

test('many combinations over many shards: the sums stay right', async (t) => {
  const max = 20;
  const server = await serve(t, { env: { COMBINATIONS_PER_GOAL_MAX: String(max), SHARDS: '16' } });
  const events = [];
  for (let user = 0; user < 512; user += 1) {
    for (let bit = 0; bit < 9; bit += 1) if (user & (1 << bit)) events.push(did(`E${bit}`, user));
    events.push(did('G', user, { ensure_goal: true }));
  }
  await server.ingest(events);
  const goal = (await server.analytics()).counts.find(({ name }) => name === 'G');
  assert.equal(goal.event_counts.length, max);
  assert.equal(goal.event_counts.reduce((sum, { count }) => sum + count, 0) + goal.event_counts_other, 512);
  assert.deepEqual(goal.single_event_counts, Array.from({ length: 9 }, (_, bit) => ({ name: `E${bit}`, count: 256 })));
});
