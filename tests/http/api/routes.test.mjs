// Every route by every method: what is found, allowed, required of a request, and the shape of refusals.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { until } from '../harness/deadline.mjs';
import { ROOT, serve } from '../harness/server.mjs';

const server = await serve({ after });

const READ = ['GET', 'HEAD', 'OPTIONS'];
const READ_WRITE = ['GET', 'HEAD', 'OPTIONS', 'POST'];
const ROUTES = {
  '/v0/analytics': READ_WRITE,
  '/v0/goals': ['DELETE', ...READ_WRITE],
  '/v0/namespaces': ['DELETE', ...READ_WRITE],
  '/v0/namespaces/default': ['DELETE', ...READ],
  '/v0/features': READ,
  '/ready': READ,
  '/alive': READ,
  '/healthz': READ,
  '/': READ,
};
const METHODS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'];
const allowed = (answer) => (answer.headers.allow ?? '').split(',').map((name) => name.trim()).sort();

for (const [path, methods] of Object.entries(ROUTES)) {
  test(`${path} answers ${methods.join(', ')} only`, async () => {
    for (const method of METHODS.filter((name) => !methods.includes(name))) {
      const answer = await server.request(method, path, { json: method === 'DELETE' ? undefined : {} });
      answer.refused(405, 'method_not_allowed');
      assert.deepEqual(allowed(answer), [...methods].sort(), method);
    }
    const options = await server.request('OPTIONS', path);
    options.expect(204);
    assert.deepEqual(allowed(options), [...methods].sort());

    const got = (await server.get(path)).expect(200);
    assert.ok(got.bytes.length > 0);
    const head = (await server.request('HEAD', path)).expect(200);
    assert.equal(head.bytes.length, 0);
    assert.equal(head.headers['content-type'], got.headers['content-type']);
  });
}

test('methods that no route knows are refused, and do nothing', async () => {
  const body = JSON.stringify({ event_name: 'A', user_id: 'u', namespace: 'odd methods' });
  const methods = ['PROPFIND', 'PROPPATCH', 'COPY', 'MOVE', 'MKCOL', 'LOCK', 'UNLOCK', 'PURGE', 'SEARCH', 'REPORT', 'MERGE', 'TRACE'];
  const headers = { 'content-type': 'application/json' };
  for (const method of methods) {
    for (const path of ['/v0/analytics', '/v0/namespaces', '/alive']) {
      const answer = await server.request(method, path, method === 'TRACE' ? {} : { body, headers });
      assert.ok([405, 501].includes(answer.status), `${method} ${path}: ${answer.status} ${answer.text}`);
    }
  }
  assert.ok(!(await server.get('/v0/namespaces')).json().namespaces.includes('odd methods'));
});

test('what is not a route is 404', async () => {
  const paths = ['/v0', '/v0/', '/v1/analytics', '/v0/analytic', '/v0/analytics/x', '/V0/analytics', '/v0//analytics',
    '/v0/analytics//', '//v0/analytics', '/v0/%61nalytics/x', '/favicon.ico', '/faults/shard', '/faults/compact', '/v0/analytics%00', '/%ff'];
  for (const path of paths) (await server.get(path)).refused(404, 'not_found');
  (await server.post('/v0/nothing', {})).refused(404, 'not_found');
  (await server.request('DELETE', '/v0/nothing')).refused(404, 'not_found');
  const head = (await server.request('HEAD', '/v0/nothing')).expect(404);
  assert.equal(head.bytes.length, 0);
});

test('a trailing slash on a /v0 path is accepted', async () => {
  const event = { event_name: 'A', user_id: 'u', namespace: 'slash' };
  (await server.post('/v0/analytics/', event)).expect(204);
  (await server.post('/v0/goals/', { goal_name: 'G', namespace: 'slash' })).expect(204);
  assert.equal((await server.get('/v0/analytics/?namespace=slash')).expect(200).json().users, 1);
  assert.deepEqual((await server.get('/v0/goals/?namespace=slash')).expect(200).json(), { goals: ['G'] });
  assert.ok((await server.get('/v0/namespaces/')).expect(200).json().namespaces.includes('slash'));
  (await server.get('/v0/features/')).expect(200);
  (await server.request('PUT', '/v0/goals/')).refused(405, 'method_not_allowed');
});

test('the liveness and readiness paths', async () => {
  for (const path of ['/ready', '/alive']) {
    const answer = (await server.get(path)).expect(200);
    assert.equal(answer.text, 'ok');
    assert.match(answer.headers['content-type'], /^text\/plain\b/);
  }
  const [, version] = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8').match(/^version = "(.+)"$/m);
  assert.deepEqual((await server.get('/healthz')).expect(200).json(), { status: 'ok', version, unreadable_shards: 0 });
});

test('reads answer JSON, without parameters too', async () => {
  for (const path of ['/v0/analytics', '/v0/goals', '/v0/namespaces', '/v0/features']) {
    const answer = (await server.get(path)).expect(200);
    assert.match(answer.headers['content-type'], /^application\/json\b/);
    answer.json();
  }
});

