// Who may register names of events and namespaces, how many a day, and what a batch with others is answered.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { did, limited } from '../harness/limits.mjs';
import { FAULTS, serve } from '../harness/server.mjs';

const ADMIN = { headers: { authorization: 'Bearer admin-token' } };
const tokens = { API_AUTH: '', API_TOKENS: 'admin-token', INGEST_TOKENS: 'page-token,other-page' };
const DAY_MS = 86_400_000;

/** A server that a page's token talks to. */
const open = (t, env = {}, options = {}) => serve(t, { env: { ...tokens, ...env }, token: 'page-token', ...options });
const named = (prefix, count, more) => Array.from({ length: count }, (_, i) => did(`${prefix}${i}`, i, more));
const send = (server, body, options) => server.post('/v0/analytics', body, options);

/** The codes of the refused events by their positions, after the shape of the answer has been checked. */
function verdicts(answer, status, taken) {
  const { refused, ...rest } = answer.expect(status).json();
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(rest.taken, taken);
  if (status === 200) assert.deepEqual(Object.keys(rest), ['taken']);
  else {
    assert.equal(taken, 0);
    assert.deepEqual(Object.keys(rest), ['error', 'taken']);
    assert.ok(refused.some(({ code }) => code === rest.error.code));
  }
  for (const event of refused) {
    assert.deepEqual(Object.keys(event), ['index', 'code', 'what']);
    assert.ok(event.what.length > 0);
  }
  return refused.map(({ index, code }) => [index, code]);
}

const counts = async (server, namespace) =>
  Object.fromEntries((await server.analytics(namespace, ADMIN)).counts.map(({ name, count }) => [name, count]));

test('EVENT_NAMES=known: an ingest token adds no names, and the rest of its batch is taken', async (t) => {
  const server = await open(t, { EVENT_NAMES: 'known' });
  await server.ingest([did('Login', 'ann'), did('Buy', 'ann')], ADMIN);
  await server.goal('Planned', undefined, ADMIN);
  await server.ingest([did('Login', 'bob'), did('Planned', 'bob')]);
  const mixed = [did('Invented', 'bob'), did('Buy', 'bob'), did('Other', 'bob'), did('Login', 'cat')];
  assert.deepEqual(verdicts(await send(server, { events: mixed }), 200, 2), [[0, 'event_unknown'], [2, 'event_unknown']]);
  assert.deepEqual(verdicts(await send(server, mixed), 200, 2), [[0, 'event_unknown'], [2, 'event_unknown']], 'repeated');
  for (const body of [did('Invented', 'x'), [did('Invented', 'x')], { events: [did('Invented', 'x')] }]) {
    assert.deepEqual(verdicts(await send(server, body), 403, 0), [[0, 'event_unknown']]);
  }
  assert.deepEqual(await counts(server), { Buy: 2, Login: 3, Planned: 1 });
  await server.restart();
  assert.deepEqual(verdicts(await send(server, mixed), 200, 2), [[0, 'event_unknown'], [2, 'event_unknown']], 'after a restart');
  // A whole batch that is malformed is still refused whole.
  (await send(server, [did('Login', 'dan'), { event_name: 'Login' }])).refused(400, 'field_missing');
  await server.ingest(did('Invented', 'x'), ADMIN);
  await server.ingest(did('Invented', 'y'));
  assert.deepEqual(await counts(server), { Buy: 2, Invented: 2, Login: 3, Planned: 1 });
});

test('EVENT_NAMES=known: a page that makes goals makes none of an unknown event', async (t) => {
  const server = await open(t, { EVENT_NAMES: 'known', INGEST_MAY_ADD_GOALS: 'true' });
  await server.ingest(did('Login', 'ann'), ADMIN);
  const batch = [did('Login', 'bob', { ensure_goal: true }), did('Invented', 'bob', { ensure_goal: true })];
  assert.deepEqual(verdicts(await send(server, batch), 200, 1), [[1, 'event_unknown']]);
  assert.deepEqual((await server.get('/v0/goals', ADMIN)).json(), { goals: ['Login'] });
});

test('NAMESPACES=known: an ingest token adds none, and `default` needs no adding', async (t) => {
  const server = await open(t, { NAMESPACES: 'known' });
  await server.ingest(did('A', 'u'));
  await server.ingest(did('A', 'u', { namespace: 'shop' }), ADMIN);
  const mixed = [did('A', 'v', { namespace: 'invented' }), did('B', 'v', { namespace: 'shop' }), did('A', 'v')];
  assert.deepEqual(verdicts(await send(server, mixed), 200, 2), [[0, 'namespace_unknown']]);
  assert.deepEqual(verdicts(await send(server, mixed[0]), 403, 0), [[0, 'namespace_unknown']]);
  assert.deepEqual((await server.get('/v0/namespaces', ADMIN)).json(), { namespaces: ['default', 'shop'] });
  assert.deepEqual(await counts(server, 'shop'), { A: 1, B: 1 });
});

