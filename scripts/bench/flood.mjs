// Floods a server of its own with everything that could make it grow, and prints what it did and how its memory went. `make flood`.
//
// Every flood states what must come of it and is checked; what was accepted before must be answered as before after each. The
// memory is that of the workerd process (VmRSS), sampled every SAMPLE_MS, and must stay below RSS_MAX_MIB.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

import Table from 'cli-table3';

import { startServer } from '../serve/server.mjs';

const RSS_MAX_MIB = 1_024;
const SAMPLE_MS = 100;
const BATCH = 1_000;
const LANES = 8;
const CURVE_POINTS = 60;
const BARS = '▁▂▃▄▅▆▇█';
const COMBINATIONS_MAX = 1_000;
const EVENTS_MAX = 1_000;
const NAMESPACES_MAX = 1_000;
const BODY_BYTES = 10_000_000;
const CROWD = 64;
const ENDLESS_BYTES = 8 << 20;
const CLOSED = 'connection closed';
const BUSY = '503 bodies_busy';

/** Paths whose answers must not change any more once they were asked for. */
const paths = new Set();

const { values: options } = parseArgs({ options: { scale: { type: 'string', default: '1' } } });
const scale = Number(options.scale);
const scaled = (count) => Math.max(1, Math.round(count * scale));

const stateDir = await mkdtemp(join(tmpdir(), 'kimball-edge-flood-'));
const server = await startServer({ stateDir, env: { API_AUTH: 'disable', HASH_KEY: '1f'.repeat(32) } });
const keptAlive = new Agent({ keepAlive: true, maxSockets: 64 });
const samples = [];
const sampling = setInterval(async () => {
  const mib = await rssMib().catch(() => undefined);
  if (mib !== undefined) samples.push(mib);
}, SAMPLE_MS);
const table = new Table({
  head: ['flood', 'seconds', 'answers', 'MiB before', 'MiB at most', 'MiB after', 'MiB of wasm'],
  colAligns: ['left', 'right', 'left', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [] },
});

try {
  // A later flood takes all the room for namespaces.
  await post(did('begun', 0, 'tiny'));
  /** What must be answered ever after, by path. */
  const kept = new Map();
  for (const [name, flood] of Object.entries(floods())) {
    const start = performance.now();
    const before = await rssMib();
    const from = samples.length;
    const answers = new Map();
    const check = await flood((answer) => {
      const key = answer.status === 204 || answer.status === 200 ? String(answer.status) : `${answer.status} ${answer.json?.error?.code ?? ''}`.trim();
      answers.set(key, (answers.get(key) ?? 0) + 1);
      assert.ok(answer.status !== 500, `${name}: a 500: ${answer.text}`);
      return answer;
    });
    const seconds = (performance.now() - start) / 1_000;
    await check?.(answers);
    for (const [path, text] of kept) assert.equal((await get(path)).text, text, `${path} after ${name}`);
    for (const path of paths) if (!kept.has(path)) kept.set(path, (await get(path)).text);
    assert.equal((await get('/healthz')).json.status, 'ok');
    await delay(2 * SAMPLE_MS);
    const most = Math.max(...samples.slice(from));
    table.push([name, seconds.toFixed(1), [...answers].map(([key, count]) => `${count} × ${key}`).join(', '),
      before.toFixed(0), most.toFixed(0), (await rssMib()).toFixed(0), (await wasmMib()).toFixed(0)]);
    assert.ok(most < RSS_MAX_MIB, `${name}: ${most.toFixed(0)} MiB`);
  }
  console.log(table.toString());
  console.log(`\nResident memory, ${(samples.length * SAMPLE_MS / 1_000).toFixed(0)} s, 0 to ${RSS_MAX_MIB} MiB; at most ${Math.max(...samples).toFixed(0)} MiB:\n${curve()}`);
} finally {
  clearInterval(sampling);
  keptAlive.destroy();
  await server.stop('SIGKILL');
  await rm(stateDir, { recursive: true, force: true });
}

