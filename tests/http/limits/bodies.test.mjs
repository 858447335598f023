// Request bodies in flight: what all of them may take at once, those whose end never comes, slow and honest ones, and
// what an isolate takes at most.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

import { until, within } from '../harness/deadline.mjs';
import { answered, did } from '../harness/limits.mjs';
import { FAULTS, ROOT, serve } from '../harness/server.mjs';

const MIB = 2 ** 20;
/** What Cloudflare gives an isolate. */
const ISOLATE_BYTES = 128_000_000;
/** Of a process, beside what it takes at its start: native copies, V8's heap, and what it has not yet given back. */
const RESIDENT_GROWTH_BYTES = 192 * MIB;
const BODIES_BYTES = 16 * MIB;
const ANSWER_MS = 60_000;
const JSON_TYPE = { 'content-type': 'application/json' };

const server = await serve({ after });

const wasmBytes = async (on = server) => (await answered(() => on.get('/v0/status'))).expect(200).json().isolate_memory_bytes;
const event = did('honest', 'u');
/** An honest small request, which must be acknowledged. */
const honest = (on = server) => on.ingest(event);

/**
 * A request with this body on a connection of its own, which is kept open whatever happens: `write` more of it,
 * `answer` resolves to `{ status, text, ended }`, with status 0 where the connection broke without one.
 */
function begin(on, lines, first = '') {
  const socket = connect(Number(on.url.port), on.url.hostname);
  let text = '';
  let isOver = false;
  const answer = new Promise((resolve) => {
    const settle = () => resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, isOver });
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (/\r\n\r\n[^]*\}$/.test(text) || /^HTTP\/1\.1 204/.test(text)) settle();
    });
    socket.on('error', () => {});
    socket.on('close', () => { isOver = true; settle(); });
  });
  socket.write(`POST /v0/analytics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${lines.join('\r\n')}\r\n\r\n`);
  socket.write(first);
  return {
    write: (bytes) => socket.writable && socket.write(bytes),
    answer: () => within('an answer', answer, ANSWER_MS),
    closed: () => until('the connection is closed', () => isOver, ANSWER_MS),
    isOver: () => isOver,
    end: () => socket.destroy(),
  };
}

/** `count` bodies of which these bytes come and then nothing more, on connections that stay open. */
function hang(t, count, bytes, { lines = ['Transfer-Encoding: chunked'], on = server } = {}) {
  const sent = lines.some((line) => /chunked/.test(line))
    ? Buffer.concat([Buffer.from(`${(bytes + 100).toString(16)}\r\n`), Buffer.alloc(bytes, ' ')])
    : Buffer.alloc(bytes, ' ');
  const hanging = Array.from({ length: count }, () => begin(on, lines, sent));
  t.after(() => hanging.forEach((one) => one.end()));
  return hanging;
}

/** A body of nearly 5 MB: one event, and a field that is not read. */
const LARGE = JSON.stringify({ ...did('large', 'u', { namespace: 'large' }), padding: 'x'.repeat(5_000_000) });

/**
 * Holds what bodies may take with some whose end never comes, until a large one finds no room. One of these may find
 * none itself, beside the large one that asks, so each that is over is begun anew. Resolves to what the large one was
 * answered and what hangs.
 */
async function fill(t, on) {
  let hanging = [];
  const busy = await until('there is no room', async () => {
    hanging = hanging.filter((one) => !one.isOver());
    hanging.push(...hang(t, 3 - hanging.length, 4_000_000, { lines: ['Content-Length: 4500000'], on }));
    const answer = await answered(() => on.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE }));
    return answer.status === 503 && answer;
  });
  return { busy, hanging };
}

function refusedAsBusy(answer) {
  const error = answer.refused(503, 'bodies_busy');
  assert.deepEqual([error.limit, error.value], ['BODIES_BYTES_MAX', BODIES_BYTES]);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
}

/** Sends all at once, and those again that found no room, until all are acknowledged; answers how many found none. */
async function insist(requests) {
  let busy = 0;
  await Promise.all(requests.map((request) => until('it is acknowledged', async () => {
    const answer = await answered(request);
    if (answer.status === 204) return true;
    refusedAsBusy(answer);
    busy += 1;
    return false;
  }, ANSWER_MS)));
  return busy;
}

// ── What all bodies may take at once ─────────────────────────────────────────────────────────────────────────────