test('both known: a new namespace is refused for itself, and an event of a known one for its name', async (t) => {
  const server = await open(t, { NAMESPACES: 'known', EVENT_NAMES: 'known' });
  await server.ingest(did('A', 'u', { namespace: 'shop' }), ADMIN);
  const batch = [did('A', 'v', { namespace: 'invented' }), did('B', 'v', { namespace: 'shop' }), did('A', 'v', { namespace: 'shop' })];
  assert.deepEqual(verdicts(await send(server, batch), 200, 1), [[0, 'namespace_unknown'], [1, 'event_unknown']]);
  assert.deepEqual(verdicts(await send(server, did('A', 'v')), 403, 0), [[0, 'event_unknown']], 'default has no events yet');
});

test('EVENT_NAMES=known with open namespaces: no namespace is made for events that are refused', async (t) => {
  const server = await open(t, { EVENT_NAMES: 'known', NEW_NAMESPACES_PER_DAY_MAX: '1' });
  for (const namespace of ['a', 'b', 'c']) {
    assert.deepEqual(verdicts(await send(server, did('A', 'u', { namespace })), 403, 0), [[0, 'event_unknown']]);
  }
  assert.deepEqual((await server.get('/v0/namespaces', ADMIN)).json(), { namespaces: ['default'] });
});

test('NEW_NAMES_PER_DAY_MAX: all ingest tokens together, a namespace and UTC day; admins are free', async (t) => {
  const server = await open(t, { NEW_NAMES_PER_DAY_MAX: '5' }, { build: FAULTS });
  const other = { headers: { authorization: 'Bearer other-page' } };
  const now = Date.now();
  // Noon of a day: the tests' own midnight is not to come in between.
  const shift = async (days) => (await server.request('POST', `/faults/clock?offset_ms=${DAY_MS / 2 - now % DAY_MS + days * DAY_MS}`, ADMIN)).expect(204);
  await shift(0);
  await server.ingest(named('A', 3));
  const answer = verdicts(await send(server, [...named('B', 4), did('A0', 'v')], other), 200, 3);
  assert.deepEqual(answer, [[2, 'quota'], [3, 'quota']], 'the first that come are taken');
  const refused = await send(server, named('C', 2));
  assert.deepEqual(verdicts(refused, 429, 0), [[0, 'quota'], [1, 'quota']]);
  const wait = Number(refused.headers['retry-after']);
  assert.ok(wait > DAY_MS / 2_000 - 3_600 && wait <= DAY_MS / 2_000 + 1, `Retry-After ${wait}`);
  await server.ingest(named('C', 4), ADMIN);
  await server.ingest(named('C', 4));
  await server.ingest(named('A', 3, { namespace: 'elsewhere' }));
  await server.restart();
  await shift(0);
  assert.deepEqual(verdicts(await send(server, did('D', 'u')), 429, 0), [[0, 'quota']], 'a restart forgets nothing');
  await shift(1);
  assert.deepEqual(verdicts(await send(server, named('D', 6)), 200, 5), [[5, 'quota']]);
  assert.deepEqual(Object.keys(await counts(server)).length, 3 + 2 + 4 + 5);
});

test('NEW_NAMESPACES_PER_DAY_MAX, and 0 for none', async (t) => {
  const server = await open(t, { NEW_NAMESPACES_PER_DAY_MAX: '2' });
  const batch = ['a', 'b', 'c', 'd'].map((namespace) => did('A', 'u', { namespace }));
  assert.deepEqual(verdicts(await send(server, batch), 200, 2), [[2, 'quota'], [3, 'quota']]);
  await server.ingest(did('A', 'u'));
  await server.ingest(batch[3], ADMIN);
  await server.ingest(batch[3]);
  assert.deepEqual(verdicts(await send(server, batch), 200, 3), [[2, 'quota']]);
  assert.deepEqual((await server.get('/v0/namespaces', ADMIN)).json().namespaces, ['a', 'b', 'd', 'default']);
  await server.restart({ env: { NEW_NAMESPACES_PER_DAY_MAX: '0', NEW_NAMES_PER_DAY_MAX: '0' } });
  assert.deepEqual(verdicts(await send(server, [did('A', 'v', { namespace: 'e' }), did('B', 'v'), did('A', 'v')]), 200, 1), [[0, 'quota'], [1, 'quota']]);
});

