// Authentication: on unless turned off, three scopes, and the origins that a page may call from.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { serve } from '../harness/server.mjs';

const TOKENS = { admin: 'admin-token-1', read: 'read-token-1', ingest: 'ingest-token-1' };
const env = {
  API_AUTH: '', API_TOKENS: `${TOKENS.admin},admin-token-2`, READ_TOKENS: TOKENS.read, INGEST_TOKENS: `ingest-token-0, ${TOKENS.ingest} ,`,
  ALLOWED_ORIGINS: 'https://shop.example,http://localhost:3000',
};
const server = await serve({ after }, { env });
const event = { event_name: 'A', user_id: 'u' };
const bearer = (token) => ({ authorization: `Bearer ${token}` });

const OPEN = ['/alive', '/ready', '/healthz', '/'];
/** Each guarded request, and the scopes that may send it. */
const GUARDED = [
  ['POST', '/v0/analytics', event, ['admin', 'ingest'], 204],
  ['GET', '/v0/analytics', undefined, ['admin', 'read'], 200],
  ['HEAD', '/v0/analytics', undefined, ['admin', 'read'], 200],
  ['GET', '/v0/series', undefined, ['admin', 'read'], 200],
  ['GET', '/v0/retention', undefined, ['admin', 'read'], 200],
  ['POST', '/v0/retention', { name: 'r', start: 'A', return: 'A', unit: 'week', periods: 1 }, ['admin'], 201],
  ['DELETE', '/v0/retention?name=r', undefined, ['admin'], 204],
  ['POST', '/v0/series', { event: 'A', units: ['day', 'week'] }, ['admin'], 200],
  ['POST', '/v0/goals', { goal_name: 'G' }, ['admin'], 204],
  ['GET', '/v0/goals', undefined, ['admin', 'read'], 200],
  ['GET', '/v0/namespaces', undefined, ['admin', 'read'], 200],
  ['GET', '/v0/namespaces/', undefined, ['admin', 'read'], 200],
  ['GET', '/v0/features', undefined, ['admin', 'ingest'], 200],
];

/** A refusal; those of HEAD have no body to look at. */
function refused(answer, method, status, code) {
  if (method === 'HEAD') answer.expect(status);
  else answer.refused(status, code);
}

test('without a token only liveness, readiness, health and the front page answer', async () => {
  for (const path of OPEN) (await server.get(path)).expect(200);
  for (const [method, path, json] of GUARDED) {
    const answer = await server.request(method, path, { json });
    refused(answer, method, 401, 'unauthorized');
    assert.match(answer.headers['www-authenticate'], /^Bearer\b/);
  }
});

test('each scope may do what it is for, and nothing else', async () => {
  for (const [method, path, json, scopes, status] of GUARDED) {
    for (const [scope, token] of Object.entries(TOKENS)) {
      const answer = await server.request(method, path, { json, headers: bearer(token) });
      if (scopes.includes(scope)) answer.expect(status);
      else refused(answer, method, 403, 'forbidden');
    }
  }
  for (const token of ['admin-token-2', 'ingest-token-0']) {
    (await server.post('/v0/analytics', event, { headers: bearer(token) })).expect(204);
  }
});

test('a header that is not exactly a known token is 401', async () => {
  const { admin } = TOKENS;
  const basic = `Basic ${Buffer.from(`x:${admin}`).toString('base64')}`;
  const headers = ['', 'Bearer', 'Bearer ', admin, basic, `Token ${admin}`, `Bearer${admin}`, `Bearer ${admin}x`,
    `Bearer ${admin.slice(0, -1)}`, `Bearer ${admin.toUpperCase()}`, `Bearer ${env.API_TOKENS}`, `Bearer ${admin} ${admin}`,
    `Bearer ${admin},admin-token-2`, 'Bearer ,', 'Bearer *', 'Bearer null', `Bearer "${admin}"`, `Bearer ${'x'.repeat(5_000)}`,
    'Bearer \u00ff'];
  for (const authorization of headers) {
    (await server.get('/v0/analytics', { headers: { authorization } })).refused(401, 'unauthorized');
  }
  (await server.get(`/v0/analytics?token=${admin}&access_token=${admin}`)).refused(401, 'unauthorized');
  (await server.get('/v0/analytics', { headers: bearer(admin) })).expect(200);
});

test('the token is checked before the request is read, and no refusal repeats it', async () => {
  const secret = 'Zk8-secret-marker';
  for (const body of ['{', JSON.stringify(event)]) {
    const headers = { 'content-type': 'application/json', ...bearer(secret) };
    const answer = await server.request('POST', '/v0/analytics', { body, headers });
    answer.refused(401, 'unauthorized');
    assert.ok(!answer.text.includes(secret));
  }
  assert.ok(!server.log.includes(secret));
  for (const token of Object.values(TOKENS)) assert.ok(!server.log.includes(token), 'no token is in the log');
});

