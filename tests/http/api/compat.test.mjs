// The proof of compatibility: what the original documents, request by request, each answer compared whole: status,
// type, body, and the headers that a client of it looks at. What is ours beside it (`users`, `event_counts_other`,
// `probability`, `support`) is compared too.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { query } from '../harness/client.mjs';
import { until } from '../harness/deadline.mjs';
import { parameter } from '../harness/flags.mjs';
import { Model } from '../harness/model.mjs';
import { assertClose, nudges, perEvent } from '../harness/predictions.mjs';
import { run } from '../harness/process.mjs';
import { seeded } from '../harness/random.mjs';
import { serve, temporaryDirectory } from '../harness/server.mjs';

const TYPE = { 'content-type': 'application/json' };
const JSON_TYPE = /^application\/json(; charset=utf-8)?$/i;

/** The write's answer: 204, no body, nothing that announces one. */
function assertDone(answer) {
  assert.equal(answer.status, 204, `${answer.request}: ${answer.text}`);
  assert.equal(answer.text, '');
  assert.ok([undefined, '0'].includes(answer.headers['content-length']));
  assert.equal(answer.headers['transfer-encoding'], undefined);
  assert.equal(answer.headers['content-type'], undefined);
}

/** A read's answer: 200 and exactly this JSON. */
function assertJson(answer, expected) {
  assert.equal(answer.status, 200, `${answer.request}: ${answer.text}`);
  assert.match(answer.headers['content-type'], JSON_TYPE);
  assert.deepEqual(answer.json(), expected);
}

/** A refusal: this status, an error object, no more. */
function assertError(answer, status) {
  assert.equal(answer.status, status, `${answer.request}: ${answer.text}`);
  assert.match(answer.headers['content-type'], JSON_TYPE);
  const body = answer.json();
  assert.deepEqual(Object.keys(body), ['error']);
  assert.equal(typeof body.error.what, 'string');
}

/** Plays steps `[method, path, body, expected]` in order; expected: 204, JSON, or a status of a refusal. */
async function play(server, steps) {
  for (const [method, path, body, expected] of steps) {
    const answer = await server.request(method, path, { json: body });
    if (expected === 204) assertDone(answer);
    else if (typeof expected === 'number') assertError(answer, expected);
    else assertJson(answer, expected);
  }
}

const named = (name, count, more = {}) => ({ name, type: 'named', count, event_counts: [], single_event_counts: [], value: {}, ...more });
const goal = (name, count, event_counts, single_event_counts, more = {}) => ({
  ...named(name, count), event_counts, event_counts_other: 0, single_event_counts, ...more,
});

test('POST and GET /v0/analytics', async (t) => {
  const server = await serve(t);
  await play(server, [
    ['GET', '/v0/analytics', undefined, { counts: [], users: 0 }],
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'user-1' }, 204],
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'user-1' }, 204],
    ['POST', '/v0/analytics', { events: [{ event_name: 'Login', user_id: 'user-2' }, { event_name: 'Sign up', user_id: 'user-2' }] }, 204],
    ['POST', '/v0/analytics', [{ event_name: 'Login', user_id: 3 }, { event_name: 'Login', user_id: '3' }], 204],
    ['GET', '/v0/analytics', undefined, { counts: [named('Login', 3), named('Sign up', 1)], users: 3 }],
    // A value counts with the first occurrence only.
    ['POST', '/v0/analytics', { event_name: 'Purchase', user_id: 'user-1', value: 12.5 }, 204],
    ['POST', '/v0/analytics', { event_name: 'Purchase', user_id: 'user-1', value: 100 }, 204],
    ['POST', '/v0/analytics', { event_name: 'Purchase', user_id: 'user-2' }, 204],
    ['POST', '/v0/analytics', { event_name: 'Purchase', user_id: 'user-2', value: 7 }, 204],
    ['GET', '/v0/analytics?namespace=default', undefined,
      { counts: [named('Login', 3), named('Purchase', 2, { value: { sum: 12.5 } }), named('Sign up', 1)], users: 3 }],
    // A goal, made by an event, sees what came before it in the same batch.
    ['POST', '/v0/analytics', { events: [
      { event_name: 'Search', user_id: 'a', namespace: 'shop' }, { event_name: 'Buy', user_id: 'a', namespace: 'shop', ensure_goal: true, value: 3 },
      { event_name: 'Buy', user_id: 'b', namespace: 'shop', ensure_goal: false, datetime: '2022-02-16T08:26:40Z' },
    ] }, 204],
    ['GET', '/v0/analytics?namespace=shop', undefined, { counts: [
      goal('Buy', 2, [{ events: [], count: 1 }, { events: ['Search'], count: 1 }], [{ name: 'Search', count: 1 }], { value: { sum: 3 } }),
      named('Search', 1),
    ], users: 2 }],
    ['GET', '/v0/goals?namespace=shop', undefined, { goals: ['Buy'] }],
  ]);
});

