// What the SDKs of others send, in the forms in which theirs do: what is counted of it, what they are answered, and that
// nothing else of it stays.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { serve } from '../harness/server.mjs';
import { images } from '../harness/sqlite.mjs';

const KEY = 'write-key-1';
const env = { API_AUTH: '', API_TOKENS: 'admin', READ_TOKENS: 'reader', INGEST_TOKENS: KEY, ALLOWED_ORIGINS: 'https://shop.example', PAGE_EVENTS: 'count' };
const server = await serve({ after }, { env, token: 'admin' });
const basic = (user) => ({ authorization: `Basic ${Buffer.from(`${user}:`).toString('base64')}` });
const json = { 'content-type': 'application/json' };

/** Posts a body as it is; with none of the server's own tokens. */
const post = (path, body, headers = {}, on = server) => on.request('POST', path, {
  body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body), headers: { authorization: '', ...headers },
});
const numbers = async (namespace, on = server) => {
  const { counts, users } = await on.analytics(namespace);
  return { users, counts: Object.fromEntries(counts.map(({ name, count, value }) => [name, value.sum === undefined ? count : [count, value.sum]])) };
};
const track = (event, userId, more = {}) => ({ type: 'track', event, userId, ...more });

test('Segment: batches of a server, calls of a page, and RudderStack\'s gzip that calls itself a form', async () => {
  const sentAt = new Date().toISOString();
  const batch = { batch: [track('Buy', 'ann', { properties: { value: 9.5, currency: 'EUR' }, messageId: 'm', context: { ip: '1.2.3.4' } }),
    { type: 'track', event: 'Click', anonymousId: 'x' }, { type: 'identify', userId: 'ann', traits: { plan: 'pro' } }], writeKey: KEY, sentAt };
  const answers = [
    await post('/v1/batch?namespace=segment', batch, { ...json, ...basic(KEY) }),
    await post('/v1/t?namespace=segment', { ...track('Buy', 'bob', { properties: { revenue: 1 } }), writeKey: KEY, sentAt }, { 'content-type': 'text/plain', ...basic(KEY), origin: 'https://shop.example' }),
    await post('/v1/p?namespace=segment', { type: 'page', anonymousId: 'x', writeKey: KEY, properties: { url: 'https://shop.example/?secret' } }, { 'content-type': 'text/plain' }),
    await post('/v1/batch?namespace=segment', gzipSync(JSON.stringify({ batch: [track('Buy', 'eve')] })), { 'content-encoding': 'gzip', 'content-type': 'application/x-www-form-urlencoded', ...basic(KEY) }),
    await post('/v1/track/?namespace=segment', { event: 'Buy', userId: 7 }, { 'x-api-key': KEY }),
  ];
  for (const answer of answers) assert.deepEqual(answer.expect(200).json(), { success: true });
  assert.equal(answers[1].headers['access-control-allow-origin'], 'https://shop.example');
  assert.deepEqual(await numbers('segment'), { users: 5, counts: { Buy: [4, 10.5], Click: 1, Page: 1 } });
});

test('PostHog: every path, ids at the top or inside, gzip that says so nowhere, and what it sends of itself is left out', async () => {
  const inside = (event, id) => ({ event, properties: { distinct_id: id, token: KEY, value: 2, $ip: '1.2.3.4' } });
  const answers = [
    await post('/batch/?namespace=posthog', gzipSync(JSON.stringify({ api_key: KEY, batch: [{ event: 'Buy', distinct_id: 'ann', uuid: 'u' }, { event: '$identify', distinct_id: 'ann' }] }))),
    await post('/e/?ip=0&_=1&ver=1.4&namespace=posthog', { api_key: KEY, batch: [inside('Buy', 'bob')] }, { 'content-type': 'text/plain', origin: 'https://shop.example' }),
    await post('/capture/?namespace=posthog', [inside('Buy', 'eve'), inside('$pageview', 'eve')]),
    await post('/i/v0/e/?namespace=posthog', { api_key: KEY, event: 'Click', distinct_id: 'ann', timestamp: '2026-01-02T03:04:05Z' }, json),
  ];
  for (const answer of answers) assert.deepEqual(answer.expect(200).json(), { status: 1 });
  assert.deepEqual(await numbers('posthog'), { users: 3, counts: { Buy: [3, 4], Click: 1, Page: [1, 2] } });
});

test('a retry counts once, and a time is the day that it counts in', async () => {
  const today = new Date().toISOString().slice(0, 10);
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  const body = { batch: [track('A', 'u', { timestamp: `${yesterday}T12:00:00.000Z` })], writeKey: KEY, sentAt: new Date().toISOString() };
  for (let round = 0; round < 3; round += 1) (await post('/v1/batch?namespace=days', body)).expect(200);
  const { points } = (await server.get(`/v0/series?namespace=days&unit=day&from=${yesterday}&to=${today}`)).json();
  assert.deepEqual(points.map(({ users }) => users), [1, 0]);
});

