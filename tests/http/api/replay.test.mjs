// Replay clocks: history that is sent day by day counts in its days, weeks and months, and only admins send it.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { query } from '../harness/client.mjs';
import { did } from '../harness/limits.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const TOKENS = { API_AUTH: 'enable', API_TOKENS: 'admin-token', INGEST_TOKENS: 'page-token' };
const server = await serve({ after }, { env: TOKENS, token: 'admin-token', build: FAULTS });
const page = { headers: { authorization: 'Bearer page-token' } };

const put = (body) => server.post('/v0/namespaces', body);
const at = (day) => ({ datetime: `${day}T09:00:00Z` });
const send = (namespace, ...events) => server.ingest(events.map((event) => ({ namespace, ...event })));
const series = async (namespace, parameters = {}) => (await server.get(`/v0/series${query({ namespace, ...parameters })}`)).expect(200).json();
const users = ({ points }) => Object.fromEntries(points.filter((point) => point.users).map((point) => [point.period, point.users]));
const settings = async (namespace) => (await server.get(`/v0/namespaces/${namespace}`)).expect(200).json();

test('the present day is that of the latest event, and going live ends it for good', async () => {
  const made = (await put({ namespace: 'shop', clock: 'replay', shards: 3 })).expect(201).json();
  assert.deepEqual([made.clock, made.since, made.shards], ['replay', null, 3]);
  assert.deepEqual((await put({ namespace: 'shop', clock: 'replay' })).expect(200).json(), made);
  const empty = await series('shop');
  assert.deepEqual([empty.since, users(empty), empty.points.at(-1).users], [null, {}, null]);

  await send('shop', did('Login', 'ann', at('2021-03-01')), did('Login', 'bob', at('2021-03-01')));
  await send('shop', did('Login', 'ann', at('2021-03-02')), did('Login', 'cid', at('2021-03-03')));
  const { clock, today, since } = await settings('shop');
  assert.deepEqual([clock, today, since], ['replay', '2021-03-03', '2021-03-01']);
  // A late event counts, one that is later than that does not.
  await send('shop', did('Login', 'dan', at('2021-03-02')));
  await send('shop', did('Login', 'eve', at('2021-03-10')));
  await send('shop', did('Login', 'fay', at('2021-03-03')));
  const days = await series('shop', { event: 'Login', from: '2021-03-01', to: '2021-03-10' });
  assert.deepEqual(users(days), { '2021-03-01': 2, '2021-03-02': 2, '2021-03-03': 1, '2021-03-10': 1 });
  assert.deepEqual(days.points.map(({ state }) => state), [...Array(7).fill('closed'), 'late', 'late', 'open']);
  assert.ok(days.points.every(({ complete }) => complete));
  assert.deepEqual(users(await series('shop', { unit: 'month' })), { '2021-03': 5 }, 'the last twelve months of its own clock');
  assert.equal((await server.analytics('shop')).users, 6);

  // A shard that is asked, compacts and begins anew closes nothing by the clock of the machine.
  for (const index of [0, 1, 2]) (await server.post(`/faults/compact?namespace=shop&index=${index}`)).expect(204);
  await server.restart({ signal: 'SIGKILL' });
  await send('shop', did('Login', 'gil', at('2021-03-09')));
  assert.deepEqual(users(await series('shop', { from: '2021-03-09', to: '2021-03-10' })), { '2021-03-09': 1, '2021-03-10': 1 });

  (await put({ namespace: 'shop', clock: 'live' })).expect(204);
  const live = (await put({ namespace: 'shop', clock: 'live' })).expect(200).json();
  assert.deepEqual([live.clock, live.since], ['live', '2021-03-01']);
  (await put({ namespace: 'shop', clock: 'replay' })).refused(409, 'has_events');
  await send('shop', did('Login', 'hal', at('2021-03-10')), did('Login', 'ida'));
  const after = await series('shop', { event: 'Login', from: '2021-03-09', to: '2021-03-10' });
  assert.deepEqual([users(after), after.points.map(({ state }) => state)], [{ '2021-03-09': 1, '2021-03-10': 1 }, ['closed', 'closed']]);
  assert.equal((await series('shop', { event: 'Login' })).points.at(-1).users, 1);
});

