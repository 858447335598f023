// What one hostile client with an ingest token does to an honest one: prints the honest client's times, alone and beside each
// kind of attack. `make bench-hostile`; `--only` takes attacks with these words in their names.
//
// The honest client sends one event of a new user at a time and waits PAUSE_MS between them; the hostile one sends its body
// again as soon as it was answered, on one connection. Both run in threads of their own. "Alone" is measured before every
// attack, so that a ratio compares neighbours in time.

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

function post(port, agent, token, events, isGzip = false) {
  const json = Buffer.from(JSON.stringify(events));
  const body = isGzip ? gzipSync(json) : json;
  const headers = {
    authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': body.length,
    ...(isGzip && { 'content-encoding': 'gzip' }),
  };
  return new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', method: 'POST', path: '/v0/analytics', headers, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject).end(body);
  });
}

/** Sends until told to stop, and answers what it has measured. */
async function runThread({ port, attack, run }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  const answers = {};
  let isStopped = false;
  parentPort.once('message', () => { isStopped = true; });
  for (let round = 0; !isStopped; round += 1) {
    const events = attack ? ATTACKS[attack](run * 1_000 + round) : [did('Buy', `${run}-${round}`)];
    const start = performance.now();
    const status = await post(port, agent, TOKENS.ingest, events, Boolean(attack));
    times.push(performance.now() - start);
    answers[status] = (answers[status] ?? 0) + 1;
    await delay(attack ? 0 : PAUSE_MS);
  }
  agent.destroy();
  parentPort.postMessage({ times, answers });
}

function thread(data) {
  const worker = new Worker(new URL(import.meta.url), { workerData: data });
  const measured = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return { stop: () => { worker.postMessage('stop'); return measured; } };
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
      const hostile = attack && thread({ port, attack, run });
      const honest = thread({ port, run });
      await delay(seconds * 1_000);
      const { times, answers } = await honest.stop();
      if (Object.keys(answers).some((status) => status !== '204')) throw new Error(`honest events were refused: ${JSON.stringify(answers)}`);
      return { times, attacked: hostile && await hostile.stop() };
    };
    await measure();
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
  await post(port, agent, TOKENS.admin, [did('Buy', 0), did('Landing', 0)]);
  for (let namespace = 0; namespace < FULL_NAMESPACES; namespace += 1) {
    const names = list(NAMES, (i) => did(long('name', i), 'u', long('full', namespace)));
    const status = await post(port, agent, TOKENS.admin, names);
    if (status !== 204) throw new Error(`a namespace could not be filled: ${status}`);
  }
}

if (isMainThread) await main();
else await runThread(workerData);