test('an ingest token adds no goals, unless it may', async (t) => {
  const headers = bearer(TOKENS.ingest);
  const names = async (on, namespace) => (await on.analytics(namespace, { headers: bearer(TOKENS.admin) })).counts.map(({ name }) => name);
  const goal = { ...event, namespace: 'page', event_name: 'G', ensure_goal: true };
  for (const body of [goal, [{ ...event, namespace: 'page' }, goal], { events: [goal, { ...event, namespace: 'page' }] }]) {
    (await server.post('/v0/analytics', body, { headers })).refused(403, 'forbidden');
  }
  assert.deepEqual(await names(server, 'page'), [], 'nothing of the batch is applied');
  (await server.post('/v0/analytics', { ...goal, ensure_goal: false }, { headers })).expect(204);
  (await server.post('/v0/analytics', { ...goal, event_name: 'by admin' }, { headers: bearer(TOKENS.admin) })).expect(204);
  assert.deepEqual(await names(server, 'page'), ['G', 'by admin']);

  const lenient = await serve(t, { env: { ...env, INGEST_MAY_ADD_GOALS: 'true' } });
  (await lenient.post('/v0/analytics', goal, { headers })).expect(204);
  const goals = await lenient.get('/v0/goals?namespace=page', { headers: bearer(TOKENS.read) });
  assert.deepEqual(goals.expect(200).json(), { goals: ['G'] });
  (await lenient.post('/v0/goals', { goal_name: 'H' }, { headers })).refused(403, 'forbidden');
});

test('authentication is on by default, and without tokens refuses everybody', async (t) => {
  const closed = await serve(t, { env: { API_AUTH: '' } });
  for (const path of OPEN) (await closed.get(path)).expect(200);
  for (const headers of [{}, bearer(''), bearer('undefined'), bearer('admin-token-1'), { authorization: 'Bearer' }]) {
    for (const [method, path, json] of GUARDED) refused(await closed.request(method, path, { json, headers }), method, 401, 'unauthorized');
  }
});

test('API_AUTH=disable turns it off, whatever is sent', async (t) => {
  const open = await serve(t, { env: { ...env, API_AUTH: 'disable' } });
  for (const headers of [{}, bearer('wrong'), bearer(TOKENS.read)]) {
    for (const [method, path, json, , status] of GUARDED) (await open.request(method, path, { json, headers })).expect(status);
  }
  (await open.post('/v0/analytics', { ...event, ensure_goal: true })).expect(204);
});

const preflight = (on, path, origin, method = 'POST') => on.request('OPTIONS', path, {
  headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'authorization, content-type' },
});
const listed = (value) => (value ?? '').toLowerCase().split(',').map((entry) => entry.trim());

test('a page of an allowed origin may call, errors included; another may not', async () => {
  for (const origin of ['https://shop.example', 'http://localhost:3000']) {
    const asked = (await preflight(server, '/v0/analytics', origin)).expect(204);
    assert.equal(asked.headers['access-control-allow-origin'], origin);
    const [methods, headers] = ['methods', 'headers'].map((what) => listed(asked.headers[`access-control-allow-${what}`]));
    for (const method of ['get', 'post']) assert.ok(methods.includes(method));
    for (const header of ['authorization', 'content-type']) assert.ok(headers.includes(header));
    assert.ok(listed(asked.headers.vary).includes('origin'));

    const answers = [
      await server.post('/v0/analytics', event, { headers: { origin, ...bearer(TOKENS.ingest) } }),
      await server.post('/v0/analytics', {}, { headers: { origin, ...bearer(TOKENS.ingest) } }),
      await server.post('/v0/analytics', event, { headers: { origin } }),
      await server.get('/v0/nothing', { headers: { origin, ...bearer(TOKENS.ingest) } }),
    ];
    assert.deepEqual(answers.map(({ status }) => status), [204, 400, 401, 404]);
    for (const answer of answers) {
      assert.equal(answer.headers['access-control-allow-origin'], origin);
      assert.ok(listed(answer.headers.vary).includes('origin'));
    }
  }
  for (const origin of ['https://evil.example', 'https://shop.example.evil.example', 'http://shop.example',
    'https://shop.example:8443', 'null', '*', 'https://SHOP.example/', 'shop.example', '']) {
    const answers = [
      await preflight(server, '/v0/analytics', origin),
      await server.get('/v0/analytics', { headers: { origin, ...bearer(TOKENS.read) } }),
    ];
    for (const answer of answers) assert.equal(answer.headers['access-control-allow-origin'], undefined, origin);
  }
  const plain = (await server.get('/v0/analytics', { headers: bearer(TOKENS.read) })).expect(200);
  assert.equal(plain.headers['access-control-allow-origin'], undefined);
});

test('every origin where all are allowed, none where none is configured', async (t) => {
  const [every, none] = await Promise.all([
    serve(t, { env: { ALLOWED_ORIGINS: '*' } }), serve(t, { env: { ALLOWED_ORIGINS: '' } }),
  ]);
  const origin = 'https://anywhere.example';
  for (const answer of [await preflight(every, '/v0/analytics', origin), await every.get('/v0/analytics', { headers: { origin } })]) {
    assert.ok(['*', origin].includes(answer.headers['access-control-allow-origin']));
    assert.notEqual(answer.headers['access-control-allow-credentials'], 'true');
  }
  for (const answer of [await preflight(none, '/v0/analytics', origin), await none.get('/v0/analytics', { headers: { origin } })]) {
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
  }
});
