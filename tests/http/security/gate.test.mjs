// The gate for answers: no number of users below the minimum of a namespace is in any answer, and what is above it is there.
// The sizes of groups are such that those to be hidden are found wherever they stand.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { query } from '../harness/client.mjs';
import { parameter } from '../harness/flags.mjs';
import { ROOT, serve } from '../harness/server.mjs';

const NAMESPACE = 'gated';
const OTHER = 'open';
const MIN = 400;
const BATCH = 5_000;
const COUNTERS = JSON.stringify([{ pattern: '^Login$', date_cohort: 'weekly' }]);

/** Events in their order: who does them, by number; goals record what came before them. */
const STEPS = [
  { name: 'Big', does: () => true },
  { name: 'Middle', does: (user) => user < 811, value: 2 },
  { name: 'Small', does: (user) => user >= 300 && user < 511, value: 1.25 },
  { name: 'Buy', does: (user) => user < 700, isGoal: true },
  { name: 'Rare', does: (user) => user >= 705 && user < 928, isGoal: true, value: 0.5 },
  { name: 'Login', does: (user) => user < 307, at: '2026-01-05T00:00:00Z', week: '20262' },
  { name: 'Login', does: (user) => user >= 400, at: '2026-01-12T00:00:00Z', week: '20263' },
];
const USERS = Array.from({ length: 1_013 }, (_, user) => user);

const server = await serve({ after }, { env: { COUNTERS } });
for (const namespace of [NAMESPACE, OTHER]) {
  for (const { name } of STEPS.filter(({ isGoal }) => isGoal)) await server.goal(name, namespace);
  for (const { name, does, value, at } of STEPS) {
    const events = USERS.filter(does).map((user) => ({ event_name: name, user_id: `u${user}`, namespace, value, datetime: at }));
    for (let from = 0; from < events.length; from += BATCH) await server.ingest(events.slice(from, from + BATCH));
  }
}
await server.goal('Nobody', NAMESPACE);

/** What the answers would say without a gate, from the steps alone: every group with its users. */
function groups() {
  const found = new Map();
  const add = (group, user) => found.set(group, (found.get(group) ?? new Set()).add(user));
  for (const user of USERS) {
    const done = [];
    for (const { name, week, isGoal } of STEPS.filter(({ does }) => does(user))) {
      add(name, user);
      if (week) add(`${name} ${week}`, user);
      if (isGoal) {
        add(`${name} after exactly ${done}`, user);
        for (const before of done) add(`${name} after ${before}`, user);
      }
      done.push(name);
    }
  }
  return new Map([...found].map(([group, users]) => [group, users.size]));
}

const GROUPS = groups();
const SMALL = [...GROUPS].filter(([, size]) => size < MIN);
const LARGE = new Set([...GROUPS.values()].filter((size) => size >= MIN));

/** Numbers that must not be in an answer: the small ones, what small groups sum up to, and their shares of others. */
const FORBIDDEN = new Map(SMALL.flatMap(([group, size]) => {
  const shares = [...GROUPS.values(), USERS.length].flatMap((whole) => [[size / whole, group], [whole / size, group]]);
  return [[size, group], ...shares.filter(([share]) => !Number.isInteger(share))];
}));
for (const { name, value } of STEPS) if (value && GROUPS.get(name) < MIN) FORBIDDEN.set(GROUPS.get(name) * value, `the sum of ${name}`);

