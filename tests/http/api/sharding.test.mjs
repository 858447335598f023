// The number of shards is an implementation detail: every answer is the same for 1, 4 and 16, and what a namespace
// was created with stays with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Model } from '../harness/model.mjs';
import { seeded } from '../harness/random.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const SHARDS = ['1', '4', '16'];
const NAMESPACES = ['default', 'shop', 'späti'];
const EVENTS = Array.from({ length: 12 }, (_, i) => `event ${i}`);

/** A random stream of steps: batches of events, and goals added on the way. */
function stream(seed, { batches, users }) {
  const random = seeded(seed);
  const value = () => random.pick([1, -3, 0.1, 1 / 3, random.next(), random.next() * 1e6, -random.next() / 7, 0]);
  const event = () => ({
    event_name: random.pick(EVENTS),
    user_id: random.chance(0.2) ? random.below(users) : `user-${random.below(users)}`,
    namespace: random.pick(NAMESPACES),
    ...(random.chance(0.3) ? { value: value() } : {}),
    ...(random.chance(0.002) ? { ensure_goal: true } : {}),
  });
  const steps = [{ goal: EVENTS[0], namespace: 'default' }, { goal: EVENTS[1], namespace: 'shop' }];
  for (let i = 0; i < batches; i += 1) {
    if (i === batches >> 1) steps.push({ goal: EVENTS[2], namespace: 'default' }, { goal: 'never done', namespace: 'shop' });
    steps.push({ events: Array.from({ length: 1 + random.below(200) }, event) });
  }
  return steps;
}

async function play(steps, ...targets) {
  for (const { goal, namespace, events } of steps) {
    for (const target of targets) {
      if (goal) await target.goal(goal, namespace);
      else if (target instanceof Model) target.applyAll(events);
      else await target.ingest(events);
    }
  }
}

const answers = async (server) => Object.fromEntries(await Promise.all(NAMESPACES.map(async (namespace) => [namespace, {
  analytics: await server.analytics(namespace),
  goals: (await server.get(`/v0/goals?namespace=${encodeURIComponent(namespace)}`)).expect(200).json().goals,
}])));

const expected = (model) => Object.fromEntries(NAMESPACES.map((namespace) => [namespace, {
  analytics: model.analytics(namespace), goals: model.goals(namespace),
}]));

for (const seed of [1, 2]) {
  test(`the same stream gives the same answers for ${SHARDS.join(', ')} shards, before and after a restart (seed ${seed})`, async (t) => {
    const servers = await Promise.all(SHARDS.map((shards) => serve(t, { env: { SHARDS: shards } })));
    const model = new Model();
    const steps = stream(seed, { batches: 60, users: 300 });
    await play(steps, model, ...servers);
    const truth = expected(model);
    assert.ok(truth.default.analytics.counts.some(({ event_counts }) => event_counts.length > 20), 'the stream is too poor');
    for (const [i, server] of servers.entries()) {
      assert.deepEqual(await answers(server), truth, `SHARDS=${SHARDS[i]}`);
    }
    for (const [i, server] of servers.entries()) {
      await server.restart();
      assert.deepEqual(await answers(server), truth, `SHARDS=${SHARDS[i]} after a restart`);
    }
  });
}

test('users are spread over all shards', async (t) => {
  const server = await serve(t, { env: { SHARDS: '4' }, build: FAULTS });
  await server.ingest(Array.from({ length: 200 }, (_, i) => ({ event_name: 'A', user_id: i })));
  const shards = await Promise.all([0, 1, 2, 3].map((index) => server.shard('default', index)));
  assert.equal(new Set(shards.map(({ digest }) => digest)).size, 4);
  for (const { journal_rows, snapshot_rows } of shards) assert.ok(journal_rows + snapshot_rows > 0);
});

test('SHARDS holds for namespaces that are created later', async (t) => {
  const server = await serve(t, { env: { SHARDS: '4' }, build: FAULTS });
  const model = new Model();
  const batch = (namespace, from) => Array.from({ length: 300 }, (_, i) => ({
    event_name: EVENTS[i % 5], user_id: from + (i >> 2), namespace, value: i / 10, ensure_goal: i % 5 === 3,
  }));
  const both = async (events) => {
    await server.ingest(events);
    model.applyAll(events);
  };
  const check = async (namespaces) => {
    for (const namespace of namespaces) assert.deepEqual(await server.analytics(namespace), model.analytics(namespace), namespace);
  };
  const digests = (namespace, count) => Promise.all(Array.from({ length: count }, (_, i) => server.shard(namespace, i)))
    .then((shards) => shards.filter(({ journal_rows, snapshot_rows }) => journal_rows + snapshot_rows > 0).length);

  await both(batch('four', 0));
  const plan = [['1', 'one', 1], ['16', 'sixteen', 16], ['4', 'four again', 4]];
  const created = ['four'];
  for (const [shards, namespace, used] of plan) {
    await server.restart({ env: { SHARDS: shards } });
    await check(created);
    created.push(namespace);
    await both(batch(namespace, 0));
    for (const name of created) await both(batch(name, 40 * created.length));
    await check(created);
    assert.equal(await digests(namespace, used), used, `${namespace} has ${used} shards in use`);
  }
  assert.equal(await digests('four', 4), 4);
});
