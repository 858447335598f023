// The three metrics endpoints: valid by promtool, every label escaped, and right about traffic that is known.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { query } from '../harness/client.mjs';
import { until } from '../harness/deadline.mjs';
import { did } from '../harness/limits.mjs';
import { byBytes } from '../harness/model.mjs';
import { checked, parse, promtool, samples, total } from '../harness/prometheus.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const PATHS = ['/metrics', '/metrics/counters', '/metrics/predictions'];
const COUNTERS = JSON.stringify([{ pattern: '^weekly', date_cohort: 'weekly' }]);
const NAMES = ['plain', '"quoted"', 'back\\slash', 'ends with \\', '\\n is no newline', '{a="b"}', 'a,b="c"', 'Größe', '購入 👍', ' padded ', '# HELP', '%41'];
/** What promtool advises against in names that are the original's and cannot be changed. */
const ORIGINAL = [
  "kimball_counter metric name should not include type 'counter'",
  "kimball_counter_weekly metric name should not include type 'counter'",
  'kimball_event_add_duration_microseconds use base unit "seconds" instead of "microseconds"',
];
const server = await serve({ after }, { env: { COUNTERS, SHARDS: '2' } });

/** The families of an endpoint, which must be well-formed. */
async function read(path, on = server) {
  const answer = (await on.get(path)).expect(200);
  assert.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4\b/);
  return parse(answer.text);
}

async function traffic(on) {
  for (const namespace of NAMES) {
    await on.ingest(NAMES.flatMap((name, i) => Array.from({ length: i + 1 }, (_, user) => did(name, user, { namespace }))));
    await on.ingest(['1', '2'].map((user) => did(`goal ${namespace}`, user, { namespace, ensure_goal: true })));
  }
  await on.goal('nobody yet', 'only goals');
}

test('promtool finds nothing to complain about but names of the original', async (t) => {
  const binary = promtool();
  if (binary === undefined) {
    assert.notEqual(process.env.CI, 'true', 'promtool is missing: `make .tools/promtool/.stamp` gets it');
    t.skip('promtool is missing (Debian package prometheus): set PROMTOOL, or run `make test-http`');
    return;
  }
  assert.equal(checked(binary, 'a b c\n').status, 1, 'it does complain about what is wrong');
  const empty = await serve(t);
  await traffic(server);
  for (const on of [empty, server]) {
    for (const path of PATHS) {
      const { text } = (await on.get(path)).expect(200);
      const { status, output } = checked(binary, text);
      const complaints = output.split('\n').filter((line) => line !== '' && !ORIGINAL.includes(line));
      assert.deepEqual(complaints, [], path);
      // 3 is for advice about names; what is malformed or contradicts itself is 1.
      assert.ok(status === 0 || (status === 3 && output !== ''), `${path}: ${status}`);
    }
  }
});

test('every counter of every namespace, its labels escaped', async () => {
  await traffic(server);
  const families = await read('/metrics/counters');
  const found = samples(families, 'kimball_counter');
  assert.ok(['gauge', 'counter'].includes(families.get('kimball_counter').type));
  for (const namespace of NAMES) {
    const mine = found.filter(({ labels }) => labels.kimball_namespace === namespace).map(({ labels, value }) => [labels.name, value]);
    const expected = [...NAMES.map((name, i) => [name, i + 1]), [`goal ${namespace}`, 2]];
    assert.deepEqual(mine.sort(([a], [b]) => byBytes(a, b)), expected.sort(([a], [b]) => byBytes(a, b)), namespace);
    for (const { labels } of found) assert.deepEqual(Object.keys(labels).sort(), ['kimball_namespace', 'name']);
  }
  assert.equal(total(families, 'kimball_counter', { kimball_namespace: 'only goals', name: 'nobody yet' }) ?? 0, 0);

  const one = await read(`/metrics/counters${query({ namespace: NAMES[1] })}`);
  assert.deepEqual(new Set(samples(one, 'kimball_counter').map(({ labels }) => labels.kimball_namespace)), new Set([NAMES[1]]));
  assert.equal(samples(await read('/metrics/counters?namespace=never+written'), 'kimball_counter').length, 0);
});