const BODIES = {
  '/v0/analytics': { event_name: 'typed', user_id: 'u', namespace: 'types' },
  '/v0/goals': { goal_name: 'typed', namespace: 'types' },
};
for (const [path, json] of Object.entries(BODIES)) {
  test(`POST ${path} takes application/json only`, async () => {
    const post = (type, headers = {}) => server.post(path, json, { headers: { 'content-type': type, ...headers } });
    for (const type of [null, '', 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'application/json-seq',
      'text/json', 'json', 'multipart/form-data; boundary=application/json', 'text/plain; a=application/json']) {
      (await post(type)).refused(400, 'content_type_invalid');
    }
    const before = (await server.get('/v0/namespaces')).json().namespaces;
    assert.equal(before.includes('types'), path === '/v0/goals', 'refused requests change nothing');
    for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8',
      'application/json ; charset="utf-8"']) {
      (await post(type)).expect(204);
    }
    for (const encoding of ['br', 'deflate']) {
      (await post('application/json', { 'content-encoding': encoding })).refused(415, 'content_encoding_unsupported');
    }
    (await post('application/json', { 'content-encoding': 'identity' })).expect(204);
  });
}

test('an empty body is 400, with and without a length', async () => {
  for (const path of Object.keys(BODIES)) {
    const headers = { 'content-type': 'application/json' };
    (await server.request('POST', path, { headers })).refused(400, 'body_empty');
    (await server.request('POST', path, { headers, body: '' })).refused(400, 'body_empty');
    (await server.request('POST', path, { headers, body: '', chunked: true })).refused(400, 'body_empty');
  }
});

test('goals: added once, listed by namespace, refused when malformed', async () => {
  assert.deepEqual((await server.get('/v0/goals?namespace=g1')).expect(200).json(), { goals: [] });
  for (const name of ['zebra', 'Apple', 'zebra', 'épée']) await server.goal(name, 'g1');
  await server.goal('other', 'g2');
  assert.deepEqual((await server.get('/v0/goals?namespace=g1')).json(), { goals: ['Apple', 'zebra', 'épée'] });
  assert.deepEqual((await server.get('/v0/goals?namespace=g2')).json(), { goals: ['other'] });
  const bad = [
    [{}, 'field_missing', 'goal_name'], [{ goal_name: null }, 'field_missing', 'goal_name'],
    [{ goal_name: 7 }, 'field_invalid', 'goal_name'], [{ goal_name: '' }, 'field_invalid', 'goal_name'],
    [{ goal_name: 'a\nb' }, 'field_invalid', 'goal_name'], [{ goal_name: 'G', namespace: 1 }, 'field_invalid', 'namespace'],
    [{ goal_name: 'G', namespace: '' }, 'field_invalid', 'namespace'],
  ];
  for (const [body, code, field] of bad) {
    const error = (await server.post('/v0/goals', { namespace: 'g3', ...body })).refused(400, code);
    assert.equal(error.field, field, JSON.stringify(body));
    assert.ok(!('index' in error));
  }
  for (const body of [null, 1, 'G', []]) (await server.post('/v0/goals', body)).refused(400, ['json_invalid', 'field_invalid']);
  assert.ok(!(await server.get('/v0/namespaces')).json().namespaces.includes('g3'));
});

test('namespaces appear with their first event or goal, never by being read', async () => {
  const fresh = await serve({ after });
  const listed = async () => (await fresh.get('/v0/namespaces')).expect(200).json();
  assert.deepEqual(await listed(), { namespaces: ['default'] });
  for (const path of ['/v0/analytics', '/v0/goals']) (await fresh.get(`${path}?namespace=only-read`)).expect(200);
  (await fresh.post('/v0/analytics', [{ event_name: 'A', user_id: 'u', namespace: 'refused' }, {}])).expect(400);
  assert.deepEqual(await listed(), { namespaces: ['default'] });
  await fresh.goal('G', 'only goals');
  await fresh.ingest({ event_name: 'A', user_id: 'u', namespace: 'events' });
  assert.deepEqual(await listed(), { namespaces: ['default', 'events', 'only goals'] });
  await fresh.restart();
  assert.deepEqual(await listed(), { namespaces: ['default', 'events', 'only goals'] });
});

test('a malformed namespace parameter is refused', async () => {
  for (const path of ['/v0/analytics', '/v0/goals']) {
    const bad = { '%ff': 'query', '%C3': 'query', '%00': 'namespace', 'a%0Ab': 'namespace' };
    for (const [namespace, field] of Object.entries(bad)) {
      assert.equal((await server.get(`${path}?namespace=${namespace}`)).refused(400, 'parameter_invalid').field, field, namespace);
    }
    const long = (await server.get(`${path}?namespace=${'x'.repeat(257)}`)).refused(400, 'name_too_long');
    assert.deepEqual([long.field, long.limit, long.value], ['namespace', 'NAME_BYTES_MAX', 256]);
    for (const odd of ['?namespace', '?namespace=', '?=', '?&&', '?namespace=a&namespace=b', '?namespace=%zz', '?namespace=%',
      `?${'x'.repeat(8_000)}`]) {
      const answer = await server.get(`${path}${odd}`);
      if (answer.status !== 200) answer.refused(400, 'parameter_invalid');
    }
  }
});

