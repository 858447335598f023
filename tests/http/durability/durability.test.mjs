// Acknowledged means durable: workerd is killed in the middle of concurrent writes, over and over, and nothing that
// was acknowledged is missing, nothing counts twice, and compaction on the way changes nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../harness/deadline.mjs';
import { Model } from '../harness/model.mjs';
import { parse, total } from '../harness/prometheus.mjs';
import { seeded } from '../harness/random.mjs';
import { FAULTS, PRODUCT, serve } from '../harness/server.mjs';

const WRITERS = 8;
const ROUNDS = 50;
const NAMESPACES = ['default', 'second'];
const GOAL = 'purchase';
const EVENTS = ['view', 'search', 'cart', GOAL, 'review'];

/**
 * One client of its own users. Like a real one it sends its batches in order and does not go on before the current
 * one is acknowledged, so the combinations of its users are known whatever is sent again.
 */
class Writer {
  acknowledged = [];
  pending = null;
  #random;
  #prefix;
  #users = 0;

  constructor(number) {
    this.#random = seeded(100 + number);
    this.#prefix = `w${number}`;
  }

  #batch() {
    const random = this.#random;
    const size = random.pick([1, 1, 5, 20, 60]);
    return Array.from({ length: size }, () => {
      if (random.chance(0.4)) this.#users += 1;
      // A goal of this writer alone, added while servers die.
      const user_id = `${this.#prefix}-${Math.max(0, this.#users - random.below(6))}`;
      if (random.chance(0.05)) return { event_name: `done by ${this.#prefix}`, user_id, ensure_goal: true };
      return {
        event_name: random.pick(EVENTS),
        user_id,
        namespace: random.pick(NAMESPACES),
        ...(random.chance(0.5) ? { value: random.next() * 100 } : {}),
      };
    });
  }

  /** Sends the current batch, or the next one; it stays the current one until it is acknowledged. */
  async writeOnce(server, options) {
    this.pending ??= this.#batch();
    (await server.post('/v0/analytics', this.pending, options)).expect(204);
    this.acknowledged.push(this.pending);
    this.pending = null;
  }

  /** Sends batch after batch until the server is gone; `onAcknowledged` is called after each 204. */
  async write(server, onAcknowledged) {
    for (;;) {
      try {
        await this.writeOnce(server);
      } catch (error) {
        if (error.code === undefined) throw error;
        return; // The connection is gone, and with it the server.
      }
      onAcknowledged();
    }
  }

  async resend(server) {
    if (this.pending !== null) await this.writeOnce(server);
  }
}

function modelOf(batches) {
  const model = new Model();
  for (const namespace of NAMESPACES) model.goal(GOAL, namespace);
  for (const batch of batches) model.applyAll(batch);
  return model;
}

const countsOf = ({ counts, users }) => new Map([['', users], ...counts.map(({ name, count }) => [name, count])]);

/** Every acknowledged event is there, and nothing that was never sent: each count lies between the two models. */
async function bounded(server, writers) {
  const acknowledged = modelOf(writers.flatMap((writer) => writer.acknowledged));
  const sent = modelOf(writers.flatMap((writer) => [...writer.acknowledged, ...(writer.pending ? [writer.pending] : [])]));
  for (const namespace of NAMESPACES) {
    const found = countsOf(await server.analytics(namespace));
    const least = countsOf(acknowledged.analytics(namespace));
    const most = countsOf(sent.analytics(namespace));
    const of = (map, name) => `${namespace} ${name}: ${found.get(name)} of ${map.get(name)}`;
    for (const [name, count] of least) assert.ok(found.get(name) >= count, `${of(least, name)} acknowledged`);
    for (const [name, count] of found) assert.ok(count <= (most.get(name) ?? 0), `${of(most, name)} sent`);
  }
}

/** Lets all writers write until there are so many more acknowledgements, and kills the server in the middle. */
async function killAfter(server, writers, acknowledgements) {
  let left = acknowledgements;
  let kill;
  const killed = new Promise((resolve) => { kill = () => resolve(server.stop('SIGKILL')); });
  const writing = writers.map((writer) => writer.write(server, () => {
    left -= 1;
    if (left === 0) kill();
  }));
  await Promise.all([killed, ...writing]);
}