test('weekly counters by year and week', async () => {
  const namespace = 'weeks';
  await server.ingest([
    did('weekly "logins"', 'u', { namespace, datetime: '2022-02-16T00:00:00Z' }),
    did('weekly "logins"', 'v', { namespace, datetime: '2022-02-17T00:00:00Z' }),
    did('weekly "logins"', 'u', { namespace, datetime: '2021-01-03T00:00:00Z' }),
    did('not so', 'u', { namespace, datetime: '2022-02-16T00:00:00Z' }),
  ]);
  const families = await read(`/metrics/counters${query({ namespace })}`);
  const label = { kimball_namespace: namespace, name: 'weekly "logins"' };
  const found = samples(families, 'kimball_counter_weekly').map(({ labels, value }) => ({ ...labels, value }));
  assert.deepEqual(found.sort((a, b) => a.year - b.year), [
    { ...label, year: '2020', week: '53', value: 1 }, { ...label, year: '2022', week: '7', value: 2 },
  ]);
  assert.deepEqual(samples(families, 'kimball_counter').map(({ labels, value }) => [labels.name, value]).sort(), [['not so', 1], ['weekly "logins"', 2]]);
});

test('predictions are those of GET /v0/predictions', async () => {
  await traffic(server);
  const families = await read('/metrics/predictions');
  for (const namespace of NAMES.slice(0, 4)) {
    const { goals } = (await server.get(`/v0/predictions${query({ namespace })}`)).expect(200).json();
    const expected = Object.entries(goals).flatMap(([goal, { events }]) => Object.entries(events).map(([event, { bayes }]) => [goal, event, bayes]));
    const found = samples(families, 'kimball_bayes_prediction', { kimball_namespace: namespace })
      .map(({ labels, value }) => [labels.goal, labels.event, value]);
    assert.ok(expected.length > 0);
    const sorted = (list) => list.sort((a, b) => byBytes(a[0] + a[1], b[0] + b[1]));
    assert.deepEqual(sorted(found), sorted(expected));
    for (const [, , value] of found) assert.ok(value >= 0 && value <= 1);
  }
  const one = await read(`/metrics/predictions${query({ namespace: NAMES[2] })}`);
  assert.deepEqual(new Set(samples(one, 'kimball_bayes_prediction').map(({ labels }) => labels.kimball_namespace)), new Set([NAMES[2]]));
});

