// The limits on what a shard holds: users, memory and combinations, at the limit and one past it; what was accepted
// before stays, and is still accepted.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { did, limited } from '../harness/limits.mjs';
import { Model } from '../harness/model.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

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

test('the memory of a shard: refused past it, repeats accepted, everything kept', async (t) => {
  const max = 16_384;
  const server = await serve(t, { env: { SHARD_MEMORY_BYTES_MAX: String(max), SHARDS: '1', JOURNAL_ROWS_MAX: '16' }, build: FAULTS });
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

test('a batch that is refused for memory takes none', async (t) => {
  const server = await serve(t, { env: { SHARD_MEMORY_BYTES_MAX: '16384', SHARDS: '1' }, build: FAULTS });
  await server.ingest([did('A', 'u'), did('B', 'u')]);
  const before = await server.shard();
  const tooMany = Array.from({ length: 9_000 }, (_, i) => did('A', i));
  (await server.post('/v0/analytics', tooMany)).refused(507, 'shard_memory_full');
  assert.deepEqual(await server.shard(), before);
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