test('64 gzip bodies of 5 MB at a time, then 64 plain ones: all are acknowledged in the end, and memory stays bounded', { timeout: 240_000 }, async () => {
  const zipped = gzipSync(LARGE);
  const headers = { ...JSON_TYPE, 'content-encoding': 'gzip' };
  const busy = await insist(Array.from({ length: 64 }, () => () => server.request('POST', '/v0/analytics', { body: zipped, headers })));
  assert.equal(busy, 0, 'what is small as it is sent takes little');
  assert.ok(await wasmBytes() < ISOLATE_BYTES / 2);
  for (const chunked of [false, true]) {
    await insist(Array.from({ length: 64 }, () => () => server.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE, chunked })));
  }
  assert.ok(await wasmBytes() < ISOLATE_BYTES / 2, `${await wasmBytes()} bytes`);
  assert.equal((await server.analytics('large')).users, 1);
});

test('16 batches of 10,000 long names at a time: each is taken, or refused for a limit, and memory stays bounded', { timeout: 240_000 }, async (t) => {
  const own = await serve(t, { env: { EVENTS_PER_NAMESPACE_MAX: '10000', NAMESPACES_MAX: '1000' } });
  const bodies = Array.from({ length: 16 }, (_, body) => gzipSync(JSON.stringify(
    Array.from({ length: 10_000 }, (_, i) => did(`${body} ${i} ${'n'.repeat(230)}`, 'u', { namespace: `names ${body}` })),
  )));
  const headers = { ...JSON_TYPE, 'content-encoding': 'gzip' };
  const answers = await Promise.all(bodies.map((body) => answered(() => own.request('POST', '/v0/analytics', { body, headers, deadlineMs: ANSWER_MS }))));
  for (const answer of answers) assert.ok([204, 413, 503, 507].includes(answer.status), `${answer.status} ${answer.text}`);
  assert.ok(await wasmBytes(own) < ISOLATE_BYTES, `${await wasmBytes(own)} bytes`);
  await honest(own);
});

test('flags of millions of values are refused before they are read, those at their limits are taken, and memory stays bounded', { timeout: 120_000 }, async (t) => {
  const own = await serve(t);
  const five = (value) => `[${Array(Math.floor(5_200_000 / (value.length + 1))).fill(value).join(',')}]`;
  const condition = (value) => `{"property":"p","comparator":"in","value":${value}}`;
  const users = ['1', '""', '{}', '[]', '{"a":1}'].flatMap((value) => [`[${condition(five(value))}]`, five(value)]);
  const keys = `{${Array.from({ length: 400_000 }, (_, i) => `"${i}":1`).join(',')}}`;
  for (const user of [...users, keys]) {
    for (const path of ['/v0/featureSpecs', '/v0/goals', '/v0/analytics']) {
      (await answered(() => own.request('POST', path, { body: `{"name":"f","user":${user}}`, headers: JSON_TYPE }))).refused(400);
    }
  }
  const most = `[${Array(100).fill(condition(JSON.stringify(Array.from({ length: 1_000 }, (_, i) => `value ${i}`)))).join(',')}]`;
  (await own.request('POST', '/v0/featureSpecs', { body: `{"name":"f","user":${most}}`, headers: JSON_TYPE })).expect(204);
  assert.ok(await wasmBytes(own) < ISOLATE_BYTES / 2, `${await wasmBytes(own)} bytes`);
});

test('what is refused for room says so, with when to come again, and is taken later', { timeout: 120_000 }, async (t) => {
  const { busy, hanging } = await fill(t, server);
  refusedAsBusy(busy);
  const before = (await server.get('/metrics')).expect(200).text;
  assert.match(before, /kimball_events_refused_total\{reason="bodies_busy"\} [1-9]/);
  hanging.forEach((one) => one.end());
  await insist([() => server.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE })]);
});

test('BODY_BYTES_MAX must leave room beside the body, and where only it is set there is room for two', async (t) => {
  const own = await serve(t, { env: { BODY_BYTES_MAX: '1000000', BODIES_BYTES_MAX: '1048576' } });
  assert.match((await own.get('/healthz')).refused(503, 'configuration_invalid').what, /^BODY_BYTES_MAX: .*BODIES_BYTES_MAX/);
  const roomy = await serve(t, { env: { BODY_BYTES_MAX: String(16 * MIB) } });
  const { configuration } = (await roomy.get('/v0/status')).expect(200).json();
  assert.equal(configuration.limits.find(({ name }) => name === 'BODIES_BYTES_MAX').value, 32 * MIB);
  const body = JSON.stringify({ ...event, padding: 'x'.repeat(16_000_000) });
  (await roomy.request('POST', '/v0/analytics', { body, headers: JSON_TYPE })).expect(204);
});