test('a day to come does not move the clock, and one that counts nowhere is not its beginning', async () => {
  const day = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  (await put({ namespace: 'ahead', clock: 'replay' })).expect(201);
  await send('ahead', did('Login', 'ann', at('2021-03-10')));
  await send('ahead', did('Login', 'bob', at('2021-03-01')));
  await send('ahead', did('Login', 'bob', at('2021-03-08')));
  const late = await series('ahead', { from: '2021-03-01', to: '2021-03-10' });
  assert.deepEqual([late.since, users(late)], ['2021-03-08', { '2021-03-08': 1, '2021-03-10': 1 }]);
  assert.deepEqual(late.points.map(({ users: count }) => count), [...Array(7).fill(null), 1, 0, 1]);
  await send('ahead', did('Login', 'cid', at(day(90))));
  assert.equal((await settings('ahead')).today, day(0));
  await send('ahead', did('Login', 'dan', at(day(0))));
  (await put({ namespace: 'ahead', clock: 'live' })).expect(204);
  await send('ahead', did('Login', 'eve'));
  const { points } = await series('ahead', { event: 'Login', from: day(0), to: day(0) });
  assert.deepEqual(points.map((point) => [point.users, point.state, point.complete]), [[2, 'open', true]]);
});

test('a replay ends for good, also without an event', async () => {
  (await put({ namespace: 'brief', clock: 'replay' })).expect(201);
  (await put({ namespace: 'brief', clock: 'live' })).expect(204);
  (await put({ namespace: 'brief', clock: 'replay' })).refused(409, 'has_events');
});

test('only an admin token sends to a replay clock', async () => {
  (await put({ namespace: 'past', clock: 'replay' })).expect(201);
  const refused = (await server.request('POST', '/v0/analytics', { ...page, json: { events: [{ ...did('Login', 'ann'), namespace: 'past' }] } })).expect(403).json();
  assert.deepEqual([refused.error.code, refused.taken, refused.refused.map(({ code }) => code)], ['replay', 0, ['replay']]);
  const some = (await server.request('POST', '/v0/analytics', { ...page, json: { events: [{ ...did('Login', 'ann'), namespace: 'past' }, did('Login', 'ann')] } })).expect(200).json();
  assert.deepEqual([some.taken, some.refused.map(({ index, code }) => [index, code])], [1, [[0, 'replay']]]);
  assert.equal((await server.analytics('past')).users, 0);
  await send('past', did('Login', 'bob', at('2020-02-29')));
  (await put({ namespace: 'past', clock: 'live' })).expect(204);
  (await server.request('POST', '/v0/analytics', { ...page, json: { ...did('Login', 'ann'), namespace: 'past' } })).expect(204);
});

test('what cannot be is told', async () => {
  (await put({ namespace: 'x', clock: 'fast' })).refused(400, 'field_invalid');
  (await put({ namespace: 'x', shards: 0 })).refused(400, 'field_invalid');
  (await put({ namespace: 'x', shards: 65 })).refused(400, 'field_invalid');
  (await put({ namespace: 'x', shards: 2 })).expect(201);
  (await put({ namespace: 'x', shards: 2 })).expect(200);
  (await put({ namespace: 'x', shards: 4 })).refused(409, 'exists');
  await send('x', did('Login', 'ann'));
  (await put({ namespace: 'x', clock: 'replay' })).refused(409, 'has_events');
  (await server.request('DELETE', '/v0/events/Login?namespace=x')).expect(204);
  (await put({ namespace: 'x', clock: 'replay' })).refused(409, 'has_events');
});
