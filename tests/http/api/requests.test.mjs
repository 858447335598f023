// Requests as pages, proxies and loaders really send them: compressed bodies, conditional reads, HEAD, OPTIONS,
// trailing slashes, percent-encoding and repeated parameters.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { constants, deflateSync, gzipSync } from 'node:zlib';

import { features, parameter } from '../harness/flags.mjs';
import { answered, did, limited } from '../harness/limits.mjs';
import { Model } from '../harness/model.mjs';
import { seeded } from '../harness/random.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });

// What all that a server keeps and eight inflated bodies at their limit take, several times over.
const PEAK_KB_MAX = 1_000_000;
const JSON_TYPE = 'application/json';
const send = (bytes, { path = '/v0/analytics', encoding = 'gzip', on = server, ...options } = {}) => on.request('POST', path, {
  body: bytes, headers: { 'content-type': JSON_TYPE, 'content-encoding': encoding }, ...options,
});
const counted = async (namespace, on = server) => (await on.analytics(namespace)).counts.map(({ name, count }) => [name, count]);

// ── gzip ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a gzip body is the request that it holds, with and without a length', async () => {
  const events = Array.from({ length: 400 }, (_, i) => did(`E${i % 7}`, i >> 2, { namespace: 'zipped', value: i / 4, ensure_goal: i % 7 === 5 }));
  const model = new Model();
  model.applyAll(events);
  const json = JSON.stringify({ events });
  const forms = [
    [gzipSync(json), 'gzip'], [gzipSync(json), 'x-gzip'], [gzipSync(json), 'GZip'], [gzipSync(json), ' gzip '],
    [gzipSync(json, { level: 0 }), 'gzip'], [gzipSync(json, { level: 9 }), 'gzip'], [gzipSync(json, { strategy: constants.Z_HUFFMAN_ONLY }), 'gzip'],
    [withName(gzipSync(json)), 'gzip'],
  ];
  for (const [bytes, encoding] of forms) {
    for (const chunked of [false, true]) {
      assert.equal((await send(bytes, { encoding, chunked })).expect(204).text, '');
      assert.deepEqual(await server.analytics('zipped'), model.analytics('zipped'));
    }
  }
  (await send(gzipSync('{"goal_name":"G","namespace":"zipped goals"}'), { path: '/v0/goals' })).expect(204);
  assert.deepEqual((await server.get('/v0/goals?namespace=zipped+goals')).json(), { goals: ['G'] });
  (await send(gzipSync('{"name":"zipped","boolean":true}'), { path: '/v0/featureSpecs' })).expect(204);
  assert.equal((await features(server)).zipped, true);
});

/** The same content with a file's name, a comment and an extra field in the header (RFC 1952, section 2.3). */
function withName(bytes) {
  const header = Buffer.from(bytes.subarray(0, 10));
  header[3] = 4 | 8 | 16;
  return Buffer.concat([header, Buffer.from([3, 0, 1, 2, 3]), Buffer.from('events.json\0'), Buffer.from('a comment\0'), bytes.subarray(10)]);
}

test('what a gzip body holds is checked like any other', async () => {
  (await send(gzipSync(''))).refused(400, 'body_empty');
  (await send(gzipSync('{"event_name":'))).refused(400, 'json_invalid');
  (await send(gzipSync(Buffer.from([0x22, 0xff, 0x22])))).refused(400, 'body_not_utf8');
  assert.equal((await send(gzipSync('[{"event_name":"A","user_id":"u"},{"user_id":"u"}]'))).refused(400, 'field_missing').index, 1);
  const typed = await server.request('POST', '/v0/analytics', { body: gzipSync('{}'), headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip' } });
  typed.refused(400, 'content_type_invalid');
  (await send('')).refused(400, ['body_empty', 'content_encoding_invalid']);
});

test('a broken gzip body is refused and changes nothing', async () => {
  const random = seeded(7);
  const events = Array.from({ length: 20 }, (_, i) => did('A', `${i}-${random.next()}`, { namespace: 'broken' }));
  const whole = gzipSync(JSON.stringify(events));
  const flipped = (at) => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes[at] ^ 0xff, at);
    return bytes;
  };
  const broken = {
    'not gzip at all': JSON.stringify(events),
    'zlib instead of gzip': deflateSync(JSON.stringify(events)),
    'another method': flipped(2),
    'no magic': flipped(0),
    'a wrong checksum': flipped(whole.length - 8),
    'a wrong length': flipped(whole.length - 4),
    'the header only': whole.subarray(0, 10),
    'trailing bytes': Buffer.concat([whole, Buffer.from('trailing')]),
    'random bytes': random.bytes(300),
    'random bytes in a frame': Buffer.concat([whole.subarray(0, 10), random.bytes(300), whole.subarray(-8)]),
  };
  for (const [what, bytes] of Object.entries(broken)) {
    const answer = await send(bytes);
    assert.equal(answer.status, 400, `${what}: ${answer.status} ${answer.text}`);
    answer.refused(400, 'content_encoding_invalid');
  }
  for (let length = 1; length < whole.length; length += 1) (await send(whole.subarray(0, length))).refused(400, 'content_encoding_invalid');
  assert.deepEqual(await counted('broken'), []);
  (await send(whole)).expect(204);
  assert.deepEqual(await counted('broken'), [['A', 20]]);
});