// ── Bodies whose end never comes ─────────────────────────────────────────────────────────────────────────────────

const NEVER = {
  'that send nothing': [0, ['Content-Length: 4000000']],
  'that send nothing and say nothing': [0, ['Transfer-Encoding: chunked']],
  'small ones': [100, ['Content-Length: 200']],
  'of 60 kB': [60_000, ['Transfer-Encoding: chunked']],
  'of gzip': [20, ['Content-Length: 4000000', 'Content-Encoding: gzip']],
  'of 4 MB': [4_000_000, ['Content-Length: 4500000']],
  'of 8 MB': [8 * MIB, ['Transfer-Encoding: chunked']],
};

for (const [what, [bytes, lines]] of Object.entries(NEVER)) {
  test(`60 bodies without end, ${what}: all are given up, others are served meanwhile`, { timeout: 180_000 }, async (t) => {
    const hanging = hang(t, 60, bytes, { lines });
    let isOver = false;
    let served = 0;
    const others = (async () => {
      do {
        await answered(() => honest());
        served += 1;
      } while (!isOver);
    })();
    const statuses = new Set();
    for (const one of hanging) {
      const { status, text } = await one.answer();
      statuses.add(status);
      // Where the body is still being sent, the connection may be reset before the answer is read.
      assert.ok([408, 413, 503, ...(bytes > 100_000 ? [0] : [])].includes(status), text);
      if (status === 408) assert.match(text, /"code":"body_too_slow"/);
    }
    if (bytes < 1_000) assert.deepEqual([...statuses], [408]);
    await Promise.all(hanging.map((one) => one.closed()));
    isOver = true;
    await others;
    assert.ok(served > 0);
    assert.ok(await wasmBytes() < ISOLATE_BYTES / 2);
    // All room is given back.
    await insist([() => server.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE })]);
  });
}

test('240 bodies of 8 MiB without end do not make the process grow', { timeout: 240_000, skip: !existsSync('/proc/self/status') }, async (t) => {
  const own = await serve(t);
  const resident = (pid = own.pid) => 1_024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
  await honest(own);
  const before = resident();
  let most = 0;
  const sampling = setInterval(() => { most = Math.max(most, resident()); }, 20);
  t.after(() => clearInterval(sampling));
  for (let round = 0; round < 4; round += 1) {
    const hanging = hang(t, 60, 8 * MIB, { on: own });
    await answered(() => honest(own));
    await Promise.all(hanging.map((one) => one.closed()));
    hanging.forEach((one) => one.end());
  }
  clearInterval(sampling);
  assert.ok(most - before < RESIDENT_GROWTH_BYTES, `${before} bytes before, ${most} at most`);
  assert.ok(await wasmBytes(own) < ISOLATE_BYTES / 2);
  await honest(own);
});

test('a client that goes gives its room back, wherever its request is', { timeout: 120_000 }, async (t) => {
  const own = await serve(t, { build: FAULTS });
  for (let round = 0; round < 8; round += 1) {
    const gone = hang(t, 3, 4_000_000, { on: own, lines: ['Content-Length: 4500000'] });
    // Some are gone as they are being carried out: the body is whole, and the shard takes its time.
    const body = JSON.stringify(Array.from({ length: 5_000 }, (_, i) => did('gone', i)));
    for (let i = 0; i < 3; i += 1) gone.push(begin(own, [`Content-Length: ${body.length}`, 'x-kimball-fault: slow-2000'], body));
    await honest(own);
    gone.forEach((one) => one.end());
  }
  await insist([() => own.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE })]);
  await until('all is given back', async () => {
    const answers = await Promise.all([1, 2].map(() => answered(() => own.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE }))));
    return answers.every(({ status }) => status === 204);
  }, ANSWER_MS);
});

test('a reset of the wasm instance begins with all room free', { timeout: 120_000 }, async (t) => {
  const own = await serve(t, { build: FAULTS });
  await fill(t, own);
  (await own.post('/v0/analytics', event, { headers: { 'x-kimball-fault': 'worker-panic' } })).refused(503, 'worker_reset');
  (await answered(() => own.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE }))).expect(204);
});

// ── Slow and honest ones ─────────────────────────────────────────────────────────────────────────────────────────

