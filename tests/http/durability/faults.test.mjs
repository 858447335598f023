// A panic, a trap, a failed allocation and a failed storage write: a prompt 503, everything else in flight answered,
// nothing acknowledged lost, nothing half applied, and a server that still stops when asked to.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Model } from '../harness/model.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const FRONT = ['worker-panic', 'worker-trap', 'worker-allocation'];
const SHARD = ['shard-panic', 'shard-trap', 'shard-allocation', 'journal-write'];
// The issue demands a second; the margin is for a loaded machine.
const PROMPT_MS = 2_000;

const inject = (server, fault, events, options = {}) => server.post('/v0/analytics', events, {
  ...options, headers: { 'x-kimball-fault': fault },
});

const batch = (label, namespace = 'default') => Array.from({ length: 40 }, (_, i) => ({
  event_name: ['view', 'cart', 'purchase'][i % 3], user_id: `${label}-${i >> 2}`, namespace, value: i / 3, ensure_goal: i % 3 === 2,
}));

async function timed(promise) {
  const start = performance.now();
  return { answer: await promise, ms: performance.now() - start };
}

/** The state of all shards, as digests. */
const digests = (server, namespace, shards = 4) => Promise.all(
  Array.from({ length: shards }, async (_, index) => (await server.shard(namespace, index)).digest));

for (const fault of [...FRONT, ...SHARD]) {
  test(`${fault}: 503 at once, and resending makes it right`, async (t) => {
    const server = await serve(t, { build: FAULTS });
    const model = new Model();
    await server.ingest(batch('before'));
    model.applyAll(batch('before'));

    for (let round = 0; round < 2; round += 1) {
      const { answer, ms } = await timed(inject(server, fault, batch(`faulty ${round}`)));
      answer.refused(503, fault === 'journal-write' ? 'storage_unavailable' : 'worker_reset');
      assert.ok(Number(answer.headers['retry-after']) >= 1, `Retry-After: ${answer.headers['retry-after']}`);
      assert.ok(ms < PROMPT_MS, `answered after ${ms} ms`);

      // Not acknowledged, so it may be there or not, but what was acknowledged is; and nothing else is disturbed.
      const { counts } = await server.analytics();
      const least = model.analytics().counts;
      for (const { name, count } of least) assert.ok(counts.find((event) => event.name === name).count >= count, name);
      await server.ingest(batch(`faulty ${round}`));
      model.applyAll(batch(`faulty ${round}`));
      assert.deepEqual(await server.analytics(), model.analytics());
    }
    await server.restart();
    assert.deepEqual(await server.analytics(), model.analytics());
  });
}

test('a failed storage write leaves nothing half applied', async (t) => {
  const server = await serve(t, { build: FAULTS });
  await server.ingest(batch('before'));
  const before = { answer: await server.analytics(), digests: await digests(server, 'default') };
  const same = async () => {
    assert.deepEqual(await server.analytics(), before.answer);
    assert.deepEqual(await digests(server, 'default'), before.digests);
  };
  for (let i = 0; i < 3; i += 1) {
    (await inject(server, 'journal-write', batch('lost'))).refused(503, 'storage_unavailable');
    await same();
  }
  // Repeats write nothing, so there is nothing that could fail.
  (await inject(server, 'journal-write', batch('before'))).expect(204);
  await server.restart({ signal: 'SIGKILL' });
  await same();
});

test('a panic in the shard acknowledges nothing and keeps nothing of its request', async (t) => {
  const server = await serve(t, { build: FAULTS, env: { SHARDS: '1' } });
  await server.ingest(batch('before'));
  const answer = await server.analytics();
  const { digest } = await server.shard();
  for (const fault of ['shard-panic', 'shard-trap', 'shard-allocation']) {
    (await inject(server, fault, batch('lost'))).refused(503, 'worker_reset');
    assert.deepEqual(await server.analytics(), answer, fault);
    assert.equal((await server.shard()).digest, digest, fault);
  }
});