test(`${ROUNDS} times SIGKILL in the middle of ${WRITERS} writers: all acknowledged is there, once`, { timeout: 600_000 }, async (t) => {
  const env = { SHARDS: '4', JOURNAL_ROWS_MAX: '7', COMPACTION_DELAY_MS: '50' };
  const server = await serve(t, { env, build: PRODUCT });
  for (const namespace of NAMESPACES) await server.goal(GOAL, namespace);
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(i));
  const random = seeded(7);
  let interrupted = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    await killAfter(server, writers, 40 + random.below(80));
    interrupted += writers.filter((writer) => writer.pending !== null).length;
    await server.start();
    await bounded(server, writers);
  }
  assert.ok(interrupted >= ROUNDS, `only ${interrupted} requests were interrupted: the kills came at quiet moments`);

  await Promise.all(writers.map((writer) => writer.resend(server)));
  const truth = modelOf(writers.flatMap((writer) => writer.acknowledged));
  const exact = async () => {
    for (const namespace of NAMESPACES) assert.deepEqual(await server.analytics(namespace), truth.analytics(namespace));
  };
  await exact();
  for (const batch of writers.flatMap((writer) => writer.acknowledged)) await server.ingest(batch);
  await exact();
  await server.restart();
  await exact();
  // The control: compaction really ran on the way.
  await server.restart({ build: FAULTS, signal: 'SIGKILL' });
  await exact();
  for (let index = 0; index < 4; index += 1) {
    const { snapshot_rows, journal_rows } = await server.shard('default', index);
    assert.ok(snapshot_rows > 0, 'the shard was never compacted');
    assert.ok(journal_rows <= 7);
  }
});

test('SIGTERM answers what is in flight, ends the server and loses nothing', { timeout: 60_000 }, async (t) => {
  const server = await serve(t, { env: { JOURNAL_ROWS_MAX: '7' }, build: FAULTS });
  for (const namespace of NAMESPACES) await server.goal(GOAL, namespace);
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(i));
  for (let round = 0; round < 2; round += 1) {
    // Each has one request under way that takes two seconds, and sends no more.
    const headers = { 'x-kimball-fault': 'slow-2000' };
    const written = [];
    for (const writer of writers) {
      await new Promise((onSent) => { written.push(writer.writeOnce(server, { headers, onSent })); });
    }
    await server.get('/alive');
    await server.stop('SIGTERM');
    await Promise.all(written);
    await server.start();
  }
  const truth = modelOf(writers.flatMap((writer) => writer.acknowledged));
  for (const namespace of NAMESPACES) assert.deepEqual(await server.analytics(namespace), truth.analytics(namespace));
});

test('the checks find a missing event, a doubled one and a wrong sum', () => {
  const batch = [{ event_name: 'view', user_id: 'a', value: 1 }, { event_name: GOAL, user_id: 'a' }, { event_name: 'view', user_id: 'b' }];
  const answering = (events) => ({ analytics: async (namespace) => modelOf([events]).analytics(namespace) });
  const writer = { acknowledged: [batch], pending: [{ event_name: 'cart', user_id: 'c' }] };
  const check = (events) => bounded(answering(events), [writer]);
  return Promise.all([
    check(batch),
    check([...batch, ...writer.pending]),
    assert.rejects(check(batch.slice(1)), /acknowledged/),
    assert.rejects(check([...batch, { event_name: 'view', user_id: 'twice' }]), /sent/),
    assert.rejects(check([...batch, { event_name: 'never sent', user_id: 'a' }]), /sent/),
  ]);
});

test('a clean restart keeps every answer', async (t) => {
  const server = await serve(t);
  const model = new Model();
  for (let round = 0; round < 3; round += 1) {
    const events = Array.from({ length: 200 }, (_, i) => ({
      event_name: EVENTS[i % 5], user_id: `${round}-${i >> 3}`, value: i / 3, ensure_goal: i % 5 === 3,
    }));
    await server.ingest(events);
    model.applyAll(events);
    await server.restart();
    assert.deepEqual(await server.analytics(), model.analytics());
  }
});