test('what cannot be counted is told, and all else is taken; a body of nothing that counts is well', async () => {
  const mixed = { batch: [track('A', 'u'), track('', 'u'), { type: 'track', event: 'A' }, 'no call'], writeKey: KEY };
  const { success, refused } = (await post('/v1/batch?namespace=mixed', mixed)).expect(200).json();
  assert.deepEqual([success, refused.map(({ index, code }) => [index, code])], [true, [[1, 'field_missing'], [2, 'field_missing'], [3, 'field_invalid']]]);
  assert.deepEqual((await numbers('mixed')).counts, { A: 1 });
  const none = await post('/e?namespace=mixed', { api_key: KEY, batch: [{ event: 'A' }] });
  assert.equal(none.expect(400).json().error.code, 'field_missing');
  assert.deepEqual(Object.keys(none.json()).sort(), ['attr', 'code', 'detail', 'error', 'type']);
  for (const [path, body] of [['/v1/identify', { userId: 'u' }], ['/v1/group', {}], ['/v1/a', {}], ['/batch', { batch: [] }]]) {
    (await post(path, { ...body, writeKey: KEY, api_key: KEY })).expect(200);
  }
});

test('the key must be an ingest token, wherever it stands', async () => {
  const body = { batch: [track('A', 'u')] };
  const refused = async (headers, more = {}) => {
    for (const path of ['/v1/batch', '/batch/']) {
      const answer = await post(`${path}?namespace=closed`, { ...body, batch: [{ ...body.batch[0], distinct_id: 'u' }], ...more }, headers);
      answer.refused(401, 'unauthorized');
    }
  };
  await refused({});
  await refused(basic('other'));
  await refused({ 'x-api-key': 'other' });
  await refused({}, { writeKey: 'other', api_key: 'other' });
  // What may do more has no business in a body.
  await refused({}, { writeKey: 'admin', api_key: 'admin' });
  await refused(basic('admin'));
  await refused({ authorization: 'Basic !' });
  (await post('/v1/batch', '{', basic(KEY))).refused(400, 'json_invalid');
  (await post('/v1/batch', '{', basic('other'))).refused(401, 'unauthorized');
  assert.ok(!(await server.get('/v0/namespaces')).json().namespaces.includes('closed'));
  for (const headers of [{ authorization: 'Bearer admin' }, { authorization: `Bearer ${KEY}` }]) (await post('/v1/track', track('A', 'u'), headers)).expect(200);
  (await post('/v1/track', { ...track('A', 'u'), writeKey: KEY }, { authorization: 'Bearer reader' })).expect(200);
});

test('no page but those of allowed origins may send, whatever no browser asks about first', async () => {
  for (const origin of ['https://evil.example', 'null']) {
    (await post('/e/?namespace=evil', { api_key: KEY, event: 'A', distinct_id: 'u' }, { 'content-type': 'text/plain', origin })).refused(403, 'forbidden');
  }
  assert.ok(!(await server.get('/v0/namespaces')).json().namespaces.includes('evil'));
  const asked = await server.request('OPTIONS', '/v1/t', { headers: { origin: 'https://shop.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' } });
  asked.expect(204);
  assert.match(asked.headers['access-control-allow-headers'], /authorization/);
});

test('what no repetition mends is 400, for these would send it again for ever', async (t) => {
  const full = await serve(t, { env: { ...env, EVENTS_PER_NAMESPACE_MAX: '1', NEW_NAMES_PER_DAY_MAX: '1', NAMESPACES: 'known' }, token: 'admin' });
  const send = (event, namespace = 'default') => post(`/v1/track?namespace=${namespace}`, { ...track(event, 'u'), writeKey: KEY }, {}, full);
  for (const event of ['A', 'B', 'C']) assert.ok([200, 400].includes((await send(event)).status));
  const answers = [await send('D'), await send('A', 'nowhere')];
  for (const answer of answers) {
    const { success, message, error } = answer.expect(400).json();
    assert.equal(success, false);
    assert.equal(message, error.what);
  }
  assert.equal(answers[1].json().error.code, 'namespace_unknown');
  (await post('/v1/batch', { batch: Array(10_001).fill({ type: 'identify' }) }, basic(KEY))).refused(413, 'batch_too_large');
  (await post('/v1/batch', 'x'.repeat((1 << 20) + 1))).refused(413, 'body_too_large');
});

test('nothing of it but who, what and when is stored or logged', async (t) => {
  const own = await serve(t, { env, token: 'admin' });
  const mark = 'Zq7markOfAPerson';
  const spread = { ip: mark, userAgent: mark, traits: { email: mark }, page: { url: mark } };
  const call = { type: 'track', event: 'Buy', userId: `${mark} u`, anonymousId: mark, messageId: mark, context: spread, properties: { email: mark, value: 1 }, integrations: { [mark]: true } };
  (await post('/v1/batch', { batch: [call, { type: 'identify', userId: mark, traits: { name: mark } }], writeKey: KEY }, { 'user-agent': mark, 'x-forwarded-for': mark }, own)).expect(200);
  (await post('/e/', { api_key: KEY, batch: [{ event: 'Buy', uuid: mark, properties: { distinct_id: mark, $ip: mark, $set: { mail: mark } } }] }, { 'user-agent': mark }, own)).expect(200);
  await own.stop();
  const stored = Buffer.concat(images(own.stateDir));
  for (const spelling of [mark, mark.toLowerCase(), Buffer.from(mark).toString('base64').slice(0, 12), Buffer.from(mark, 'utf16le').toString('latin1')]) {
    assert.ok(!stored.includes(Buffer.from(spelling, 'latin1')), spelling);
    assert.ok(!own.log.includes(spelling));
  }
});