test('several members are one body, or refused whole', async () => {
  const [head, tail] = ['[{"event_name":"A","user_id":"u","namespace":"members"}', ',{"event_name":"A","user_id":"v","namespace":"members"}]'];
  const answer = await send(Buffer.concat([gzipSync(head), gzipSync(tail)]));
  if (answer.status === 204) assert.deepEqual(await counted('members'), [['A', 2]]);
  else {
    answer.refused(400, 'content_encoding_invalid');
    assert.deepEqual(await counted('members'), []);
  }
});

test('other encodings are not supported', async () => {
  for (const encoding of ['br', 'deflate', 'zstd', 'compress', 'gzip, gzip', 'gzip,br', 'gzipx', 'identity, gzip']) {
    (await send(gzipSync('{}'), { encoding })).refused(415, 'content_encoding_unsupported');
  }
  (await send('{"event_name":"A","user_id":"u","namespace":"plain"}', { encoding: 'identity' })).expect(204);
});

for (const [set, max] of [[undefined, 5_242_880], ['1000', 1_000]]) {
  test(`an inflated body of ${max} bytes and one more`, async (t) => {
    const own = await serve(t, { env: set ? { BODY_BYTES_MAX: set } : {} });
    const frame = JSON.stringify({ ...did('A', 'u'), padding: '' }).length;
    const bodyOf = (bytes) => gzipSync(JSON.stringify({ ...did('A', 'u'), padding: 'x'.repeat(bytes - frame) }));
    for (const chunked of [false, true]) {
      (await send(bodyOf(max), { on: own, chunked })).expect(204);
      for (const bytes of [max + 1, 2 * max, 20 * max]) {
        limited(await answered(() => send(bodyOf(bytes), { on: own, chunked })), 413, 'body_too_large', 'BODY_BYTES_MAX', max);
      }
    }
    assert.deepEqual(await counted(undefined, own), [['A', 1]]);
  });
}

test('a bomb is refused soon and harms nothing', async (t) => {
  const own = await serve(t);
  const bomb = gzipSync(Buffer.alloc(256 << 20), { level: 9 });
  assert.ok(bomb.length < 1 << 20);
  const begin = Date.now();
  const answers = await Promise.all(Array.from({ length: 8 }, () => answered(() => send(bomb, { on: own }))));
  for (const answer of answers) answer.refused(413, 'body_too_large');
  const status = `/proc/${own.pid}/status`;
  if (existsSync(status)) {
    const [, peak] = readFileSync(status, 'utf8').match(/^VmHWM:\s+(\d+) kB$/m);
    assert.ok(Number(peak) < PEAK_KB_MAX, `the server has taken ${peak} kB`);
  }
  assert.ok(Date.now() - begin < 20_000, `${Date.now() - begin} ms`);
  await answered(() => own.ingest(did('after the bomb', 'u')));
  assert.deepEqual(await answered(() => counted(undefined, own)), [['after the bomb', 1]]);
});

// ── conditional reads ────────────────────────────────────────────────────────────────────────────────────────────

const reads = (namespace) => [
  `/v0/analytics?namespace=${namespace}`, `/v0/goals?namespace=${namespace}`, '/v0/namespaces', '/v0/featureSpecs',
  `/v0/features?user_obj=${parameter({ user_id: 'u' })}`, `/v0/predictions?namespace=${namespace}`,
  `/v0/predictions?namespace=${namespace}&event=A`, `/v0/predictions?namespace=${namespace}&user_id=u`,
  `/v0/nudges?namespace=${namespace}&goal=G&user_id=v`,
];
const conditional = (path, tag, { method = 'GET', on = server } = {}) => on.request(method, path, { headers: { 'if-none-match': tag } });

