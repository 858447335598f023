// COUNTERS: weekly cohorts, the first setting that matches, fixed sizes, and settings that are refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { query } from '../harness/client.mjs';
import { did } from '../harness/limits.mjs';
import { isoWeek, Model } from '../harness/model.mjs';
import { run } from '../harness/process.mjs';
import { seeded } from '../harness/random.mjs';
import { FAULTS, serve, temporaryDirectory } from '../harness/server.mjs';

const counters = (...settings) => ({ COUNTERS: JSON.stringify(settings) });
const weekly = (pattern) => ({ pattern, date_cohort: 'weekly' });
/** Names and counts of the weekly counters. */
const weeks = async (server, namespace) => Object.fromEntries((await server.analytics(namespace)).counts
  .filter(({ type }) => type === 'weekly').map(({ name, count }) => [name, count]));

/** Times and the ISO week that they are in, in UTC. */
const TIMES = {
  '2022-02-16T08:26:40Z': '20227',
  '2021-01-03T23:59:59Z': '202053',
  '2021-01-03T23:00:00-05:00': '20211',
  '2021-01-04T04:59:59+05:00': '202053',
  '2021-01-04T00:00:00Z': '20211',
  '2018-12-31T00:00:00Z': '20191',
  '2018-12-30T23:59:59.999Z': '201852',
  '2024-12-29T23:30:00-01:00': '20251',
  '2024-12-30T00:30:00+01:00': '202452',
  '2016-01-03T12:00:00Z': '201553',
  '2023-01-01T12:00:00Z': '202252',
  '2024-02-29T12:00:00Z': '20249',
};

test('the harness knows ISO weeks', () => {
  for (const [time, week] of Object.entries(TIMES)) assert.equal(isoWeek(new Date(time)).join(''), week, time);
});

test('the week is that of datetime in UTC, across year ends', async (t) => {
  const server = await serve(t, { env: counters(weekly('^Login$')) });
  const expected = {};
  for (const [i, [datetime, week]] of Object.entries(TIMES).entries()) {
    await server.ingest(did('Login', i, { datetime }));
    expected[`Login ${week}`] = (expected[`Login ${week}`] ?? 0) + 1;
  }
  assert.deepEqual(await weeks(server), expected);
  const { counts, users } = await server.analytics();
  assert.equal(users, Object.keys(TIMES).length);
  assert.deepEqual(counts[0], { name: 'Login', type: 'named', count: users, event_counts: [], single_event_counts: [], value: {} });
  assert.deepEqual(counts.find(({ name }) => name === 'Login 20227'), {
    name: 'Login 20227', type: 'weekly', count: 1, event_counts: [], single_event_counts: [], value: {},
  });
});

test('without a datetime the week is that of now', async (t) => {
  const server = await serve(t, { env: counters(weekly('.')) });
  const before = isoWeek(new Date()).join('');
  await server.ingest([did('A', 'u'), did('A', 'v', { datetime: null })]);
  const after = isoWeek(new Date()).join('');
  const counted = Object.entries(await weeks(server));
  for (const [name] of counted) assert.ok([before, after].includes(name.replace('A ', '')), name);
  assert.equal(counted.reduce((sum, [, count]) => sum + count, 0), 2);
});

test('the first pattern that matches anywhere in the name wins', async (t) => {
  const env = counters({ pattern: '^Login$' }, weekly('[Ll]og'), { pattern: 'Sign up' }, weekly('^Sign|\\d{3}$'), weekly('ü+ß'));
  const server = await serve(t, { env });
  const names = { Login: false, Logout: true, 'my blog': true, LOG: false, 'Sign up now': false, Signed: true, 'room 101': true,
    'room 10': false, 'Fuße': false, 'Füße': true, other: false };
  const datetime = '2022-02-16T00:00:00Z';
  await server.ingest(Object.keys(names).map((name) => did(name, 'u', { datetime })));
  const expected = Object.keys(names).filter((name) => names[name]).map((name) => [`${name} 20227`, 1]);
  assert.deepEqual(await weeks(server), Object.fromEntries(expected));
});