/** Sends this body at so many bytes a second, in pieces; resolves to the answer, or stops when there is one. */
async function trickle(t, body, bytesPerSecond, { pieces = 10, lines = [] } = {}) {
  const sending = begin(server, [`Content-Length: ${body.length}`, ...lines]);
  t.after(() => sending.end());
  let answer;
  sending.answer().then((found) => { answer = found; });
  const size = Math.ceil(bytesPerSecond / pieces);
  const start = Date.now();
  for (let at = 0, piece = 1; at < body.length && !answer; at += size, piece += 1) {
    sending.write(body.slice(at, at + size));
    await delay(Math.max(0, start + (piece * 1_000) / pieces - Date.now()));
  }
  return sending.answer();
}

test('a phone at 10 KiB a second is served, in small pieces or large, beside 64 that hang', { timeout: 180_000 }, async (t) => {
  const body = JSON.stringify({ ...did('phone', 'u', { namespace: 'phone' }), padding: 'x'.repeat(200_000) });
  const phones = [10, 1].map((pieces) => trickle(t, body, 10_240, { pieces }));
  // These take what large bodies may take; the phones were there before them.
  const hanging = hang(t, 64, 4_000_000, { lines: ['Content-Length: 4500000'] });
  for (const phone of phones) {
    const { status, text } = await phone;
    assert.equal(status, 204, text);
  }
  await Promise.all(hanging.map((one) => one.closed()));
});

test('a client below the pace is given up before its end, one that stops too', { timeout: 120_000 }, async (t) => {
  const body = JSON.stringify({ ...event, padding: 'x'.repeat(100_000) });
  const slow = trickle(t, body, 1_024);
  const drop = trickle(t, body, 7_000);
  const stopped = begin(server, [`Content-Length: ${body.length}`], body.slice(0, 90_000));
  t.after(() => stopped.end());
  for (const answer of [await slow, await drop, await stopped.answer()]) {
    assert.equal(answer.status, 408, answer.text);
    assert.match(answer.text, /"code":"body_too_slow"/);
  }
});

test('small bodies are served while 64 slow large ones hold what large ones may take', { timeout: 120_000 }, async (t) => {
  // Fast enough to be kept, so slow that they take a minute.
  const slow = Array.from({ length: 64 }, () => begin(server, ['Content-Length: 5000000'], ' '.repeat(300_000)));
  t.after(() => slow.forEach((one) => one.end()));
  const feeding = setInterval(() => slow.forEach((one) => one.write(' '.repeat(10_000))), 500);
  t.after(() => clearInterval(feeding));
  const answers = await until('large ones find no room', async () => {
    const large = await answered(() => server.request('POST', '/v0/analytics', { body: LARGE, headers: JSON_TYPE }));
    return large.status === 503 && large;
  });
  refusedAsBusy(answers);
  const small = JSON.stringify(Array.from({ length: 600 }, (_, i) => did(`E${i % 9}`, i, { namespace: 'small', padding: 'x'.repeat(20) })));
  assert.ok(small.length > 50_000 && small.length < 65_536);
  for (let round = 0; round < 20; round += 1) {
    (await answered(() => server.request('POST', '/v0/analytics', { body: small, headers: JSON_TYPE, chunked: round % 2 === 0 }))).expect(204);
    (await answered(() => server.request('POST', '/v0/analytics', { body: gzipSync(small), headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } }))).expect(204);
  }
});

test('bodies in pieces of one byte, of any size, and without a byte are what they are', async (t) => {
  for (const [length, namespace] of [[1, 'bytes'], [4_096, 'pages'], [16_384, 'pieces'], [65_537, 'odd']]) {
    const body = Buffer.from(JSON.stringify(Array.from({ length: namespace === 'bytes' ? 3 : 3_000 }, (_, i) => did(`E${i % 7}`, i, { namespace }))));
    const sending = begin(server, ['Transfer-Encoding: chunked']);
    t.after(() => sending.end());
    for (let at = 0; at < body.length; at += length) {
      const piece = body.subarray(at, at + length);
      sending.write(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]));
    }
    sending.write('0\r\n\r\n');
    assert.equal((await sending.answer()).status, 204);
    assert.equal((await server.analytics(namespace)).users, namespace === 'bytes' ? 3 : 3_000);
  }
  (await server.request('POST', '/v0/analytics', { body: '', headers: JSON_TYPE })).refused(400, 'body_empty');
  (await server.request('POST', '/v0/analytics', { body: '', headers: JSON_TYPE, chunked: true })).refused(400, 'body_empty');
});