test('/v0/goals and /v0/namespaces', async (t) => {
  const server = await serve(t);
  await play(server, [
    ['GET', '/v0/namespaces', undefined, { namespaces: ['default'] }],
    ['GET', '/v0/goals', undefined, { goals: [] }],
    ['POST', '/v0/goals', { goal_name: 'Completed purchase' }, 204],
    ['POST', '/v0/goals', { goal_name: 'Completed purchase' }, 204],
    ['POST', '/v0/goals', { goal_name: 'Subscribed', namespace: 'news' }, 204],
    ['GET', '/v0/goals', undefined, { goals: ['Completed purchase'] }],
    ['GET', '/v0/goals?namespace=news', undefined, { goals: ['Subscribed'] }],
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'u', namespace: 'app' }, 204],
    ['GET', '/v0/namespaces', undefined, { namespaces: ['app', 'default', 'news'] }],
    ['GET', '/v0/analytics', undefined, { counts: [goal('Completed purchase', 0, [], [])], users: 0 }],
    ['POST', '/v0/goals', {}, 400],
    ['POST', '/v0/goals', { goal_name: 7 }, 400],
  ]);
});

test('feature flags', async (t) => {
  const server = await serve(t);
  const features = (user, context) => `/v0/features?user_obj=${parameter(user)}${context ? `&context_obj=${parameter(context)}` : ''}`;
  const specs = [
    { name: 'always', boolean: true },
    { name: 'customers', boolean: false, user: [
      { property: 'company', comparator: '=', value: 'ACME' }, { property: 'user_id', comparator: 'in', value: [1, 2, 42] },
    ] },
    { name: 'finished', rollout_start: '2021-05-01T00:00:00Z', rollout_end: '2021-06-01T00:00:00Z' },
    { name: 'to come', rollout_start: '2121-05-01T00:00:00Z', rollout_end: '2121-06-01T00:00:00Z' },
  ];
  await play(server, [
    ['GET', '/v0/features', undefined, { features: {} }],
    ['GET', '/v0/featureSpecs', undefined, { featureSpecs: [] }],
    ...specs.map((spec) => ['POST', '/v0/featureSpecs', spec, 204]),
    ['GET', '/v0/featureSpecs', undefined, { featureSpecs: specs.map((spec) => ({ boolean: false, user: [], ...spec })) }],
    ['GET', '/v0/features', undefined, { features: { always: true, customers: false, finished: true, 'to come': false } }],
    ['GET', features({ user_id: 42 }), undefined, { features: { always: true, customers: true, finished: true, 'to come': false } }],
    ['GET', features({ user_id: '42' }), undefined, { features: { always: true, customers: false, finished: true, 'to come': false } }],
    ['GET', features({ user_id: 'x', company: 'ACME' }), undefined, { features: { always: true, customers: true, finished: true, 'to come': false } }],
    ['POST', '/v0/featureSpecs', { name: 'always', boolean: false }, 204],
    ['GET', features({ user_id: 'shown' }, { feature: 'always' }), undefined, { features: { always: false, customers: false, finished: true, 'to come': false } }],
    ['POST', '/v0/featureSpecs', { boolean: true }, 400],
    ['POST', '/v0/featureSpecs', { name: 'f', rollout_start: '2021-05-01T00:00:00Z' }, 400],
    ['POST', '/v0/featureSpecs', { name: 'f', user: [{ property: 'p', comparator: '<', value: 1 }] }, 400],
    ['GET', '/v0/features?user_obj=!', undefined, 400],
    ['GET', features(['not an object']), undefined, 400],
  ]);
  const counted = await until('the feature is counted', async () => {
    const answer = await server.analytics();
    return answer.users > 0 && answer;
  });
  assert.deepEqual(counted, { counts: [named('always', 1)], users: 1 }, 'the flag request recorded an event, in default');
});

// ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────

const [SIGN_UP, LOGIN, SEARCHED, BROWSED, DIRECT, GOAL] = [
  'Sign up', 'Login', 'Searched for a product', 'Browsed for a product', 'Direct link to product', 'Completed purchase'];
/** Ways through the store and how many users take each; the goal comes last where there is one. */
const WAYS = [
  [40, [SIGN_UP, LOGIN, SEARCHED, GOAL]], [25, [SIGN_UP, LOGIN, BROWSED, GOAL]], [12, [DIRECT, GOAL]], [9, [LOGIN, SEARCHED, BROWSED, GOAL]],
  [5, [SEARCHED, LOGIN, SIGN_UP, GOAL]], [3, [GOAL]], [50, [SIGN_UP]], [30, [SIGN_UP, LOGIN, BROWSED]], [20, [DIRECT]],
];
const store = WAYS.flatMap(([users, steps], way) => Array.from({ length: users }, (_, i) => steps.map((event_name) => (
  { event_name, user_id: `${way}-${i}`, ...(event_name === GOAL ? { value: 10 + way } : {}) }))).flat());

test('the store: a goal, its combinations, predictions and nudges', async (t) => {
  const server = await serve(t);
  await play(server, [['POST', '/v0/goals', { goal_name: GOAL }, 204], ...store.map((event) => ['POST', '/v0/analytics', event, 204])]);
  const value = WAYS.reduce((sum, [users, steps], way) => sum + (steps.includes(GOAL) ? users * (10 + way) : 0), 0);
  const expected = { counts: [
    named(BROWSED, 64),
    goal(GOAL, 94, [
      { events: [LOGIN, SEARCHED, SIGN_UP], count: 45 }, { events: [BROWSED, LOGIN, SIGN_UP], count: 25 }, { events: [DIRECT], count: 12 },
      { events: [BROWSED, LOGIN, SEARCHED], count: 9 }, { events: [], count: 3 },
    ], [
      { name: LOGIN, count: 79 }, { name: SIGN_UP, count: 70 }, { name: SEARCHED, count: 54 }, { name: BROWSED, count: 34 }, { name: DIRECT, count: 12 },
    ], { value: { sum: value } }),
    named(DIRECT, 32), named(LOGIN, 109), named(SEARCHED, 54), named(SIGN_UP, 150),
  ], users: 194 };
  assertJson(await server.get('/v0/analytics'), expected);

  const bayes = (before, all) => (before / 94) * (94 / 194) / (all / 194);
  const { goals } = (await server.get('/v0/predictions')).expect(200).json();
  assert.deepEqual(Object.keys(goals), [GOAL]);
  const own = Object.fromEntries(Object.entries(goals[GOAL].events).map(([name, { bayes: p }]) => [name, p]));
  assertClose(own, { [LOGIN]: bayes(79, 109), [SIGN_UP]: bayes(70, 150), [SEARCHED]: bayes(54, 54), [BROWSED]: bayes(34, 64), [DIRECT]: bayes(12, 32) });
  assertClose({ goals }, perEvent(expected, [GOAL]));

  const path = `/v0/predictions?event=${encodeURIComponent(LOGIN)}&event=${encodeURIComponent(BROWSED)}`;
  const { yes, no, likelihood } = (await server.get(path)).expect(200).json().goals[GOAL];
  assertClose({ yes, no, likelihood }, { yes: (79 / 94) * (34 / 94), no: (30 / 94) * (30 / 94), likelihood: ((79 / 94) * (34 / 94)) / Math.max((30 / 94) ** 2, 0.1) });
  const did = (await server.get('/v0/predictions?user_id=7-0')).expect(200).text;
  const same = `/v0/predictions?${[SIGN_UP, LOGIN, BROWSED].map((name) => `event=${encodeURIComponent(name)}`).join('&')}`;
  assert.equal(did, (await server.get(same)).expect(200).text, 'as with the events that the user has done');
  assert.deepEqual(Object.keys((await server.get('/v0/predictions?user_id=0-0')).expect(200).json().goals[GOAL]), ['note']);

  const nudged = (await server.get(`/v0/nudges${query({ goal: GOAL, user_id: '7-0' })}`)).expect(200).json();
  assert.deepEqual(nudged.nudges.map(({ event_name }) => event_name), [SEARCHED, DIRECT], 'best first');
  assertClose(nudged, nudges(expected, [GOAL], GOAL, '7-0', [SIGN_UP, LOGIN, BROWSED]));

  await play(server, [
    ['GET', '/v0/predictions?event=Unheard+of', undefined, 400],
    ['GET', '/v0/predictions?user_id=nobody', undefined, 404],
    ['GET', '/v0/predictions?user_id=0-0&event=Login', undefined, 400],
    ['GET', '/v0/predictions?namespace=empty', undefined, { goals: {} }],
    ['GET', '/v0/nudges?goal=G&user_id=u&namespace=empty', undefined, { nudges: [], goal: 'G', user_id: 'u' }],
  ]);
});