for (const SHARDS of ['1', '4']) {
  test(`random weeks of random users, goals and values, over ${SHARDS} shards, repeats, restarts and compaction`, async (t) => {
    const isWeekly = (name) => name !== 'plain';
    const env = { ...counters({ pattern: 'plain' }, weekly('')), SHARDS, JOURNAL_ROWS_MAX: '3' };
    const server = await serve(t, { env });
    const model = new Model({ isWeekly });
    const random = seeded(5);
    const batches = Array.from({ length: 12 }, () => Array.from({ length: 100 }, () => did(
      random.pick(['plain', 'view', 'cart', 'buy']), random.below(150), {
        datetime: new Date(Date.UTC(2020, 11, 1) + random.below(90 * 86_400) * 1_000).toISOString(), value: random.below(9),
      })).map((event) => ({ ...event, ensure_goal: event.event_name === 'buy' })));
    for (const [i, batch] of batches.entries()) {
      await server.ingest(batch);
      model.applyAll(batch);
      if (i % 4 === 3) await server.restart({ signal: i === 7 ? 'SIGTERM' : 'SIGKILL' });
      assert.deepEqual(await server.analytics(), model.analytics());
    }
    for (const batch of batches) await server.ingest(batch);
    assert.deepEqual(await server.analytics(), model.analytics(), 'repeats change no week');
    await server.restart({ env: { COUNTERS: '' } });
    assert.deepEqual(await server.analytics(), model.analytics(), 'what was counted stays when the setting goes');
  });
}

test('a user counts in every week, once', async (t) => {
  const server = await serve(t, { env: counters(weekly('Login')) });
  const [first, second] = ['2022-02-16T00:00:00Z', '2022-02-23T00:00:00Z'];
  await server.ingest([did('Login', 'u', { datetime: first }), did('Login', 'u', { datetime: first }), did('Login', 'u', { datetime: second })]);
  await server.ingest(did('Login', 'u', { datetime: '2022-02-20T23:59:59Z' }));
  await server.ingest(did('Login', 'u', { datetime: second, namespace: 'other' }));
  assert.deepEqual(await weeks(server), { 'Login 20227': 1, 'Login 20228': 1 });
  assert.deepEqual(await weeks(server, 'other'), { 'Login 20228': 1 });
  const { counts } = await server.analytics();
  assert.equal(counts.find(({ type }) => type === 'named').count, 1);
});

/** A day of the week that is so many weeks after the present one. */
const weekAfter = (number) => ({ datetime: new Date(Date.now() + number * 7 * 86_400_000).toISOString() });

/** An ingest that does not fall into a change of weeks: the model and the server must have the same present week. */
async function ingestBoth(server, model, batch) {
  const week = () => isoWeek(new Date()).join('');
  for (let before = week(); ; before = week()) {
    await server.ingest(batch);
    if (week() === before) break;
  }
  model.applyAll(batch);
}

test('at the limit the oldest week closes, and never the newest', async (t) => {
  const server = await serve(t, { env: { ...counters(weekly('A')), WEEKS_PER_EVENT_MAX: '2', SHARDS: '1' } });
  const week = (number) => ({ datetime: new Date(Date.UTC(2022, 0, 5) + number * 7 * 86_400_000).toISOString() });
  const batch = [did('A', 'u', week(0)), did('A', 'v', week(1)), did('A', 'w', week(2)), did('A', 'x', week(3)), did('A', 'y', week(1)), did('B', 'u', week(7))];
  const expected = { 'A 20223': 1, 'A 20224': 1, 'A other': 2 };
  for (let round = 0; round < 2; round += 1) {
    await server.ingest(batch);
    assert.deepEqual(await weeks(server), expected);
    await server.restart({ signal: 'SIGKILL' });
    assert.deepEqual(await weeks(server), expected);
  }
  await server.ingest([did('A', 'z', week(0)), did('A', 'z', week(3)), did('A', 'z', week(-9))]);
  assert.deepEqual(await weeks(server), { ...expected, 'A 20224': 2 });
  assert.equal((await server.analytics()).counts.find(({ name, type }) => name === 'A' && type === 'named').count, 6);
  const metrics = (await server.get('/metrics/counters')).text;
  assert.match(metrics, /kimball_counter_weekly\{[^}]*week="other"[^}]*\} 2\n/);
});