test('the service itself, after traffic that is known', async (t) => {
  const env = { SHARDS: '1', COMPACTION_DELAY_MS: '3600000', SHARD_MEMORY_BYTES_MAX: '1048576' };
  const own = await serve(t, { env });
  const batches = 5;
  for (let i = 0; i < batches; i += 1) await own.ingest([did('A', i), did('B', i), did('A', i)]);
  await own.ingest([did('A', 0), did('B', 0)]);
  (await own.post('/v0/analytics', [did('A', 9), { event_name: 'A' }])).refused(400, 'field_missing');
  (await own.post('/v0/analytics', did('A', 9, { value: 'x' }))).refused(400, 'field_invalid');
  (await own.request('POST', '/v0/analytics', { body: '{', headers: { 'content-type': 'application/json' } })).refused(400, 'json_invalid');
  for (let i = 0; i < 3; i += 1) await own.analytics();
  (await own.get('/v0/nothing')).expect(404);

  const expectations = {
    'events accepted': ['kimball_events_total', { outcome: 'accepted' }, 2 * batches],
    'events repeated': ['kimball_events_total', { outcome: 'repeated' }, batches + 2],
    'writes that were answered': ['kimball_http_requests_total', { route: '/v0/analytics', method: 'POST', status: '204' }, batches + 1],
    'writes that were refused': ['kimball_http_requests_total', { route: '/v0/analytics', method: 'POST', status: '400' }, 3],
    reads: ['kimball_http_requests_total', { route: '/v0/analytics', method: 'GET', status: '200' }, 3],
    batches: ['kimball_shard_batches_total', {}, batches + 1],
    'rows written: a journal row for each batch with news, the alarm, the first generation and its mark': ['kimball_rows_written_total', {}, batches + 3],
    'journal rows': ['kimball_shard_journal_rows', { kimball_namespace: 'default', shard: '0' }, batches],
    'the limit of memory': ['kimball_shard_memory_limit_bytes', { kimball_namespace: 'default', shard: '0' }, 1_048_576],
  };
  for (const [what, [name, labels, expected]] of Object.entries(expectations)) {
    let families;
    await until(`${what}: ${expected}`, async () => {
      families = await read('/metrics', own);
      return total(families, name, labels) === expected;
    }, 5_000).catch((error) => {
      const lines = [...(families.get(name)?.samples ?? [])].map((sample) => JSON.stringify(sample)).join('\n');
      throw new Error(`${error.message}\n${lines}`);
    });
  }
  const families = await read('/metrics', own);
  for (const [reason, least] of [['field_missing', 1], ['field_invalid', 1], ['json_invalid', 1]]) {
    assert.ok(total(families, 'kimball_events_refused_total', { reason }) >= least, reason);
  }
  const types = { kimball_counters: 'gauge', kimball_persist_counters_managed: 'gauge', kimball_event_add_duration_microseconds: 'summary',
    kimball_http_requests_total: 'counter', kimball_events_total: 'counter', kimball_events_refused_total: 'counter',
    kimball_shard_batches_total: 'counter', kimball_rows_written_total: 'counter',
    kimball_shard_journal_rows: 'gauge', kimball_shard_journal_bytes: 'gauge', kimball_shard_memory_bytes: 'gauge', kimball_shard_memory_limit_bytes: 'gauge', kimball_shard_unreadable: 'gauge',
    kimball_shard_load_duration_seconds: 'summary', kimball_shard_compaction_duration_seconds: 'summary' };
  for (const [name, type] of Object.entries(types)) {
    assert.equal(families.get(name)?.type, type, name);
    assert.ok(families.get(name).help.length > 10, name);
  }
  assert.equal(total(families, 'kimball_counters'), 2, 'A and B');
  const shard = { kimball_namespace: 'default', shard: '0' };
  assert.ok(total(families, 'kimball_shard_journal_bytes', shard) > 0);
  const memory = total(families, 'kimball_shard_memory_bytes', shard);
  assert.ok(memory > 0 && memory < 1_048_576);
  assert.ok(total(families, 'kimball_event_add_duration_microseconds_count') >= 2 * batches);
  assert.ok(total(families, 'kimball_event_add_duration_microseconds_sum') >= 0);
  assert.ok([...families.keys()].some((name) => name.startsWith('process_')), 'process figures');

  // A compaction empties the journal and starts the snapshot's age; a load takes a time.
  await own.restart({ env: { JOURNAL_ROWS_MAX: '2' } });
  await own.ingest(did('A', 'compacts'));
  await own.ingest(did('A', 'compacts again'));
  await until('a compacted journal', async () => total(await read('/metrics', own), 'kimball_shard_journal_rows', shard) <= 2, 5_000);
  const later = await read('/metrics', own);
  const age = total(later, 'kimball_shard_snapshot_age_seconds', shard);
  assert.ok(age >= 0 && age < 600, `${age} s`);
  assert.ok(total(later, 'kimball_shard_load_duration_seconds_count') >= 1);
  assert.ok(total(later, 'kimball_shard_compaction_duration_seconds_count') >= 1);
});

test('labels of requests stay few, whatever is asked for', async (t) => {
  const own = await serve(t);
  for (let i = 0; i < 50; i += 1) {
    (await own.get(`/v0/no-such-${i}`)).expect(404);
    await own.request('PROPFIND', '/v0/analytics');
    await own.get(`/v0/analytics?namespace=n${i}`);
  }
  const families = await until('requests are counted', async () => {
    const found = await read('/metrics', own);
    return total(found, 'kimball_http_requests_total', { status: '404' }) === 50 && found;
  }, 5_000);
  assert.ok(samples(families, 'kimball_http_requests_total').length < 20);
  assert.ok(!(await own.get('/metrics')).text.includes('no-such'));
});

test('no user is in any metric', async (t) => {
  const own = await serve(t);
  const mark = 'Zq8-marked-user';
  await own.ingest([did('A', mark), did('G', mark, { ensure_goal: true })]);
  (await own.post('/v0/analytics', did('A', mark, { value: mark }))).expect(400);
  (await own.get(`/v0/predictions?user_id=${mark}`)).expect(200);
  for (const path of PATHS) assert.ok(!(await own.get(path)).text.includes(mark), path);
});