function floods() {
  return {
    'users with combinations of their own': async (note) => {
      const count = scaled(20_000);
      const namespace = 'combinations';
      note(await post({ goal_name: 'goal', namespace }, '/v0/goals'));
      const bits = Math.ceil(Math.log2(count + 1));
      const users = Array.from({ length: count }, (_, user) => [
        ...Array.from({ length: bits }, (_, bit) => bit).filter((bit) => (user >> bit) & 1).map((bit) => did(`event ${bit}`, user, namespace)),
        did('goal', user, namespace),
      ]);
      await batches(users.flat(), note);
      return async () => {
        const goal = (await analytics(namespace)).counts.find(({ name }) => name === 'goal');
        assert.equal(goal.count, count);
        assert.ok(goal.event_counts.length <= COMBINATIONS_MAX);
        assert.equal(goal.event_counts.reduce((sum, listed) => sum + listed.count, 0) + goal.event_counts_other, count);
      };
    },
    'event names': async (note) => {
      const count = scaled(30_000);
      const namespace = 'names';
      // One at a time near the limit, so that it is met exactly.
      const names = Array.from({ length: count }, (_, name) => did(`name ${name}`, name % 100, namespace));
      await batches(names, note, Math.min(100, count));
      return async () => assert.ok((await analytics(namespace)).counts.length <= EVENTS_MAX);
    },
    namespaces: async (note) => {
      const count = scaled(2_000);
      for (let from = 0; from < count; from += LANES) {
        const lanes = Array.from({ length: Math.min(LANES, count - from) }, (_, i) => post([did('A', 1, `space ${from + i}`)]));
        for (const lane of lanes) note(await lane);
      }
      return async () => assert.ok((await get('/v0/namespaces')).json.namespaces.length <= NAMESPACES_MAX + 1);
    },
    'users of one event': async (note) => {
      const count = scaled(1_000_000);
      const namespace = 'combinations';
      await batches(Array.from({ length: count }, (_, user) => did('everybody', `u${user}`, namespace)), note);
      return async (answers) => {
        const found = (await analytics(namespace)).counts.find(({ name }) => name === 'everybody').count;
        assert.ok(found <= count && found > count * 0.9999, `${found} of ${count}`);
        assert.deepEqual([...answers.keys()], ['204']);
        paths.add('/v0/analytics?namespace=combinations');
      };
    },
    'bodies of 10 MB': async (note) => {
      const body = Buffer.alloc(BODY_BYTES, 0x20);
      for (let round = 0; round < scaled(25); round += 1) {
        const plain = Array.from({ length: LANES }, () => sendLarge(body));
        const chunked = Array.from({ length: LANES }, () => sendLarge(body, { 'transfer-encoding': 'chunked' }));
        for (const answer of [...plain, ...chunked]) note(await answer);
      }
      return async (answers) => {
        // What comes in chunks may find no room before it is too large.
        assert.deepEqual([...answers.keys()].filter((key) => ![CLOSED, BUSY].includes(key)), ['413 body_too_large']);
        assert.ok(answers.get('413 body_too_large') > (answers.get(CLOSED) ?? 0), 'most clients hear why');
      };
    },
    'gzip bodies of 5 MB': async (note) => {
      const body = gzipSync(JSON.stringify({ ...did('tiny', 1, 'tiny'), padding: 'x'.repeat(5_000_000) }));
      for (let round = 0; round < scaled(10); round += 1) {
        const sent = Array.from({ length: CROWD }, () => sendLarge(body, { 'content-encoding': 'gzip' }));
        for (const answer of sent) note(await answer);
      }
      return async (answers) => assert.deepEqual([...answers.keys()].filter((key) => key !== BUSY), ['204']);
    },
    'bodies without end': async (note) => {
      for (let round = 0; round < scaled(10); round += 1) {
        const endless = Array.from({ length: CROWD }, () => sendWithoutEnd(ENDLESS_BYTES));
        note(await post(did('tiny', 1, 'tiny')));
        for (const answer of endless) note(await answer);
      }
      return async (answers) => {
        const refusals = ['408 body_too_slow', '413 body_too_large', BUSY, CLOSED];
        assert.deepEqual([...answers.keys()].filter((key) => !refusals.includes(key)), ['204']);
      };
    },
    'tiny requests': async (note) => {
      const count = scaled(100_000);
      let next = 0;
      await Promise.all(Array.from({ length: 64 }, async () => {
        while (next < count) {
          next += 1;
          note(await post({ event_name: 'tiny', user_id: next % 5_000, namespace: 'tiny' }));
        }
      }));
      return async (answers) => {
        assert.deepEqual([...answers], [['204', count]]);
        assert.equal((await analytics('tiny')).counts.find(({ name }) => name === 'tiny').count, Math.min(count, 5_000));
      };
    },
    'slow clients': async (note) => {
      const { hostname, port } = new URL(server.url);
      const sockets = Array.from({ length: scaled(1_000) }, () => connect(Number(port), hostname));
      for (const socket of sockets) {
        socket.on('error', () => {});
        socket.write('POST /v0/analytics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[');
      }
      for (let round = 0; round < 20; round += 1) {
        for (const socket of sockets) socket.write(' '.repeat(100));
        note(await get('/v0/analytics?namespace=tiny'));
        note(await post(did('tiny', 1, 'tiny')));
        await delay(50);
      }
      for (const socket of sockets) socket.destroy();
    },
  };
}