// ── the batch loader ─────────────────────────────────────────────────────────────────────────────────────────────

const LOADED = 100;

test('the batch loader: 100 events a POST, the goal marked on its events', async (t) => {
  const random = seeded(9);
  const server = await serve(t);
  const events = Array.from({ length: 2_350 }, () => ({
    event_name: random.pick([SIGN_UP, LOGIN, SEARCHED, BROWSED, DIRECT, GOAL]), user_id: String(random.below(500)), namespace: 'loaded',
    value: random.below(1_000) / 8, datetime: new Date(1_600_000_000_000 + random.below(1e9) * 1_000).toISOString(),
  })).map((event) => (event.event_name === GOAL ? { ...event, ensure_goal: true } : event));
  const model = new Model();
  for (let round = 0; round < 2; round += 1) {
    for (let from = 0; from < events.length; from += LOADED) {
      const batch = events.slice(from, from + LOADED);
      assertDone(await server.post('/v0/analytics', { events: batch }));
      model.applyAll(batch);
    }
    assertJson(await server.get('/v0/analytics?namespace=loaded'), model.analytics('loaded'));
    assertJson(await server.get('/v0/goals?namespace=loaded'), { goals: [GOAL] });
  }
});

test('the loader that comes with it, at 100 events a POST and with a goal', async (t) => {
  const server = await serve(t);
  const path = join(await temporaryDirectory(t), 'store.csv');
  await writeFile(path, `event,user_id,price\n${store.map(({ event_name, user_id, value }) => `${event_name},${user_id},${value ?? ''}\n`).join('')}`);
  const { code, stderr } = await run(t, 'load', { args: [path, '--url', server.url.origin, '--goal', GOAL, '--value', 'price', '--batch', String(LOADED)] });
  assert.equal(code, 0, stderr);
  const model = new Model();
  model.goal(GOAL);
  model.applyAll(store);
  assertJson(await server.get('/v0/analytics'), model.analytics());
});

// ── where the original is surprising ─────────────────────────────────────────────────────────────────────────────

test('liveness without a token, everything else with one', async (t) => {
  const server = await serve(t, { env: { API_AUTH: '', API_TOKENS: 'secret' } });
  for (const path of ['/ready', '/alive', '/healthz']) assert.equal((await server.get(path)).status, 200);
  for (const [method, path, json] of [['GET', '/v0/analytics'], ['POST', '/v0/analytics', { event_name: 'A', user_id: 'u' }], ['GET', '/v0/features'],
    ['GET', '/v0/featureSpecs'], ['GET', '/v0/predictions'], ['GET', '/v0/nudges'], ['GET', '/v0/goals'], ['GET', '/metrics'], ['GET', '/metrics/counters']]) {
    assertError(await server.request(method, path, { json }), 401);
  }
  const headers = { authorization: 'Bearer secret' };
  assertDone(await server.post('/v0/analytics', { event_name: 'A', user_id: 'u' }, { headers }));
  assertJson(await server.get('/v0/analytics', { headers }), { counts: [named('A', 1)], users: 1 });
});