test('every read has a strong ETag, and answers 304 to it', async () => {
  await server.ingest([did('A', 'u', { namespace: 'tagged' }), did('G', 'u', { namespace: 'tagged', ensure_goal: true })]);
  await server.post('/v0/featureSpecs', { name: 'tagged', boolean: true });
  for (const path of reads('tagged')) {
    const answer = (await server.get(path)).expect(200);
    const { etag } = answer.headers;
    assert.match(etag ?? '', /^"[\x21\x23-\x7e]+"$/, path);
    assert.equal(answer.headers['cache-control'], 'private, no-cache', path);
    assert.equal((await server.get(path)).headers.etag, etag, 'equal content has an equal tag');
    const head = (await server.request('HEAD', path)).expect(200);
    assert.deepEqual([head.headers.etag, head.bytes.length], [etag, 0]);

    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, `"a,b" ,W/${etag},"c"`, '*', ` ${etag} `]) {
      for (const method of ['GET', 'HEAD']) {
        const unchanged = (await conditional(path, tag, { method })).expect(304);
        assert.equal(unchanged.bytes.length, 0);
        assert.equal(unchanged.headers.etag, etag, `${method} ${path} ${tag}`);
        assert.equal(unchanged.headers['cache-control'], 'private, no-cache');
      }
    }
    for (const tag of ['"other"', etag.slice(1, -1), '', `"${etag.slice(1, -1)}x"`, '"*"', 'W/"other"', `"x${etag.slice(1)}`]) {
      const full = (await conditional(path, tag)).expect(200);
      assert.equal(full.text, answer.text, `${path} ${tag}`);
    }
  }
});

const FILES = ['/', '/api-docs/openapi.json', '/api-docs/index.html', '/sdk/index.js', '/sdk/aggregator.wasm'];

test('a tag that a proxy has marked with its coding is known, and no other tag is', async () => {
  await server.ingest(did('A', 'u', { namespace: 'marked' }));
  for (const path of [...reads('marked').slice(0, 4), ...FILES]) {
    const answer = (await server.get(path, { headers: { 'accept-encoding': 'identity' } })).expect(200);
    const [, tag] = /^(?:W\/)?"(.*)"$/.exec(answer.headers.etag);
    const marks = ['gzip', 'br', 'zstd', 'deflate'].flatMap((coding) => [`"${tag}-${coding}"`, `W/"${tag}-${coding}"`, `"${tag}--${coding}"`, `"${tag};${coding}"`]);
    for (const known of [...marks, `"${tag}"-gzip`, `"other-gzip", "${tag}-gzip"`, `W/"${tag}--gzip" , "other"`, `"${tag}"`, `W/"${tag}"`]) {
      const unchanged = (await conditional(path, known)).expect(304);
      assert.equal(unchanged.bytes.length, 0);
      assert.equal(unchanged.headers.etag, answer.headers.etag, `${path} ${known}`);
    }
    const [rest, last] = [tag.slice(0, -1), tag.at(-1) === '0' ? '1' : '0'];
    for (const known of [`"${rest}-gzip"`, `"${rest}${last}-gzip"`, `"${tag}x-gzip"`, `"${tag}gzip"`, `"x${tag}-gzip"`, `"${tag}-"`, `"${tag}-other"`, '"-gzip"', '"gzip"',
      `"a,${tag}-gzip"`, `"${tag},b-gzip"`]) {
      assert.equal((await conditional(path, known)).expect(200).bytes.length > 0, true, `${path} ${known}`);
    }
  }
});

test('a write changes the tag of what it changes', async () => {
  const paths = reads('changed');
  await server.ingest([did('A', 'u', { namespace: 'changed' }), did('G', 'u', { namespace: 'changed', ensure_goal: true })]);
  const tags = async () => Object.fromEntries(await Promise.all(paths.map(async (path) => [path, (await server.get(path)).expect(200).headers.etag])));
  const before = await tags();
  await server.ingest(did('A', 'u', { namespace: 'changed' }));
  assert.deepEqual(await tags(), before, 'a repeat changes nothing');
  await server.ingest([did('A', 'w', { namespace: 'changed' }), did('H', 'w', { namespace: 'changed', ensure_goal: true })]);
  await server.goal('G', 'one namespace more');
  (await server.post('/v0/featureSpecs', { name: 'changed', boolean: true })).expect(204);
  const later = await tags();
  for (const path of paths) assert.notEqual(later[path], before[path], path);
  for (const path of paths) (await conditional(path, before[path])).expect(200);
});