test('a tenth of each limit is left to admins', async (t) => {
  const server = await open(t, { EVENTS_PER_NAMESPACE_MAX: '20', NAMESPACES_MAX: '10', NEW_NAMES_PER_DAY_MAX: '10000', NEW_NAMESPACES_PER_DAY_MAX: '10000' });
  await server.ingest(named('A', 18));
  for (const body of [did('past', 'u'), [did('A0', 'new'), did('past', 'u')]]) {
    limited(await send(server, body), 507, 'events_full', 'EVENTS_PER_NAMESPACE_MAX', 20);
  }
  await server.ingest(named('admin', 1), ADMIN);
  await server.goal('admin too', undefined, ADMIN);
  limited(await send(server, did('past', 'u'), ADMIN), 507, 'events_full', 'EVENTS_PER_NAMESPACE_MAX', 20);
  await server.ingest([did('admin0', 'v'), did('A17', 'v'), did('admin too', 'v')]);

  await server.ingest(Array.from({ length: 8 }, (_, i) => did('A', 'u', { namespace: `n${i}` })));
  limited(await send(server, did('A', 'u', { namespace: 'past' })), 507, 'namespaces_full', 'NAMESPACES_MAX', 10);
  await server.ingest(did('A', 'u', { namespace: 'admin' }), ADMIN);
  limited(await send(server, did('A', 'u', { namespace: 'past' }), ADMIN), 507, 'namespaces_full', 'NAMESPACES_MAX', 10);
  await server.ingest(did('B', 'u', { namespace: 'admin' }));
  assert.deepEqual(await counts(server, 'admin'), { A: 1, B: 1 });
});

test('what is refused and cached as such is taken as soon as it is registered', async (t) => {
  const server = await open(t, { EVENT_NAMES: 'known', NAMESPACES: 'known' });
  for (let round = 0; round < 3; round += 1) {
    const [name, namespace] = [`E${round}`, `n${round}`];
    for (let again = 0; again < 3; again += 1) {
      verdicts(await send(server, did(name, 'u')), 403, 0);
      verdicts(await send(server, did('A', 'u', { namespace })), 403, 0);
    }
    await server.ingest([did(name, 'u'), did('A', 'u', { namespace })], ADMIN);
    await server.ingest([did(name, 'v'), did('A', 'v', { namespace })]);
  }
});

test('/v0/features registers names as the token may', async (t) => {
  const server = await open(t, { EVENT_NAMES: 'known' });
  const base64 = (value) => encodeURIComponent(Buffer.from(JSON.stringify(value)).toString('base64'));
  const path = `/v0/features?user_obj=${base64({ user_id: 'ann' })}&context_obj=${base64({ feature: 'seen' })}`;
  (await server.get(path)).expect(200);
  await server.ingest(did('later', 'u'), ADMIN);
  assert.deepEqual(await counts(server), { later: 1 });
  (await server.get(path, ADMIN)).expect(200);
  const deadline = Date.now() + 10_000;
  while ((await counts(server)).seen !== 1) assert.ok(Date.now() < deadline, 'the event of an admin was not recorded');
});

test('a batch of NAMESPACES_PER_BATCH_MAX namespaces, and one of one more', async (t) => {
  for (const max of [100, 3]) {
    const server = await serve(t, { env: max === 100 ? {} : { NAMESPACES_PER_BATCH_MAX: String(max) } });
    const batch = Array.from({ length: max + 1 }, (_, i) => did('A', 'u', { namespace: `n${i}` }));
    limited(await send(server, batch), 413, 'batch_too_large', 'NAMESPACES_PER_BATCH_MAX', max);
    assert.deepEqual((await server.get('/v0/namespaces')).json(), { namespaces: ['default'] });
    await server.ingest(batch.slice(1));
    assert.equal((await server.get('/v0/namespaces')).json().namespaces.length, max + 1);
  }
});

test('ten thousand namespaces with a shared prefix, and ten thousand such names, are answered like others', async (t) => {
  const server = await open(t);
  const long = (i) => 'x'.repeat(250) + String(i).padStart(6, '0');
  const spaces = Array.from({ length: 10_000 }, (_, i) => did('A', 'u', { namespace: long(i) }));
  limited(await send(server, spaces), 413, 'batch_too_large', 'NAMESPACES_PER_BATCH_MAX', 100);
  const names = Array.from({ length: 10_000 }, (_, i) => did(long(i), 'u'));
  assert.equal(verdicts(await send(server, names), 200, 200).length, 9_800);
  assert.equal(verdicts(await send(server, names), 200, 200).length, 9_800, 'and again');
});