test('content types, empty bodies, nulls, empty batches, trailing slashes', async (t) => {
  const server = await serve(t);
  const event = { event_name: 'A', user_id: 'u' };
  const post = (body, headers = TYPE, path = '/v0/analytics') => server.request('POST', path, { body, headers });
  for (const type of [null, 'text/plain', 'application/x-www-form-urlencoded']) {
    for (const path of ['/v0/analytics', '/v0/goals', '/v0/featureSpecs']) assertError(await post(JSON.stringify(event), { 'content-type': type }, path), 400);
  }
  for (const path of ['/v0/analytics', '/v0/goals', '/v0/featureSpecs']) {
    assertError(await post('', TYPE, path), 400);
    assertError(await post(undefined, TYPE, path), 400);
  }
  assert.deepEqual((await server.analytics()).counts, []);
  assertDone(await post(JSON.stringify(event), { 'content-type': 'application/json; charset=utf-8' }));
  assertDone(await post(JSON.stringify({ ...event, namespace: null, value: null, datetime: null, ensure_goal: null })));
  assertDone(await post('[]'));
  assertDone(await post('{"events":[]}'));
  assertDone(await post(JSON.stringify(event), TYPE, '/v0/analytics/'));
  for (const path of ['/v0/analytics', '/v0/analytics/']) assertJson(await server.get(path), { counts: [named('A', 1)], users: 1 });
  for (const path of ['/v0/goals/', '/v0/namespaces/', '/v0/features/', '/v0/featureSpecs/', '/v0/predictions/', '/v0/nudges/?goal=G&user_id=u&namespace=none']) {
    assert.equal((await server.get(path)).status, 200, path);
  }
});

test('a batch with one bad event is refused whole, and no refusal repeats a user', async (t) => {
  const server = await serve(t);
  const mark = 'Zq9-marked-user';
  const bad = [{ event_name: 'A' }, { event_name: 7, user_id: mark }, { event_name: 'A', user_id: mark, value: 'many' }, { event_name: 'A', user_id: mark, datetime: mark }];
  for (const event of bad) {
    const answer = await server.post('/v0/analytics', { events: [{ event_name: 'A', user_id: mark }, event, { event_name: 'A', user_id: 'v' }] });
    assertError(answer, 400);
    assert.equal(answer.json().error.index, 1);
    assert.ok(!answer.text.includes(mark));
  }
  assertJson(await server.get('/v0/analytics'), { counts: [], users: 0 });
});

test('non-goals, late goals, empty combinations, goals among combinations', async (t) => {
  const server = await serve(t);
  const did = (event_name, user_id) => ['POST', '/v0/analytics', { event_name, user_id }, 204];
  await play(server, [
    did('A', 'early'), did('G', 'early'),
    ['POST', '/v0/goals', { goal_name: 'G' }, 204],
    ['GET', '/v0/analytics', undefined, { counts: [named('A', 1), goal('G', 1, [], [])], users: 1 }],
    did('G', 'early'), did('G', 'bare'), did('B', 'u'), did('A', 'u'), did('G', 'u'), did('C', 'u'), did('G', 'u'),
    ['POST', '/v0/goals', { goal_name: 'H' }, 204],
    did('H', 'u'),
    ['GET', '/v0/analytics', undefined, { counts: [
      named('A', 2), named('B', 1), named('C', 1),
      goal('G', 3, [{ events: [], count: 1 }, { events: ['A', 'B'], count: 1 }], [{ name: 'A', count: 1 }, { name: 'B', count: 1 }]),
      goal('H', 1, [{ events: ['A', 'B', 'C', 'G'], count: 1 }], ['A', 'B', 'C', 'G'].map((name) => ({ name, count: 1 }))),
    ], users: 3 }],
  ]);
});