const ORDERS = {
  ascending: (list) => list,
  descending: (list) => list.toReversed(),
  shuffled: (list) => seeded(7).shuffled(list),
};

for (const [order, arrange] of Object.entries(ORDERS)) {
  test(`540 invented weeks in one body, ${order}: real ones count right`, { timeout: 120_000 }, async (t) => {
    const env = { ...counters(weekly('^A$')), SHARDS: '1', JOURNAL_ROWS_MAX: '5' };
    const server = await serve(t, { env });
    const model = new Model({ isWeekly: (name) => name === 'A' });
    const real = (from) => Array.from({ length: 30 }, (_, i) => did('A', `${from}-${i}`, weekAfter(-(i % 3))));
    const invented = arrange(Array.from({ length: 540 }, (_, i) => did('A', 'x', weekAfter(-3 - 7 * i))));
    for (const batch of [real('before'), invented, real('after'), invented, [did('A', 'now')]]) {
      await ingestBoth(server, model, batch);
      const expected = model.analytics();
      assert.deepEqual(await server.analytics(), expected);
      await server.restart({ signal: 'SIGKILL' });
      assert.deepEqual(await server.analytics(), expected);
    }
    const counted = await weeks(server);
    assert.ok(counted['A other'] > 0);
    assert.equal(Object.keys(counted).length, 521);
    const present = isoWeek(new Date()).join('');
    const before = model.analytics().counts.find(({ name }) => name === `A ${present}`);
    assert.equal(counted[`A ${present}`], before.count);
  });
}

test('520 future weeks: the next one is taken, later ones count in none', { timeout: 60_000 }, async (t) => {
  const server = await serve(t, { env: { ...counters(weekly('^A$')), SHARDS: '1' } });
  const model = new Model({ isWeekly: (name) => name === 'A' });
  const future = Array.from({ length: 520 }, (_, i) => did('A', `f${i}`, weekAfter(i + 1)));
  const real = Array.from({ length: 20 }, (_, i) => did('A', `r${i}`, weekAfter(-(i % 4))));
  for (const batch of [future, real, [did('A', 'end', { datetime: '9999-12-31T23:59:59Z' })], real]) {
    await ingestBoth(server, model, batch);
    assert.deepEqual(await server.analytics(), model.analytics());
    await server.restart();
    assert.deepEqual(await server.analytics(), model.analytics());
  }
  const counted = await weeks(server);
  assert.equal(counted['A other'], undefined);
  assert.equal(Object.keys(counted).length, 5, 'the next week, the present one, and three before it');
  const { count } = (await server.analytics()).counts.find(({ type }) => type === 'named');
  assert.equal(count, 541, 'every event counts');
});

test('an event of a later week is told of, so that a page sends it again when its week has come', async (t) => {
  const server = await serve(t, { env: { ...counters(weekly('')), ALLOWED_ORIGINS: '*' }, build: FAULTS });
  const told = async (...events) => (await server.post('/v0/analytics', events, { headers: { origin: 'https://shop.example' } })).expect(204).headers;
  assert.equal((await told(did('A', 'u'), did('A', 'u', weekAfter(-500)), did('A', 'v', weekAfter(0))))['kimball-weeks'], undefined);
  // It counts in its week, and in no day until that is tomorrow.
  assert.equal((await told(did('A', 'w', weekAfter(1))))['kimball-weeks'], 'later');
  const later = did('A', 'u', weekAfter(3));
  const headers = await told(did('A', 'u'), later);
  assert.equal(headers['kimball-weeks'], 'later');
  assert.match(headers['access-control-expose-headers'], /\bkimball-weeks\b/);
  const name = `A ${isoWeek(new Date(later.datetime)).join('')}`;
  assert.equal((await weeks(server))[name], undefined);
  (await server.post(`/faults/clock?offset_ms=${21 * 86_400_000}`)).expect(204);
  assert.equal((await told(later))['kimball-weeks'], undefined);
  assert.equal((await weeks(server))[name], 1);
});