const encode = (value, alphabet) => Buffer.from(JSON.stringify(value)).toString(alphabet);
const standard = (value) => encode(value, 'base64');
const escaped = (value) => encodeURIComponent(standard(value));

test('a flag request answers no flags yet', async () => {
  for (const parameters of ['', `?user_obj=${escaped({})}`, `?user_obj=${escaped({ user_id: 'u' })}&context_obj=${escaped({ page: 1 })}`]) {
    assert.deepEqual((await server.get(`/v0/features${parameters}`)).expect(200).json(), { features: {} });
  }
});

/** Waits until these users' events of a feature are counted. */
function recorded(feature, count, namespace = 'default') {
  return until(`${count} of ${feature}`, async () => {
    const { counts } = await server.analytics(namespace);
    return counts.find(({ name }) => name === feature)?.count === count;
  });
}

test('a flag request records an event, in every spelling of base64', async () => {
  // Chosen so that the encodings hold `+`, `/` and padding, where the alphabets differ.
  const context = { feature: 'flag ~~~>>>???ÿ', namespace: 'flags' };
  const spellings = {
    padded: (value) => encodeURIComponent(standard(value)),
    'bare padding': (value) => standard(value).replaceAll('+', '%2B').replaceAll('/', '%2F'),
    unpadded: (value) => encodeURIComponent(standard(value).replace(/=+$/, '')),
    'URL-safe': (value) => encode(value, 'base64url'),
    'URL-safe padded': (value) => `${encode(value, 'base64url')}${'='.repeat((4 - (encode(value, 'base64url').length % 4)) % 4)}`,
    'white space': (value) => standard(value).match(/.{1,5}/g).map(encodeURIComponent).join('%0A%20%09'),
  };
  let users = 0;
  const seen = new Set();
  for (const [spelling, spell] of Object.entries(spellings)) {
    for (const length of [1, 2, 3]) {
      users += 1;
      const user = { user_id: `${spelling} ${'~?>'.repeat(length)}${'x'.repeat(length)}`, plan: 'a>?~' };
      for (const sign of standard(user)) seen.add(sign);
      const path = `/v0/features?user_obj=${spell(user)}&context_obj=${spell(context)}`;
      assert.deepEqual((await server.get(path)).expect(200).json(), { features: {} });
      await recorded(context.feature, users, 'flags');
    }
  }
  for (const sign of '+/=') assert.ok(seen.has(sign) || standard(context).includes(sign), `no ${sign} was tried`);
});

test('a flag request records an integer user as its string, by default in default, and once', async () => {
  const request = (user, context) => server.get(`/v0/features?user_obj=${escaped(user)}&context_obj=${escaped(context)}`);
  (await request({ user_id: 42 }, { feature: 'seen' })).expect(200);
  await recorded('seen', 1);
  (await request({ user_id: '42' }, { feature: 'seen' })).expect(200);
  (await request({ user_id: 43 }, { feature: 'seen' })).expect(200);
  await recorded('seen', 2);
  assert.equal((await server.analytics()).counts.find(({ name }) => name === 'seen').count, 2);
});

test('a flag request without both parts, or malformed, records nothing', async () => {
  const good = { user_obj: escaped({ user_id: 'u' }), context_obj: escaped({ feature: 'refused', namespace: 'unrecorded' }) };
  const request = (parts) => server.get(`/v0/features?${Object.entries(parts).map(([k, v]) => `${k}=${v}`).join('&')}`);
  const quiet = [{ user_obj: good.user_obj }, { context_obj: good.context_obj }, { ...good, user_obj: escaped({ id: 'u' }) },
    { ...good, context_obj: escaped({ namespace: 'unrecorded' }) }];
  for (const parts of quiet) (await request(parts)).expect(200);
  const malformed = ['*', 'a', '!!!!', escaped([]), escaped('text'), escaped(7), escaped(null), Buffer.from('{"a":').toString('base64url'),
    Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url'), encodeURIComponent(`=${standard({ user_id: 'u' })}`)];
  for (const text of malformed) {
    for (const name of Object.keys(good)) {
      const error = (await request({ ...good, [name]: text })).refused(400, 'parameter_invalid');
      assert.equal(error.field, name, text);
    }
  }
  // The control: one good request in the same namespace is recorded, and is all that there is.
  (await request({ ...good, context_obj: escaped({ feature: 'accepted', namespace: 'unrecorded' }) })).expect(200);
  await recorded('accepted', 1, 'unrecorded');
  const { counts } = await server.analytics('unrecorded');
  assert.deepEqual(counts.map(({ name, count }) => [name, count]), [['accepted', 1]]);
});