function did(event_name, user_id, namespace) {
  return { event_name, user_id, namespace };
}

/** Posts events in batches, one after the other, so that each user's stay in order. */
async function batches(events, note, size = BATCH) {
  for (let from = 0; from < events.length; from += size) note(await post(events.slice(from, from + size)));
}

function post(json, path = '/v0/analytics') {
  return send('POST', path, { body: JSON.stringify(json) });
}

function get(path) {
  return send('GET', path);
}

async function analytics(namespace) {
  const path = `/v0/analytics?namespace=${namespace}`;
  if (namespace !== 'combinations') paths.add(path);
  const answer = await get(path);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** On a connection of its own, which the server may close after its answer while the body is still being sent. */
function sendLarge(body, headers) {
  const sent = send('POST', '/v0/analytics', { body, headers, agent: false });
  return sent.catch((error) => {
    if (error.code === undefined) throw error;
    return { status: CLOSED };
  });
}

/** Sends so much of a body, and then neither more nor its end, on a connection of its own, until the server has closed it. */
function sendWithoutEnd(bytes) {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.on('data', (chunk) => { text += chunk; });
    socket.on('error', () => {});
    socket.on('close', () => {
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
      const code = /"code":"(\w+)"/.exec(text)?.[1];
      resolve(status ? { status, text, json: { error: { code } } } : { status: CLOSED });
    });
    socket.write('POST /v0/analytics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n');
    socket.write(`${(bytes + 1).toString(16)}\r\n`);
    socket.write(Buffer.alloc(bytes, 0x20));
  });
}

function send(method, path, { body, headers = {}, agent = keptAlive } = {}) {
  return new Promise((resolve, reject) => {
    const length = body === undefined || headers['transfer-encoding'] ? {} : { 'content-length': Buffer.byteLength(body) };
    const outgoing = request(server.url + path, { method, agent, headers: { 'content-type': 'application/json', ...length, ...headers } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        let json;
        try { json = JSON.parse(text); } catch { /* Not every answer is JSON. */ }
        resolve({ status: response.statusCode, text, json });
      });
    });
    // A kept connection may be closed as idle just when it is used again; sending twice is safe.
    outgoing.on('error', (error) => {
      if (outgoing.reusedSocket && error.code === 'ECONNRESET') resolve(send(method, path, { body, headers, agent }));
      else reject(error);
    });
    outgoing.end(body);
  });
}

async function rssMib() {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1_024;
}

async function wasmMib() {
  const found = /^process_resident_memory_bytes (\S+)$/m.exec((await get('/metrics?namespace=tiny')).text);
  return Number(found[1]) / 2 ** 20;
}

function curve() {
  const step = Math.max(1, Math.ceil(samples.length / CURVE_POINTS));
  const points = [];
  for (let at = 0; at < samples.length; at += step) points.push(Math.max(...samples.slice(at, at + step)));
  return points.map((mib) => BARS[Math.min(BARS.length - 1, Math.floor((mib / RSS_MAX_MIB) * BARS.length))]).join('');
}
