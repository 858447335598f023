// GET /metrics/counters and /metrics/predictions: exact, and no shard is loaded for them, or dropped.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { databases, editRow, sql } from '../harness/damage.mjs';
import * as golden from '../harness/golden-state.mjs';
import { Model } from '../harness/model.mjs';
import { assertClose, perEvent } from '../harness/predictions.mjs';
import { parse, samples, total } from '../harness/prometheus.mjs';
import { seeded } from '../harness/random.mjs';
import { serve, temporaryDirectory } from '../harness/server.mjs';
import { tables } from '../harness/sqlite.mjs';

const NAMESPACES = Array.from({ length: 20 }, (_, i) => `space ${i}`);
const SHARDS = 3;
const SCRAPES = 5;
const COUNTERS = JSON.stringify([{ pattern: '^Visit$', date_cohort: 'weekly' }]);
const TIMES = ['2022-02-16T08:26:40Z', '2021-01-03T23:59:59Z', '2021-01-04T00:00:00Z', '2024-12-30T12:00:00Z'];
const ENV = { SHARDS: String(SHARDS), COUNTERS, COMPACTION_DELAY_MS: '3600000', JOURNAL_ROWS_MAX: '3' };

const isWeekly = (name) => name === 'Visit';
const read = async (server, path) => parse((await server.get(path)).expect(200).text);

const events = (random, namespace, count) => Array.from({ length: count }, () => {
  const event_name = ['Visit', 'Search', 'Cart', 'Buy'][random.below(4)];
  return {
    event_name, namespace, user_id: `u${random.below(40)}`, datetime: TIMES[random.below(TIMES.length)],
    ...(event_name === 'Buy' ? { ensure_goal: true } : {}),
  };
});

/** Name and count, or name, week and count, of every counter of a namespace, as the metrics must have them. */
function expected(model, namespace) {
  const lines = model.analytics(namespace).counts.map(({ name, type, count }) => `${type} ${name} ${count}`);
  return lines.sort();
}

async function assertExact(server, model, namespaces) {
  const counters = await read(server, '/metrics/counters');
  const predictions = await read(server, '/metrics/predictions');
  for (const kimball_namespace of namespaces) {
    const named = samples(counters, 'kimball_counter', { kimball_namespace }).map(({ labels, value }) => `named ${labels.name} ${value}`);
    const weekly = samples(counters, 'kimball_counter_weekly', { kimball_namespace })
      .map(({ labels, value }) => `weekly ${labels.name} ${labels.year}${labels.week} ${value}`);
    assert.deepEqual([...named, ...weekly].sort(), expected(model, kimball_namespace), kimball_namespace);
    const { goals } = perEvent(model.analytics(kimball_namespace), model.goals(kimball_namespace));
    const found = {};
    for (const { labels, value } of samples(predictions, 'kimball_bayes_prediction', { kimball_namespace })) {
      (found[labels.goal] ??= {})[labels.event] = value;
    }
    const bayes = Object.entries(goals).map(([goal, { events: of }]) => [goal, Object.fromEntries(Object.entries(of).map(([name, { bayes: b }]) => [name, b]))]);
    assertClose(found, Object.fromEntries(bayes));
  }
}

const loads = async (server) => total(await read(server, '/metrics'), 'kimball_shard_load_duration_seconds_count');
const loaded = async (server) => samples(await read(server, '/metrics'), 'kimball_shard_memory_bytes')
  .filter(({ value }) => value > 0).map(({ labels }) => `${labels.kimball_namespace}/${labels.shard}`).sort();

/** Scrapes everything several times; exact each time, with so many loads, and the same shards in memory after as before. */
async function scrape(server, model, namespaces, { loadsExpected = 0 } = {}) {
  const [before, inMemory] = [await loads(server), await loaded(server)];
  for (let i = 0; i < SCRAPES; i += 1) await assertExact(server, model, namespaces);
  assert.equal(await loads(server) - before, loadsExpected, 'loads by scrapes');
  assert.deepEqual(await loaded(server), inMemory, 'what is in memory stays, and nothing else comes');
  return inMemory;
}