for (const fault of ['shard-panic', 'journal-write']) {
  test(`a goal whose first request met ${fault} is one on every shard once it is acknowledged`, async (t) => {
    const server = await serve(t, { build: FAULTS });
    const model = new Model();
    const users = Array.from({ length: 60 }, (_, i) => `u${i}`);
    const before = users.map((user_id) => ({ event_name: 'A', user_id }));
    await server.ingest(before);
    model.applyAll(before);
    const goal = { event_name: 'G', user_id: 'first', ensure_goal: true };
    (await inject(server, fault, goal)).refused(503);
    await server.ingest(goal);
    model.apply(goal);
    const after = users.map((user_id) => ({ event_name: 'G', user_id }));
    await server.ingest(after);
    model.applyAll(after);
    assert.deepEqual(await server.analytics(), model.analytics());
    assert.deepEqual((await server.get('/v0/goals')).expect(200).json(), { goals: ['G'] });
  });
}

test('slow-2000 really is slow', async (t) => {
  const server = await serve(t, { build: FAULTS });
  const { answer, ms } = await timed(inject(server, 'slow-2000', batch('slow')));
  answer.expect(204);
  assert.ok(ms >= 1_900, `answered after ${ms} ms`);
});

for (const fault of [...FRONT, ...SHARD]) {
  test(`${fault}: requests in flight elsewhere are answered`, async (t) => {
    const server = await serve(t, { build: FAULTS });
    const namespaces = ['other', 'third', 'default'];
    const models = new Map(namespaces.map((namespace) => [namespace, new Model()]));
    for (const namespace of namespaces) {
      await server.ingest(batch('before', namespace));
      models.get(namespace).applyAll(batch('before', namespace));
    }
    // Two writes that wait in shards of their own, sent before the fault is.
    const slow = [];
    for (const namespace of ['other', 'third']) {
      await new Promise((sent) => {
        slow.push({ namespace, answered: timed(inject(server, 'slow-2000', batch('slow', namespace), { onSent: sent })) });
      });
    }
    (await server.get('/alive')).expect(200);

    const { answer, ms } = await timed(inject(server, fault, batch('faulty')));
    answer.refused(503);
    assert.ok(ms < PROMPT_MS, `answered after ${ms} ms`);
    for (const { namespace, answered } of slow) {
      const { answer: late, ms: lateMs } = await answered;
      assert.ok(lateMs < 2_000 + PROMPT_MS, `${namespace}: answered after ${lateMs} ms`);
      if (late.status !== 204) {
        late.refused(503);
        assert.ok(late.headers['retry-after']);
        await server.ingest(batch('slow', namespace));
      }
      models.get(namespace).applyAll(batch('slow', namespace));
    }
    await server.ingest(batch('faulty'));
    models.get('default').applyAll(batch('faulty'));
    for (const namespace of namespaces) {
      assert.deepEqual(await server.analytics(namespace), models.get(namespace).analytics(namespace), namespace);
    }
    await server.stop('SIGTERM');
  });
}

test('faults under load: every request is answered, and the end is exact', { timeout: 120_000 }, async (t) => {
  const server = await serve(t, { build: FAULTS, env: { JOURNAL_ROWS_MAX: '5' } });
  const model = new Model();
  const faults = [...FRONT, ...SHARD];
  let refused = 0;
  await Promise.all(Array.from({ length: 6 }, async (_, writer) => {
    for (let i = 0; i < 15; i += 1) {
      const events = batch(`${writer}.${i}`);
      const headers = i % 5 === writer % 5 ? { 'x-kimball-fault': faults[(i + writer) % faults.length] } : {};
      let answer = await server.post('/v0/analytics', events, { headers });
      for (let tries = 0; answer.status !== 204; tries += 1) {
        answer.refused(503);
        refused += 1;
        assert.ok(tries < 50, 'a batch was refused 50 times');
        answer = await server.post('/v0/analytics', events);
      }
    }
  }));
  for (let writer = 0; writer < 6; writer += 1) for (let i = 0; i < 15; i += 1) model.applyAll(batch(`${writer}.${i}`));
  assert.ok(refused >= 6 * 3, `${refused} refusals`);
  assert.deepEqual(await server.analytics(), model.analytics());
  await server.restart({ signal: 'SIGTERM' });
  assert.deepEqual(await server.analytics(), model.analytics());
});

test('the product build has no faults', async (t) => {
  const server = await serve(t);
  for (const fault of [...FRONT, ...SHARD]) (await inject(server, fault, batch('x'))).expect(204);
  (await server.get('/faults/shard?namespace=default&index=0')).refused(404, 'not_found');
  (await server.post('/faults/compact?namespace=default&index=0', {})).refused(404, 'not_found');
});