const numbers = (text) => [...text.matchAll(/(?<![\w.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g)].map(([number]) => Number(number));

/** Every object with a null, and no other, says that something in it is hidden; but for what was not counted yet, and who is nobody. */
function assertSaid(value, place = '') {
  if (value === null || typeof value !== 'object') return;
  const isUncounted = value.period !== undefined && value.users === null && !value.suppressed && !value.complete;
  const isNamed = ([key]) => key !== 'event' && !(value.period !== undefined && key === 'value' && value.first_users !== null);
  const hasNull = !Array.isArray(value) && !isUncounted && Object.entries(value).filter(isNamed).some(([, part]) => part === null);
  assert.equal(value.suppressed, hasNull ? true : undefined, place);
  for (const [key, part] of Object.entries(value)) assertSaid(part, `${place}/${key}`);
}

/** What each GET route is asked. A route that is not here fails the test: it may have numbers of users. */
const ASKED = {
  '/v0/analytics': [{}],
  '/v0/goals': [{}],
  '/v0/namespaces': [{}, { name: NAMESPACE }],
  '/v0/namespaces/{name}': [{}],
  '/v0/features': [{ user_obj: decodeURIComponent(parameter({ user_id: 'u1' })) }],
  '/v0/featureSpecs': [{}],
  '/v0/predictions': [{}, ...['Big', 'Middle', 'Small', 'Rare', 'Login'].map((event) => ({ event })),
    ...[0, 305, 450, 710, 1_000].map((user) => ({ user_id: `u${user}` }))],
  '/v0/nudges': ['Buy', 'Rare', 'Nobody'].flatMap((goal) => ['u0', 'u305', 'u710', 'u950', 'nobody'].map((user_id) => ({ goal, user_id }))),
  '/v0/series': [{}, { unit: 'week' }, { unit: 'month', compare: 'previous' }, { event: '*' }, ...['Big', 'Middle', 'Small', 'Rare', 'Login'].map((event) => ({ event }))],
  // Numbers of a grid begin on the next day: http/api/retention.test.mjs has them behind the gate.
  '/v0/retention': [{}],
  '/v0/access': [{}],
  '/v0/status': [{}],
  '/metrics': [{}],
  '/metrics/counters': [{}],
  '/metrics/predictions': [{}],
  '/alive': [{}],
  '/ready': [{}],
  '/healthz': [{}],
};
/** Files, which have no numbers in them. */
const FILES = ['/', '/api-docs/index.html', '/api-docs/openapi.json', '/api-docs/swagger.json', '/sdk/index.js', '/sdk/aggregator.js', '/sdk/aggregator.wasm'];

function routes() {
  const source = readFileSync(join(ROOT, 'src/api/routes.rs'), 'utf8');
  const table = source.slice(source.indexOf('pub const ROUTES'), source.indexOf('pub const FOLDERS')).replace(/#\[cfg[^\n]*\n[^\n]*\n/g, '');
  const short = [...table.matchAll(/\b(get|post|put|delete)\(\s*"([^"]+)"/g)].map(([, method, path]) => ({ method: method.toUpperCase(), path }));
  const long = [...table.matchAll(/path: "([^"]+)",\s*method: Method::(\w+)/g)].map(([, path, method]) => ({ method: method.toUpperCase(), path }));
  assert.equal(short.length + long.length, table.match(/Endpoint::|SEGMENT|POSTHOG/g).length, 'every route is read');
  return [...short, ...long].filter(({ method }) => method === 'GET').map(({ path }) => path);
}

/** Every answer of every GET route about the namespace. */
async function answers() {
  const found = [];
  for (const path of routes().filter((each) => !FILES.includes(each))) {
    assert.ok(ASKED[path], `${path} is a new route: say in this test how it is asked, so that its numbers are checked`);
    for (const parameters of ASKED[path]) {
      const target = `${path.replace('{name}', NAMESPACE)}${query({ namespace: NAMESPACE, ...parameters })}`;
      found.push((await server.get(target)).expect(200));
    }
  }
  return found;
}

const minimum = (group_users_min, namespace = NAMESPACE) => server.post('/v0/namespaces', { namespace, group_users_min });

test('the groups of this test are what they should be', () => {
  assert.ok(SMALL.length >= 7 && LARGE.size >= 4, JSON.stringify([...GROUPS]));
  for (const [group, size] of SMALL) assert.ok(size > 99 && !LARGE.has(size), `${group} has ${size}`);
});

test('no number of a small group is in any answer of any route, and without a minimum each is in one', async () => {
  (await minimum(0)).expect(200);
  const shown = new Set((await answers()).flatMap(({ text }) => numbers(text)));
  for (const [group, size] of GROUPS) assert.ok(shown.has(size), `${group}: without a minimum ${size} is shown`);

  (await minimum(MIN)).expect(200);
  const all = await answers();
  for (const { request, text, headers } of all) {
    for (const number of numbers(text)) assert.ok(!FORBIDDEN.has(number), `${request}: ${number} is of ${FORBIDDEN.get(number)}: ${text}`);
    if (headers['content-type'] === 'application/json') assertSaid(JSON.parse(text), request);
  }
  const still = new Set(all.flatMap(({ text }) => numbers(text)));
  for (const size of LARGE) assert.ok(still.has(size), `${size} is enough and shown`);
  assert.ok(all.some(({ text }) => text.includes('"suppressed":true')));
});

test('numbers of few users are null, with sums, shares and probabilities that rest on them', async () => {
  (await minimum(MIN)).expect(200);
  const { counts, users } = await server.analytics(NAMESPACE);
  const of = (name) => counts.find((count) => count.name === name);
  assert.equal(users, 1_013);
  assert.deepEqual(of('Small'), { name: 'Small', type: 'named', count: null, event_counts: [], single_event_counts: [], value: { sum: null, suppressed: true }, suppressed: true });
  assert.deepEqual(of('Middle').value, { sum: 1_622 });
  assert.deepEqual([of('Login 20262').count, of('Login 20262').suppressed, of('Login 20263').count], [null, true, 613]);
  const buy = of('Buy');
  assert.deepEqual(buy.event_counts, [{ events: ['Big', 'Middle'], count: 489 }]);
  assert.deepEqual([buy.count, buy.event_counts_other, buy.suppressed], [700, null, true]);
  assert.deepEqual(buy.single_event_counts, [{ name: 'Big', count: 700 }, { name: 'Middle', count: 700 }, { name: 'Small', count: null, suppressed: true }]);
  const rare = of('Rare');
  assert.deepEqual([rare.count, rare.event_counts, rare.event_counts_other, rare.suppressed], [null, [], null, true]);
  assert.deepEqual(rare.single_event_counts.map(({ name, count }) => [name, count]), [['Big', null], ['Middle', null]]);
  assert.equal(of('Nobody').count, null);

  const predictions = async (parameters) => (await server.get(`/v0/predictions${query({ namespace: NAMESPACE, ...parameters })}`)).expect(200).json().goals;
  const alone = await predictions({});
  assert.equal(alone.Buy.events.Big.support, 1_013);
  assert.ok(alone.Buy.events.Big.probability > 0);
  assert.deepEqual(alone.Buy.events.Small, { bayes: null, probability: null, support: null, suppressed: true });
  assert.deepEqual(alone.Rare.events.Big, { bayes: null, probability: null, support: 1_013, suppressed: true });
  const hidden = { yes: null, no: null, likelihood: null, probability: null };
  assert.deepEqual((await predictions({ event: 'Small' })).Buy, { ...hidden, support: null, suppressed: true });
  assert.ok((await predictions({ event: 'Big' })).Buy.probability > 0);
  assert.deepEqual((await predictions({ user_id: 'u950' })).Rare, { ...hidden, support: 920, suppressed: true });

  const nudges = async (goal, user_id) => (await server.get(`/v0/nudges${query({ namespace: NAMESPACE, goal, user_id })}`)).expect(200).json().nudges;
  assert.deepEqual((await nudges('Buy', 'nobody')).map(({ event_name }) => event_name).sort(), ['Big', 'Middle']);
  assert.deepEqual(await nudges('Rare', 'nobody'), []);

  const metrics = (await server.get(`/metrics/counters?namespace=${NAMESPACE}`)).expect(200).text;
  assert.match(metrics, /name="Big"\} 1013\n/);
  assert.doesNotMatch(metrics, /"Small"|"Rare"|"Nobody"|week="2"/);
  const bayes = (await server.get(`/metrics/predictions?namespace=${NAMESPACE}`)).expect(200).text;
  assert.match(bayes, /event="Big",goal="Buy"/);
  assert.doesNotMatch(bayes, /"Small"|"Rare"/);
});

test('a minimum is of one namespace, outlives a restart, and off answers as if it had never been', async () => {
  (await minimum(0)).expect(200);
  const ofUsers = async () => (await answers()).filter(({ request }) => /analytics|predictions|nudges|counters/.test(request)).map(({ text }) => text);
  const before = await ofUsers();
  const other = (await server.get(`/v0/analytics?namespace=${OTHER}`)).text;
  (await minimum(MIN)).expect(200);
  assert.equal((await server.get(`/v0/analytics?namespace=${OTHER}`)).text, other);
  const gated = (await server.get(`/v0/analytics?namespace=${NAMESPACE}`)).text;
  await server.restart();
  assert.equal((await server.get(`/v0/analytics?namespace=${NAMESPACE}`)).text, gated);
  (await minimum(0)).expect(200);
  assert.deepEqual(await ofUsers(), before);
});

test('the variable holds for all namespaces, and the greater of it and a namespace\'s own', async (t) => {
  const own = await serve(t, { env: { GROUP_USERS_MIN: '5' } });
  for (const namespace of ['four', 'seven']) {
    await own.goal('G', namespace);
    for (const [name, size] of [['A', namespace === 'four' ? 4 : 7], ['G', namespace === 'four' ? 4 : 7]]) {
      await own.ingest(Array.from({ length: size }, (_, user) => ({ event_name: name, user_id: user, namespace, value: 1 })));
    }
  }
  const users = async (namespace) => (await own.analytics(namespace)).users;
  assert.deepEqual([await users('four'), await users('seven')], [null, 7]);
  assert.deepEqual(await own.analytics('none'), { counts: [], users: null, suppressed: true });
  const set = async (group_users_min) => (await own.post('/v0/namespaces', { namespace: 'seven', group_users_min })).expect(200);
  await set(8);
  assert.equal(await users('seven'), null);
  // Less than the variable asks for changes nothing.
  await set(1);
  assert.deepEqual([await users('four'), await users('seven')], [null, 7]);
  await own.restart({ env: { GROUP_USERS_MIN: '0' } });
  assert.deepEqual([await users('four'), await users('seven')], [4, 7]);
});