test('the limit lowered and raised, and several shards: recent weeks stay exact', { timeout: 60_000 }, async (t) => {
  const env = (max) => ({ ...counters(weekly('')), WEEKS_PER_EVENT_MAX: String(max) });
  const server = await serve(t, { env: env(20) });
  const users = 200;
  const batch = (week) => Array.from({ length: users }, (_, i) => did('A', i, weekAfter(week)));
  for (let week = -30; week <= -10; week += 1) await server.ingest(batch(week));
  assert.equal((await weeks(server))['A other'], users);
  await server.restart({ env: env(3) });
  assert.equal(Object.keys(await weeks(server)).length, 21, 'nothing closes until a new week comes');
  for (let week = -2; week <= 0; week += 1) await server.ingest(batch(week));
  const lowered = await weeks(server);
  assert.deepEqual(Object.values(lowered).toSorted((a, b) => a - b), [users, users, users, 21 * users]);
  await server.restart({ env: env(20), signal: 'SIGKILL' });
  await server.ingest([...batch(-12), ...batch(-1)]);
  assert.deepEqual(await weeks(server), lowered, 'what has closed stays closed');
});

test('an event may be called like a week of another', async (t) => {
  const server = await serve(t, { env: counters(weekly('^A$')) });
  await server.ingest([did('A', 'u', { datetime: '2022-02-16T00:00:00Z' }), did('A 20227', 'u'), did('A 20227', 'v')]);
  const { counts } = await server.analytics();
  assert.deepEqual(counts.map(({ name, type, count }) => [name, type, count]), [['A', 'named', 1], ['A 20227', 'named', 2], ['A 20227', 'weekly', 1]]);
});

test('weekly counters disturb neither goals nor predictions nor nudges', async (t) => {
  const events = Array.from({ length: 200 }, (_, i) => [
    did('A', i), ...(i % 3 === 0 ? [did('B', i)] : []), ...(i % 4 === 0 ? [did('G', i, { ensure_goal: true })] : []),
  ]).flat().map((event, i) => ({ ...event, datetime: new Date(Date.UTC(2022, 0, 1) + i * 43_200_000).toISOString() }));
  const answers = [];
  for (const env of [{}, counters(weekly(''))]) {
    const server = await serve(t, { env });
    await server.ingest(events);
    const { counts, users } = await server.analytics();
    const paths = ['/v0/goals', '/v0/predictions', '/v0/predictions?event=A', '/v0/predictions?event=B&event=A', '/v0/predictions?user_id=3',
      `/v0/nudges${query({ goal: 'G', user_id: 1 })}`];
    const rest = [];
    for (const path of paths) rest.push((await server.get(path)).expect(200).json());
    answers.push({ counts: counts.filter(({ type }) => type === 'named'), users, rest });
    const week = await server.get(`/v0/predictions${query({ event: 'A 20221' })}`);
    assert.equal(week.refused(400, 'parameter_invalid').field, 'event', 'a week is not an event');
  }
  assert.deepEqual(answers[1], answers[0]);
});

test('a fixed size refuses further users of the event and accepts repeats', async (t) => {
  const size = 10;
  const settings = [{ pattern: '^small$', type: 'bloom_fixed_size', size }, { pattern: '^growing$', type: 'bloom_scalable', size }];
  const server = await serve(t, { env: { ...counters(...settings), SHARDS: '1' } });
  const users = Array.from({ length: size }, (_, i) => did('small', i, { value: 1 }));
  await server.ingest(users);
  const full = async () => {
    (await server.post('/v0/analytics', did('small', 'past'))).refused(507, 'users_full');
    (await server.post('/v0/analytics', [did('free', 'new'), did('small', 'past')])).refused(507, 'users_full');
    await server.ingest(users);
    const { counts, users: total } = await server.analytics();
    assert.deepEqual(counts.map(({ name, count, value }) => [name, count, value.sum]), [['small', size, size]]);
    assert.equal(total, size, 'a refused batch leaves nothing');
  };
  await full();
  await server.restart();
  await full();
  const many = Array.from({ length: 5 * size }, (_, i) => [did('growing', i), did('free', i)]).flat();
  await server.ingest(many);
  const { counts } = await server.analytics();
  assert.deepEqual(counts.map(({ name, count }) => [name, count]), [['free', 5 * size], ['growing', 5 * size], ['small', size]]);
});

