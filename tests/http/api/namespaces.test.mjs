// Making namespaces and setting them: POST /v0/namespaces, GET /v0/namespaces/NAME.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { serve } from '../harness/server.mjs';

const server = await serve({ after }, { env: { SHARDS: '2', NAMESPACES: 'known', NAMESPACES_MAX: '9' } });
const put = (body, on = server) => on.post('/v0/namespaces', body);
const one = (name) => server.get(`/v0/namespaces/${encodeURIComponent(name)}`);

const today = new Date().toISOString().slice(0, 10);

test('a namespace is made once, set as often as one likes, and read by its name', async () => {
  const made = (await put({ namespace: 'web/shop', group_users_min: 5, of_a_later_version: [1] })).expect(201).json();
  assert.deepEqual(made, { namespace: 'web/shop', clock: 'live', today, shards: 2, since: today, events: 0, group_users_min: 5 });
  assert.deepEqual((await put({ namespace: 'web/shop', group_users_min: 5 })).expect(200).json(), made);
  assert.deepEqual((await put({ namespace: 'web/shop' })).expect(200).json(), made);
  assert.deepEqual((await put({ namespace: 'web/shop', group_users_min: null })).expect(200).json(), made);
  assert.deepEqual((await put({ namespace: 'web/shop', group_users_min: 0 })).expect(200).json(), { ...made, group_users_min: 0 });
  await server.ingest([{ event_name: 'A', user_id: 'u', namespace: 'web/shop' }, { event_name: 'B', user_id: 'u', namespace: 'web/shop' }]);
  const read = { ...made, events: 2, group_users_min: 0 };
  assert.deepEqual((await one('web/shop')).expect(200).json(), read);
  assert.deepEqual((await server.get('/v0/namespaces?name=web%2Fshop')).expect(200).json(), read);
  assert.ok((await server.get('/v0/namespaces')).json().namespaces.includes('web/shop'));
  await server.restart();
  assert.deepEqual((await one('web/shop')).expect(200).json(), read);
});

test('names that cannot stand in a path are read as a parameter', async () => {
  for (const namespace of ['.', '..']) {
    (await put({ namespace })).expect(201);
    assert.equal((await server.get(`/v0/namespaces?name=${namespace}`)).expect(200).json().namespace, namespace);
  }
});

test('what does not exist is told, but default always does', async () => {
  (await one('nothing')).refused(404, 'namespace_unknown');
  (await server.get('/v0/namespaces?name=nothing')).refused(404, 'namespace_unknown');
  assert.deepEqual((await one('default')).expect(200).json(), { namespace: 'default', clock: 'live', today, shards: 2, since: today, events: 0, group_users_min: 0 });
});

test('every fault of the form is named', async () => {
  const bad = [[{}, 'field_missing', 'namespace'], [{ namespace: null }, 'field_missing', 'namespace'], [{ namespace: '' }, 'field_invalid', 'namespace'],
    [{ namespace: 7 }, 'field_invalid', 'namespace'], [{ namespace: 'x'.repeat(257) }, 'name_too_long', 'namespace'], [{ namespace: 'a\n' }, 'field_invalid', 'namespace'],
    ...[-1, 1_001, 1.5, '5', true, [], {}, 2 ** 64].map((group_users_min) => [{ namespace: 'bad', group_users_min }, 'field_invalid', 'group_users_min'])];
  for (const [body, code, field] of bad) assert.equal((await put(body)).refused(400, code).field, field, JSON.stringify(body));
  (await server.request('POST', '/v0/namespaces', { body: '{"namespace":"a","namespace":"b"}', headers: { 'content-type': 'application/json' } })).refused(400, 'field_invalid');
  (await put([])).refused(400, 'json_invalid');
  assert.equal((await server.get('/v0/namespaces/%ff')).refused(400, 'parameter_invalid').field, 'name');
  assert.equal((await server.get('/v0/namespaces?name=')).refused(400, 'parameter_invalid').field, 'name');
  (await one('bad')).refused(404, 'namespace_unknown');
});

test('beyond the limit none is made, and those that are there can still be set', async (t) => {
  const own = await serve(t, { env: { NAMESPACES_MAX: '2' } });
  for (const namespace of ['a', 'b']) (await put({ namespace }, own)).expect(201);
  const { limit, value } = (await put({ namespace: 'c' }, own)).refused(507, 'namespaces_full');
  assert.deepEqual([limit, value], ['NAMESPACES_MAX', 2]);
  (await put({ namespace: 'b', group_users_min: 9 }, own)).expect(200);
});

test('only an admin may', async (t) => {
  const own = await serve(t, { env: { API_AUTH: '', API_TOKENS: 'may-all', READ_TOKENS: 'may-read', INGEST_TOKENS: 'may-send' } });
  const as = (token) => ({ headers: { authorization: `Bearer ${token}` } });
  for (const token of ['may-read', 'may-send']) (await own.post('/v0/namespaces', { namespace: 'a' }, as(token))).refused(403, 'forbidden');
  (await own.post('/v0/namespaces', { namespace: 'a' }, as('may-all'))).expect(201);
  (await own.get('/v0/namespaces/a', as('may-read'))).expect(200);
  (await own.get('/v0/namespaces/a', as('may-send'))).refused(403, 'forbidden');
});

test('what is deleted takes its settings with it, and deleted events are not counted', async () => {
  (await put({ namespace: 'brief', group_users_min: 9 })).expect(201);
  await server.ingest(['A', 'B', 'C'].map((event_name) => ({ event_name, user_id: 'u', namespace: 'brief' })));
  (await server.request('DELETE', '/v0/events/B?namespace=brief')).expect(204);
  assert.equal((await one('brief')).expect(200).json().events, 2);
  (await server.request('DELETE', '/v0/namespaces/brief')).expect(204);
  (await one('brief')).refused(404, 'namespace_unknown');
  assert.equal((await put({ namespace: 'brief' })).expect(201).json().group_users_min, 0);
});
