// What one hostile client with an ingest token does to an honest one: prints the honest client's times, alone and beside each
// kind of attack. `make bench-hostile`; `--only` takes attacks with these words in their names.
//
// The honest client sends one event of a new user at a time and waits PAUSE_MS between them; the hostile one sends its body
// again as soon as it was answered, on one connection. Both run in threads of their own, and the bodies are made beforehand: the
// processor is the server's. "Alone" is measured before every attack, so that a ratio compares neighbours in time.

import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';

import Table from 'cli-table3';

const PAUSE_MS = 2;
const FULL_NAMESPACES = 100;
const NAMES = 900;
/** So long that BATCH events with a name and a namespace each still fit into the largest body. */
const NAME_BYTES = 220;
const BATCH = 10_000;
const TOKENS = { admin: 'admin-token', ingest: 'page-token' };

const did = (event_name, user_id, namespace) => ({ event_name, user_id: String(user_id), ...(namespace && { namespace }) });
/** A long name; all have the same beginning. */
const long = (prefix, number) => prefix.padEnd(NAME_BYTES - 8, 'x') + String(number).padStart(8, '0');
const list = (count, make) => Array.from({ length: count }, (_, i) => make(i));

/** Bodies of the attacks: each answers the next one. */
const ATTACKS = {
  '10,000 events of one name, by honest means': () => list(BATCH, (i) => did('Landing', i)),
  'the largest honest body': () => list(BATCH, (i) => did(long('name', i % NAMES), i, long('full', 0))),
  '10,000 invented names in a full namespace': (round) => list(BATCH, (i) => did(long('invented', round * BATCH + i), 'u', long('full', 0))),
  '10,000 invented namespaces': (round) => list(BATCH, (i) => did('A', 'u', long('invented', round * BATCH + i))),
  '100 invented namespaces': (round) => list(100, (i) => did('A', 'u', long('invented', round * 100 + i))),
  '100 full namespaces, a known name each': () => list(FULL_NAMESPACES, (i) => did(long('name', 0), 'u', long('full', i))),
  '100 full namespaces, 100 known names each': () =>
    list(BATCH, (i) => did(long('name', Math.floor(i / FULL_NAMESPACES)), 'u', long('full', i % FULL_NAMESPACES))),
  'one invented name a request': (round) => [did(long('invented', round), 'u')],
};

/** Bodies that an attacker has ready, and sends by turns: invented names of a full namespace are never there. */
const BODIES = 16;

/** The bodies of an attack; where a name is only refused once the day's are used up, as many as a run may send. */
function bodiesOf(attack, run) {
  const rounds = attack === 'one invented name a request' ? 10_000 : BODIES;
  return list(rounds, (round) => gzipSync(JSON.stringify(ATTACKS[attack](run * 10_000 + round))));
}

function post(port, agent, token, body, isGzip = false) {
  const headers = {
    authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body),
    ...(isGzip && { 'content-encoding': 'gzip' }),
  };
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', method: 'POST', path: '/v0/analytics', headers, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject).end(body);
  });
}

/** Says when it is ready, sends until told to stop, and answers what it has measured. */
async function runThread({ port, attack, run }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  const answers = {};
  const bodies = attack && bodiesOf(attack, run);
  let isStopped = false;
  parentPort.once('message', () => { isStopped = true; });
  parentPort.postMessage('ready');
  for (let round = 0; !isStopped; round += 1) {
    const body = bodies ? bodies[round % bodies.length] : Buffer.from(JSON.stringify([did('Buy', `${run}-${round}`)]));
    const start = performance.now();
    const status = await post(port, agent, TOKENS.ingest, body, Boolean(attack));
    times.push(performance.now() - start);
    answers[status] = (answers[status] ?? 0) + 1;
    await delay(attack ? 0 : PAUSE_MS);
  }
  agent.destroy();
  parentPort.postMessage({ times, answers });
}

async function thread(data) {
  const worker = new Worker(new URL(import.meta.url), { workerData: data });
  const failed = new Promise((_, reject) => worker.once('error', reject));
  const next = () => Promise.race([failed, new Promise((resolve) => worker.once('message', resolve))]);
  await next();
  return { stop: () => { worker.postMessage('stop'); return next(); } };
}

function percentile(times, share) {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

async function main() {
  const { values: options } = parseArgs({ options: { seconds: { type: 'string', default: '10' }, only: { type: 'string', default: '' } } });
  const seconds = Number(options.seconds);
  const { startServer } = await import('../serve/server.mjs');
  const stateDir = await mkdtemp(join(tmpdir(), 'kimball-edge-hostile-'));
  const env = {
    API_TOKENS: TOKENS.admin, INGEST_TOKENS: TOKENS.ingest, HASH_KEY: '1f'.repeat(32), SHARDS: '1',
    EVENTS_PER_NAMESPACE_MAX: '1000', NEW_NAMES_PER_DAY_MAX: '200', NEW_NAMESPACES_PER_DAY_MAX: '0',
  };
  const server = await startServer({ stateDir, env });
  const table = new Table({
    head: ['beside', 'p50 alone', 'p99 alone', 'p50', 'p99', 'p99 / alone', 'answers to the attack'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  const port = Number(new URL(server.url).port);
  const agent = new Agent({ keepAlive: true });
  try {
    await fill(port, agent);
    let run = 0;
    const measure = async (attack) => {
      run += 1;
      const hostile = attack && await thread({ port, attack, run });
      const honest = await thread({ port, run });
      await delay(seconds * 1_000);
      const { times, answers } = await honest.stop();
      if (Object.keys(answers).some((status) => status !== '204')) throw new Error(`honest events were refused: ${JSON.stringify(answers)}`);
      return { times, attacked: hostile && await hostile.stop() };
    };
    // What filling has left to be compacted is done by then.
    for (let i = 0; i < 3; i += 1) await measure();
    for (const attack of Object.keys(ATTACKS).filter((name) => name.includes(options.only))) {
      const alone = await measure();
      const beside = await measure(attack);
      const [before, during] = [alone.times, beside.times].map((times) => [percentile(times, 0.5), percentile(times, 0.99)]);
      const answers = Object.entries(beside.attacked.answers).map(([status, count]) => `${count} × ${status}`).join(', ');
      table.push([attack, ...[...before, ...during].map((ms) => `${ms.toFixed(1)} ms`), (during[1] / before[1]).toFixed(1), answers]);
    }
    console.log(table.toString());
  } finally {
    agent.destroy();
    await server.stop('SIGKILL');
    await rm(stateDir, { recursive: true, force: true });
  }
}

/** Namespaces whose names are all taken, by an admin and by pages. */
async function fill(port, agent) {
  await post(port, agent, TOKENS.admin, JSON.stringify([did('Buy', 0), did('Landing', 0)]));
  for (let namespace = 0; namespace < FULL_NAMESPACES; namespace += 1) {
    const names = list(NAMES, (i) => did(long('name', i), 'u', long('full', namespace)));
    const status = await post(port, agent, TOKENS.admin, JSON.stringify(names));
    if (status !== 204) throw new Error(`a namespace could not be filled: ${status}`);
  }
}

if (isMainThread) await main();
else await runThread(workerData);