test('a fixed size over several shards is met exactly or a little early', async (t) => {
  const size = 40;
  const server = await serve(t, { env: counters({ pattern: 'small', type: 'bloom_fixed_size', size }) });
  let accepted = 0;
  for (let i = 0; i < 200; i += 1) {
    const answer = await server.post('/v0/analytics', did('small', i));
    if (answer.status === 204) accepted += 1;
    else answer.refused(507, 'users_full');
  }
  assert.equal(accepted, size, 'enough users fill every shard');
  assert.equal((await server.analytics()).counts[0].count, size);
});

test('error probabilities are accepted from 1e-9 to 0.5, and hold', async (t) => {
  const rates = [1e-9, 1e-4, 0.01, 0.5];
  const server = await serve(t, { env: { ...counters(...rates.map((error_probability, i) => ({ pattern: `^E${i}$`, error_probability, size: 5_000 }))) } });
  const users = 5_000;
  for (const [i, rate] of rates.entries()) {
    await server.ingest(Array.from({ length: users }, (_, user) => did(`E${i}`, user)));
    const { count } = (await server.analytics()).counts.find(({ name }) => name === `E${i}`);
    const lost = users * rate;
    assert.ok(count <= users && count >= users - lost - 4 * Math.sqrt(lost) - 1, `${rate}: ${count} of ${users}`);
  }
});

const BAD = ['x', '{}', '5', '"a"', '[1]', '[null]', '[[]]', '[["a","weekly",null,null,null]]', '[{}]', '[{"pattern":1}]', '[{"pattern":"("}]', '[{"pattern":"*a"}]', '[{"pattern":"[z-a]"}]',
  '[{"pattern":"a"},{"pattern":"(a{1000}){1000}"}]', '[{"pattern":"(?=a)"}]', '[{"pattern":"a","date_cohort":"daily"}]', '[{"pattern":"a","date_cohort":7}]',
  '[{"pattern":"a","size":0}]', '[{"pattern":"a","size":-1}]', '[{"pattern":"a","size":1.5}]', '[{"pattern":"a","size":"10"}]',
  '[{"pattern":"a","size":64000001}]', '[{"pattern":"a","error_probability":0}]', '[{"pattern":"a","error_probability":1}]',
  '[{"pattern":"a","error_probability":-0.1}]', '[{"pattern":"a","error_probability":1e-10}]', '[{"pattern":"a","error_probability":"low"}]',
  '[{"pattern":"a","type":"bloom"}]', '[{"pattern":"a","type":1}]', '[{"pattern":"a","type":"bloom_fixed_size"}]',
  '[{"pattern":"a","pattern":"b"}]', '[{"pattern":"a"}', '[{"pattern":"a"},]'];

test('settings that are not valid refuse to start, with the reason', { timeout: 180_000 }, async (t) => {
  for (const value of BAD) {
    const server = await serve(t, { env: { COUNTERS: value } });
    for (const [method, path, json] of [['GET', '/healthz'], ['POST', '/v0/analytics', did('A', 'u')]]) {
      const { what } = (await server.request(method, path, { json })).refused(503, 'configuration_invalid');
      assert.ok(what.startsWith('COUNTERS: ') && what.length > 'COUNTERS: '.length + 5 && !what.includes('\n'), `${value}: ${what}`);
    }
    await server.stop('SIGKILL');
  }
  const STATE_DIR = await temporaryDirectory(t);
  const { code, stdout, stderr } = await run(t, 'start', { env: { PORT: '0', STATE_DIR, COUNTERS: '[{"pattern":"("}]' } });
  assert.ok(code > 0);
  assert.match(`${stdout}${stderr}`, /^[^\n]*\bCOUNTERS\b[^\n]*\n$/);
});

test('empty settings are none', async (t) => {
  for (const COUNTERS of ['', ' ', '[]']) {
    const server = await serve(t, { env: { COUNTERS } });
    await server.ingest(did('A', 'u'));
    assert.deepEqual(await weeks(server), {});
  }
});