test('only reads are conditional', async () => {
  const headers = { 'if-none-match': '*' };
  (await server.post('/v0/analytics', did('A', 'u', { namespace: 'conditional' }), { headers })).expect(204);
  assert.deepEqual(await counted('conditional'), [['A', 1]]);
  for (const [path, status] of [['/v0/predictions?event=nothing', 400], ['/v0/predictions?user_id=nobody', 404], ['/v0/nothing', 404], ['/v0/nudges', 400]]) {
    const answer = (await server.get(path, { headers })).expect(status);
    assert.equal(answer.headers.etag, undefined);
  }
  const guarded = await serve({ after }, { env: { API_AUTH: '', READ_TOKENS: 'secret' } });
  (await guarded.get('/v0/analytics', { headers })).refused(401, 'unauthorized');
});

test('a page may send the conditions and read the tag', async (t) => {
  const own = await serve(t, { env: { ALLOWED_ORIGINS: 'https://shop.example' } });
  const origin = 'https://shop.example';
  const preflight = await own.request('OPTIONS', '/v0/analytics', { headers: { origin, 'access-control-request-method': 'GET',
    'access-control-request-headers': 'if-none-match, content-encoding, authorization, content-type' } });
  const list = (value) => (value ?? '').toLowerCase().split(',').map((part) => part.trim());
  const allowed = list(preflight.expect(204).headers['access-control-allow-headers']);
  for (const name of ['if-none-match', 'content-encoding', 'authorization', 'content-type']) assert.ok(allowed.includes(name), name);
  const answer = (await own.get('/v0/analytics', { headers: { origin } })).expect(200);
  const unchanged = (await own.get('/v0/analytics', { headers: { origin, 'if-none-match': answer.headers.etag } })).expect(304);
  for (const { headers } of [answer, unchanged]) {
    assert.equal(headers['access-control-allow-origin'], origin);
    const exposed = list(headers['access-control-expose-headers']);
    for (const name of ['etag', 'retry-after']) assert.ok(exposed.includes(name), name);
  }
});

// ── methods and paths ────────────────────────────────────────────────────────────────────────────────────────────

const ROUTES = {
  '/v0/analytics': 'GET HEAD OPTIONS POST', '/v0/goals': 'DELETE GET HEAD OPTIONS POST', '/v0/featureSpecs': 'GET HEAD OPTIONS POST',
  '/v0/namespaces': 'DELETE GET HEAD OPTIONS POST', '/v0/features': 'GET HEAD OPTIONS', '/v0/predictions': 'GET HEAD OPTIONS',
  '/v0/nudges?goal=G&user_id=u': 'GET HEAD OPTIONS', '/metrics': 'GET HEAD OPTIONS', '/metrics/counters': 'GET HEAD OPTIONS',
  '/metrics/predictions': 'GET HEAD OPTIONS',
};

test('HEAD and OPTIONS of every route, with and without a trailing slash', async (t) => {
  const own = await serve(t);
  for (const [route, methods] of Object.entries(ROUTES)) {
    const [path, parameters] = route.split('?');
    const spellings = path.startsWith('/v0/') ? [path, `${path}/`] : [path];
    for (const spelling of spellings) {
      const target = parameters ? `${spelling}?${parameters}` : spelling;
      const got = (await own.get(target)).expect(200);
      const head = (await own.request('HEAD', target)).expect(200);
      assert.equal(head.bytes.length, 0);
      for (const name of ['content-type', 'etag', 'cache-control']) {
        if (!target.startsWith('/metrics')) assert.equal(head.headers[name], got.headers[name], `${target} ${name}`);
      }
      const options = (await own.request('OPTIONS', target)).expect(204);
      assert.equal(options.bytes.length, 0);
      assert.equal(options.headers.allow.split(',').map((name) => name.trim()).sort().join(' '), methods);
      for (const method of ['PUT', 'PATCH', 'DELETE', 'POST'].filter((name) => !methods.includes(name))) {
        const refusal = await own.request(method, target);
        refusal.refused(405, 'method_not_allowed');
        assert.equal(refusal.headers.allow, options.headers.allow);
      }
    }
    (await own.get(`${path}//`)).refused(404, 'not_found');
  }
  assert.deepEqual((await own.get('/v0/namespaces')).json(), { namespaces: ['default'] }, 'no read made anything');
});

// ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────

test('names are percent-decoded in every parameter', async () => {
  const namespace = 'a b+c/ü&=?#%';
  const [event, goal, user] = ['E b+c/ü&=?#%25', 'G 👍;,+', 'u+ü %20/'];
  await server.ingest([did(event, user, { namespace }), did(goal, user, { namespace, ensure_goal: true }), did(event, 'w', { namespace })]);
  const upper = encodeURIComponent;
  // Lower-casing letters would change names, so only the escapes are.
  const spellings = [upper, (text) => upper(text).replace(/%../g, (escape) => escape.toLowerCase()), (text) => upper(text).replaceAll('%20', '+'),
    (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')];
  for (const spell of spellings) {
    const answer = (await server.get(`/v0/predictions?namespace=${spell(namespace)}&event=${spell(event)}`)).expect(200).json();
    assert.deepEqual(Object.keys(answer.goals), [goal]);
    const mine = (await server.get(`/v0/predictions?user_id=${spell(user)}&namespace=${spell(namespace)}`)).expect(200).json();
    assert.deepEqual(Object.keys(mine.goals[goal]), ['note']);
    const nudged = (await server.get(`/v0/nudges?goal=${spell(goal)}&user_id=${spell('x y+z')}&namespace=${spell(namespace)}`)).expect(200).json();
    assert.deepEqual([nudged.goal, nudged.user_id, nudged.nudges.map(({ event_name }) => event_name)], [goal, 'x y+z', [event]]);
    assert.deepEqual((await server.get(`/v0/goals?namespace=${spell(namespace)}`)).expect(200).json(), { goals: [goal] });
  }
  for (const path of ['/v0/predictions?event=%ff', '/v0/nudges?goal=%C3&user_id=u', '/v0/predictions?user_id=%ff']) {
    (await server.get(path)).refused(400, 'parameter_invalid');
  }
});

test('a parameter given twice is fine where it says the same, and refused where it does not', async () => {
  await server.ingest([did('A', 'u', { namespace: 'twice' }), did('G', 'u', { namespace: 'twice', ensure_goal: true })]);
  const user = parameter({ user_id: 'u' });
  const cases = [
    ['/v0/analytics', 'namespace', 'twice', 'other', ''], ['/v0/goals', 'namespace', 'twice', 'other', ''],
    ['/v0/predictions', 'namespace', 'twice', 'other', ''], ['/v0/nudges', 'namespace', 'twice', 'other', '&goal=G&user_id=u'],
    ['/v0/nudges', 'goal', 'G', 'A', '&namespace=twice&user_id=u'], ['/v0/nudges', 'user_id', 'u', 'v', '&namespace=twice&goal=G'],
    ['/v0/predictions', 'user_id', 'u', 'v', '&namespace=twice'], ['/v0/features', 'user_obj', user, parameter({ user_id: 'v' }), ''],
    ['/v0/features', 'context_obj', parameter({ page: 1 }), parameter({ page: 2 }), ''],
    ['/metrics/counters', 'namespace', 'twice', 'other', ''], ['/metrics/predictions', 'namespace', 'twice', 'other', ''],
  ];
  for (const [path, name, value, another, rest] of cases) {
    const once = (await server.get(`${path}?${name}=${value}${rest}`)).expect(200);
    const twice = (await server.get(`${path}?${name}=${value}&${name}=${value}${rest}`)).expect(200);
    if (path.startsWith('/v0')) assert.equal(twice.text, once.text, path);
    for (const [first, second] of [[value, another], [another, value], [value, '']]) {
      const error = (await server.get(`${path}?${name}=${first}${rest}&${name}=${second}`)).refused(400, 'parameter_invalid');
      assert.equal(error.field, name, path);
    }
  }
  const once = (await server.get('/v0/predictions?namespace=twice&event=A')).expect(200).text;
  assert.equal((await server.get('/v0/predictions?event=A&namespace=twice&event=A&event=A')).expect(200).text, once);
});