test('many namespaces, little memory: exact through compactions and restarts, and nothing is loaded', { timeout: 240_000 }, async (t) => {
  const memory = { SHARD_MEMORY_BYTES_MAX: '16384', ISOLATE_MEMORY_BYTES_MAX: '16384' };
  const server = await serve(t, { env: { ...ENV, ...memory } });
  const random = seeded(10);
  const model = new Model({ isWeekly });
  const ingest = async () => {
    for (const namespace of NAMESPACES) {
      const batch = events(random, namespace, 1 + random.below(25));
      await server.ingest(batch);
      model.applyAll(batch);
    }
  };
  for (let round = 0; round < 4; round += 1) {
    await ingest();
    const inMemory = await scrape(server, model, NAMESPACES);
    assert.ok(inMemory.length > 0 && inMemory.length < NAMESPACES.length * SHARDS / 2, `${inMemory.length} shards are in memory`);
  }
  const rows = samples(await read(server, '/metrics'), 'kimball_shard_journal_rows').map(({ value }) => value);
  assert.ok(rows.some((count) => count > 0), 'there are journals');
  const ages = samples(await read(server, '/metrics'), 'kimball_shard_snapshot_age_seconds');
  assert.ok(ages.length > NAMESPACES.length, 'there are snapshots');
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await server.restart({ signal });
    assert.deepEqual(await scrape(server, model, NAMESPACES), []);
    assert.equal(await loads(server), 0);
    await ingest();
    await scrape(server, model, NAMESPACES);
  }
  for (const namespace of NAMESPACES) assert.deepEqual(await server.analytics(namespace), model.analytics(namespace));
});

for (const version of [1, 2]) {
  test(`the state of version ${version}, without counts: counted once, and stored`, { timeout: 60_000 }, async (t) => {
    const stateDir = await temporaryDirectory(t);
    golden.unpack(`state-${version}`, stateDir);
    // The alarms that it has set are long due, and their compactions would load the shards and store the counts.
    for (const path of databases(stateDir).filter((file) => file.endsWith('shard/metadata.sqlite'))) sql(path, 'DELETE FROM _cf_ALARM');
    const server = await serve(t, { stateDir, env: { ...golden.ENV } });
    const withSnapshot = tables(stateDir, 'snapshot').filter(({ rows }) => rows.length > 0).length;
    assert.ok(withSnapshot > 0);
    await scrape(server, golden.model(), golden.NAMESPACES, { loadsExpected: withSnapshot });
    await server.restart({ signal: 'SIGKILL' });
    await scrape(server, golden.model(), golden.NAMESPACES);
    await server.ingest(golden.batch(golden.NEXT));
    await server.restart({ signal: 'SIGKILL', env: { JOURNAL_ROWS_MAX: '1' } });
    await scrape(server, golden.model(1), golden.NAMESPACES);
    await server.ingest(golden.batch(golden.NEXT + 1));
    await scrape(server, golden.model(2), golden.NAMESPACES);
  });
}

const flipped = (row) => { row[row.length - 1] ^= 1; return row; };
const LOST = {
  'is damaged': (path) => editRow(path, 'counts', 0, flipped),
  'is gone': (path) => sql(path, 'DELETE FROM counts'),
  'is no bytes': (path) => sql(path, "UPDATE counts SET row = 'text'"),
  'is that of an earlier snapshot': (path, earlier) => editRow(path, 'counts', 0, () => earlier),
};
for (const [name, lose] of Object.entries(LOST)) {
  test(`a row of counts that ${name} is never answered from: they are counted anew`, { timeout: 60_000 }, async (t) => {
    const server = await serve(t, { env: { ...ENV, SHARDS: '1', JOURNAL_ROWS_MAX: '1' } });
    const model = new Model({ isWeekly });
    const random = seeded(11);
    const ingest = async () => {
      const batch = events(random, 'default', 30);
      await server.ingest(batch);
      model.applyAll(batch);
    };
    await ingest();
    await server.stop();
    const [{ path }] = tables(server.stateDir, 'counts');
    const earlier = Buffer.from(sql(path, 'SELECT row FROM counts')[0][0], 'hex');
    await server.start();
    await ingest();
    await server.restart({ env: { JOURNAL_ROWS_MAX: '100' } });
    await ingest();
    await server.stop();
    lose(path, earlier);
    await server.start();
    await scrape(server, model, ['default'], { loadsExpected: 1 });
    assert.equal(/shard default\/0, counts, frame(, checksum)?: .*counted anew/.test(server.log), ['is damaged', 'is gone', 'is no bytes'].includes(name));
    await server.restart({ signal: 'SIGKILL' });
    await scrape(server, model, ['default']);
  });
}