test('a namespace parameter that is malformed is refused', async () => {
  for (const path of PATHS.slice(1)) {
    for (const namespace of ['', '%00', 'a%0Ab', '%ff']) (await server.get(`${path}?namespace=${namespace}`)).refused(400, 'parameter_invalid');
    (await server.get(`${path}?namespace=${'x'.repeat(257)}`)).refused(400, 'name_too_long');
  }
});

test('more metrics than an answer may have are refused, and one namespace is still answered', async (t) => {
  const own = await serve(t, { env: { METRICS_BYTES_MAX: '2048' } });
  for (let i = 0; i < 60; i += 1) await own.ingest(did('A', i, { namespace: `n${i}` }));
  const error = (await own.get('/metrics/counters')).refused(507, 'metrics_too_large');
  assert.deepEqual([error.limit, error.value], ['METRICS_BYTES_MAX', 2048]);
  (await own.get('/metrics')).refused(507, 'metrics_too_large');
  assert.equal(samples(await read('/metrics/counters?namespace=n7', own), 'kimball_counter').length, 1);

  // To the byte, over both of its families.
  await own.restart({ env: { METRICS_BYTES_MAX: '65536', COUNTERS } });
  await own.ingest(did('weekly', 'u'));
  const { text } = (await own.get('/metrics/counters')).expect(200);
  assert.ok(text.includes('# TYPE kimball_counter_weekly gauge'));
  const bytes = Buffer.byteLength(text);
  await own.restart({ env: { METRICS_BYTES_MAX: String(bytes), COUNTERS } });
  assert.equal((await own.get('/metrics/counters')).expect(200).text, text);
  await own.restart({ env: { METRICS_BYTES_MAX: String(bytes - 1), COUNTERS } });
  (await own.get('/metrics/counters')).refused(507, 'metrics_too_large');
});

test('a batch whose journal row was not written counts as refused, and once when it is sent again', async (t) => {
  const own = await serve(t, { build: FAULTS, env: { SHARDS: '1' } });
  const batch = [did('A', 1), did('A', 2), did('A', 2)];
  (await own.post('/v0/analytics', batch, { headers: { 'x-kimball-fault': 'journal-write' } })).refused(503, 'storage_unavailable');
  await own.ingest(batch);
  const families = await read('/metrics', own);
  assert.equal(total(families, 'kimball_events_total', { outcome: 'accepted' }), 2);
  assert.equal(total(families, 'kimball_events_total', { outcome: 'repeated' }), 1);
  assert.equal(total(families, 'kimball_events_refused_total', { reason: 'storage_unavailable' }), 3);
});

test('a write without the right counts as a refused event', async (t) => {
  const own = await serve(t, { env: { API_AUTH: '', READ_TOKENS: 'read-token' } });
  (await own.post('/v0/analytics', did('A', 1))).refused(401, 'unauthorized');
  const families = parse((await own.get('/metrics', { headers: { authorization: 'Bearer read-token' } })).expect(200).text);
  assert.equal(total(families, 'kimball_events_refused_total', { reason: 'unauthorized' }), 1);
});

test('compactions and loads take the time that they take', async (t) => {
  const own = await serve(t, { env: { SHARDS: '1', COMPACTION_DELAY_MS: '3600000', JOURNAL_ROWS_MAX: '1' } });
  for (let i = 0; i < 10; i += 1) {
    await own.ingest(Array.from({ length: 5_000 }, (_, user) => did(`E${user % 20}`, `${i} ${user}`)));
  }
  const compacted = await read('/metrics', own);
  assert.equal(total(compacted, 'kimball_shard_compaction_duration_seconds_count'), 10);
  assert.ok(total(compacted, 'kimball_shard_compaction_duration_seconds_sum') > 0);
  await own.restart({ env: { SHARDS: '1' } });
  await own.analytics();
  const loaded = await read('/metrics', own);
  assert.equal(total(loaded, 'kimball_shard_load_duration_seconds_count'), 1);
  const seconds = total(loaded, 'kimball_shard_load_duration_seconds_sum');
  assert.ok(seconds > 0 && seconds < 30, `${seconds} s`);
});