const work = (round) => Array.from({ length: 60 }, (_, i) => ({
  event_name: EVENTS[i % 5], user_id: `${round}-${i >> 2}`, value: i / 7, ensure_goal: i % 5 === 3,
}));

test('an idle shard is compacted by its alarm: the journal is empty, the state equal', async (t) => {
  const server = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '1000' }, build: FAULTS });
  const model = new Model();
  let before;
  for (let round = 0; round < 4; round += 1) {
    await server.ingest(work(round));
    model.applyAll(work(round));
  }
  before = await server.shard();
  const compacted = await until('compaction by alarm', async () => {
    const shard = await server.shard();
    return shard.journal_rows === 0 && shard;
  });
  assert.equal(compacted.digest, before.digest);
  assert.equal(compacted.journal_bytes, 0);
  assert.ok(compacted.snapshot_rows > 0);
  assert.deepEqual(await server.analytics(), model.analytics());
  await server.restart({ signal: 'SIGKILL' });
  assert.equal((await server.shard()).digest, before.digest);
  assert.deepEqual(await server.analytics(), model.analytics());
  // Once more over an existing snapshot, so that sections are replaced and not only added.
  let round = 9;
  await until('a second compaction', async () => {
    await server.ingest(work(round));
    model.applyAll(work(round));
    round += 1;
    return total(parse((await server.get('/metrics')).expect(200).text), 'kimball_shard_compaction_duration_seconds_count') > 0;
  });
  before = await server.shard();
  assert.notEqual(before.digest, compacted.digest);
  await server.restart({ signal: 'SIGKILL' });
  assert.equal((await server.shard()).digest, before.digest);
  assert.deepEqual(await server.analytics(), model.analytics());
});

test('an alarm that was set before a kill fires after the restart', async (t) => {
  const server = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '3000' }, build: FAULTS });
  await server.ingest(work(0));
  const { digest, journal_rows } = await server.shard();
  assert.equal(journal_rows, 1);
  await server.restart({ signal: 'SIGKILL' });
  await until('compaction after the restart', async () => (await server.shard()).journal_rows === 0);
  assert.equal((await server.shard()).digest, digest);
});

for (const [limit, value] of [['JOURNAL_ROWS_MAX', '4'], ['JOURNAL_BYTES_MAX', '4096']]) {
  test(`a journal at ${limit} is compacted at once`, async (t) => {
    const server = await serve(t, { env: { SHARDS: '1', [limit]: value }, build: FAULTS });
    const model = new Model();
    let compactions = 0;
    let last = 0;
    for (let round = 0; round < 20; round += 1) {
      await server.ingest(work(round));
      model.applyAll(work(round));
      const { journal_rows, journal_bytes } = await server.shard();
      if (journal_rows <= last) compactions += 1;
      last = journal_rows;
      if (limit === 'JOURNAL_ROWS_MAX') assert.ok(journal_rows <= Number(value), `${journal_rows} rows`);
      else assert.ok(journal_bytes <= Number(value), `${journal_bytes} bytes`);
    }
    assert.ok(compactions >= 3, `${compactions} compactions`);
    assert.deepEqual(await server.analytics(), model.analytics());
    const { digest } = await server.shard();
    await server.restart({ signal: 'SIGKILL' });
    assert.equal((await server.shard()).digest, digest);
    assert.deepEqual(await server.analytics(), model.analytics());
  });
}

test('a batch of repeats writes nothing', async (t) => {
  const server = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '3600000' }, build: FAULTS });
  await server.ingest(work(0));
  const before = await server.shard();
  for (let i = 0; i < 5; i += 1) await server.ingest(work(0));
  assert.deepEqual(await server.shard(), before);
  await server.ingest(work(1));
  assert.equal((await server.shard()).journal_rows, before.journal_rows + 1);
});

test('compaction on request leaves the state as it is', async (t) => {
  const server = await serve(t, { env: { SHARDS: '1' }, build: FAULTS });
  await server.ingest(work(0));
  const before = await server.shard();
  for (let i = 0; i < 2; i += 1) {
    (await server.post('/faults/compact?namespace=default&index=0')).expect(204);
    const { journal_rows, digest } = await server.shard();
    assert.deepEqual([journal_rows, digest], [0, before.digest]);
  }
});