// ── Shards ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('full shards loaded one after the other, and again, stay within what an isolate has', { timeout: 580_000 }, async (t) => {
  // A fortieth of the defaults, so that it is soon; the rest of what an isolate takes stays as it is.
  const SHARD = 400 * 1_024;
  const ISOLATE = 1_000 * 1_024;
  const env = { SHARDS: '1', SHARD_MEMORY_BYTES_MAX: String(SHARD), ISOLATE_MEMORY_BYTES_MAX: String(ISOLATE) };
  const own = await serve(t, { env });
  const namespaces = Array.from({ length: 12 }, (_, i) => `full ${i}`);
  for (const namespace of namespaces) {
    for (let batch = 0; ; batch += 1) {
      const events = Array.from({ length: 10_000 }, (_, i) => did(`E${batch % 4}`, `${batch >> 2} ${i}`, { namespace }));
      const answer = await answered(() => own.post('/v0/analytics', events));
      if (answer.status === 507) break;
      answer.expect(204);
      assert.ok(batch < 200, 'the shard is never full');
    }
  }
  await own.restart();
  // What a batch takes is there from the begin, so that the rest is the shards'.
  const batch = (namespace) => Array.from({ length: 10_000 }, (_, i) => did('E0', `more ${i}`, { namespace }));
  await own.ingest(batch('begun'));
  const begun = await wasmBytes(own);
  const first = [];
  for (const namespace of namespaces) first.push((await own.get(`/v0/analytics?namespace=${encodeURIComponent(namespace)}`)).expect(200).text);
  const loaded = await wasmBytes(own);
  // What is loaded, a section of what is being loaded, and what the allocator loses between.
  assert.ok(loaded - begun < 2 * (ISOLATE + SHARD), `${begun} bytes at the begin, ${loaded} then`);
  for (const [i, namespace] of namespaces.entries()) {
    assert.equal((await own.get(`/v0/analytics?namespace=${encodeURIComponent(namespace)}`)).expect(200).text, first[i]);
    // Room to grow is made as well, and a batch that finds none in its shard leaves it as it was.
    (await own.post('/v0/analytics', batch(namespace))).refused(507, 'shard_memory_full');
  }
  assert.ok(await wasmBytes(own) - begun < 2 * (ISOLATE + SHARD), `${await wasmBytes(own)} bytes`);
});

// ── An isolate on Cloudflare ─────────────────────────────────────────────────────────────────────────────────────

/** A workerd config that says it is Cloudflare, as far as limits are concerned. */
function asOnCloudflare(t) {
  const paths = ['workerd.capnp', 'bindings.capnp'].map((name) => [join(ROOT, 'selfhost', name), join(ROOT, 'build', `cloudflare-${process.pid}-${name}`)]);
  t.after(() => paths.forEach(([, copy]) => rmSync(copy, { force: true })));
  for (const [path, copy] of paths) {
    const text = readFileSync(path, 'utf8')
      .replace('(name = "PROFILE", text = "selfhost")', '(name = "PROFILE", text = "cloudflare")')
      .replace('embed "assets.js"', 'embed "../selfhost/assets.js"')
      .replace('import "bindings.capnp"', `import "cloudflare-${process.pid}-bindings.capnp"`);
    writeFileSync(copy, text);
  }
  return paths[0][1];
}

test('on Cloudflare the defaults fit an isolate, and what adds up to more than it has is refused with the sum', { timeout: 60_000 }, async (t) => {
  const build = asOnCloudflare(t);
  await honest(await serve(t, { build }));
  for (const env of [{ ISOLATE_MEMORY_BYTES_MAX: String(64 * MIB) }, { BODIES_BYTES_MAX: String(32 * MIB) }, { SHARD_MEMORY_BYTES_MAX: String(32 * MIB), ISOLATE_MEMORY_BYTES_MAX: String(32 * MIB) },
    { BODY_BYTES_MAX: String(16 * MIB) }, { BATCH_EVENTS_MAX: '100000' }, { FLAGS_BYTES_MAX: String(16 * MIB) }, { METRICS_BYTES_MAX: String(32 * MIB) }]) {
    const own = await serve(t, { build, env });
    const { what } = (await own.get('/healthz')).refused(503, 'configuration_invalid');
    const [, sum] = /^[A-Z_, ]+: .* (\d+) bytes .*128000000$/.exec(what);
    assert.ok(what.includes(Object.keys(env)[0]) && Number(sum) > ISOLATE_BYTES, what);
    await own.stop('SIGKILL');
  }
  // A process of one's own takes all of it.
  await honest(await serve(t, { env: { ISOLATE_MEMORY_BYTES_MAX: String(96 * MIB), BODIES_BYTES_MAX: String(256 * MIB) } }));
});