test('writes are seen by the next read of any connection, flags included', async (t) => {
  const server = await serve(t);
  for (let i = 0; i < 20; i += 1) {
    assertDone(await server.post('/v0/analytics', { event_name: 'A', user_id: `u${i}` }));
    assertDone(await server.post('/v0/featureSpecs', { name: 'f', boolean: i % 2 === 0 }));
    const [counted, flags] = await Promise.all([
      server.get('/v0/analytics', { headers: { connection: 'close' } }), server.get('/v0/features', { headers: { connection: 'close' } }),
    ]);
    assertJson(counted, { counts: [named('A', i + 1)], users: i + 1 });
    assertJson(flags, { features: { f: i % 2 === 0 } });
  }
});

test('names are taken as they are, in every answer and metric', async (t) => {
  const server = await serve(t);
  const names = ['a/b', '"quoted" \\', ' padded ', 'Größe', '購入', '__proto__', 'default', '%2F', '&=+'];
  for (const namespace of names) {
    assertDone(await server.post('/v0/analytics', [...names.map((event_name) => ({ event_name, user_id: 'u', namespace })),
      { event_name: 'goal', user_id: 'u', namespace, ensure_goal: true }]));
    const answer = (await server.get(`/v0/predictions${query({ namespace })}`)).expect(200);
    const { events } = JSON.parse(answer.text, (key, value) => (key === 'events' ? new Map(Object.entries(value)) : value)).goals.goal;
    assert.deepEqual(new Set(events.keys()), new Set(names), namespace);
  }
  const text = (await server.get('/metrics/counters')).expect(200).text;
  for (const name of names) {
    const label = name.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
    assert.ok(text.includes(`kimball_namespace="${label}"`) && text.includes(`name="${label}"`), name);
  }
});

test('weekly counters', async (t) => {
  const COUNTERS = JSON.stringify([{ pattern: '^Login$', date_cohort: 'weekly', size: 100_000, error_probability: 0.0001, type: 'bloom_scalable' }]);
  const server = await serve(t, { env: { COUNTERS } });
  const weekly = (name, count) => ({ ...named(name, count), type: 'weekly' });
  await play(server, [
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'u', datetime: '2022-02-16T08:26:40Z' }, 204],
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'v', datetime: '2022-02-20T23:59:59+00:00' }, 204],
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'u', datetime: '2022-02-21T00:00:00Z' }, 204],
    ['POST', '/v0/analytics', { event_name: 'Logout', user_id: 'u', datetime: '2022-02-21T00:00:00Z' }, 204],
    ['GET', '/v0/analytics', undefined, {
      counts: [named('Login', 2), weekly('Login 20227', 2), weekly('Login 20228', 1), named('Logout', 1)], users: 2,
    }],
  ]);
});

test('metrics have the names and labels of the original', async (t) => {
  const COUNTERS = JSON.stringify([{ pattern: 'Login', date_cohort: 'weekly' }]);
  const server = await serve(t, { env: { COUNTERS } });
  await play(server, [
    ['POST', '/v0/analytics', { event_name: 'Login', user_id: 'u', datetime: '2022-02-16T08:26:40Z' }, 204],
    ['POST', '/v0/analytics', { event_name: 'Buy', user_id: 'u', ensure_goal: true }, 204],
  ]);
  const lines = async (path) => (await server.get(path)).expect(200).text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).sort();
  const [, year, week] = (await lines('/metrics/counters')).join('\n').match(/year="(\d+)",week="(\d+)"/);
  assert.deepEqual([year, week], ['2022', '7']);
  assert.deepEqual(await lines('/metrics/counters'), [
    'kimball_counter_weekly{kimball_namespace="default",name="Login",year="2022",week="7"} 1',
    'kimball_counter{kimball_namespace="default",name="Buy"} 1',
    'kimball_counter{kimball_namespace="default",name="Login"} 1',
  ]);
  assert.deepEqual(await lines('/metrics/predictions'), ['kimball_bayes_prediction{kimball_namespace="default",event="Login",goal="Buy"} 1']);
  const service = await lines('/metrics');
  for (const name of ['kimball_counters', 'kimball_event_add_duration_microseconds_sum', 'kimball_event_add_duration_microseconds_count',
    'kimball_persist_counters_managed']) assert.ok(service.some((line) => line.startsWith(`${name} `)), name);
});
