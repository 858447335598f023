// How near the product comes to the least that a durable write costs on this stack. `make bench-limit`.
//
// Three sides read the same bodies: the product; a Worker in Rust and one in JavaScript, which store every body unread as one row.
// Prints a markdown table and asserts no times. Every run has a server and a directory of its own, and the sides take turns, so
// that none gets a warmer disk or the quieter minute.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';

import { version as workerdVersion } from 'workerd';

import { startProgress } from '../../lib/progress.mjs';
import { ROOT, startServer } from '../../serve/server.mjs';

const SIDES = {
  ours: { label: 'Kimball Edge', build: 'build', env: { API_AUTH: 'disable' } },
  rust: { label: 'empty Rust', build: 'benches/empty-worker/workerd.capnp', env: {} },
  js: { label: 'empty JS', build: 'benches/js-worker/workerd.capnp', env: {} },
};
const OPTIONS = {
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '2' },
  shards: { type: 'string', default: '4' },
  batches: { type: 'string', default: '1,100,1000' },
  users: { type: 'string', default: 'new,known' },
  connections: { type: 'string', default: '1,8,32' },
  sides: { type: 'string', default: Object.keys(SIDES).join(',') },
  // Another build of the product as a further side: the workerd configuration of another checkout, selfhost/workerd.capnp there.
  before: { type: 'string' },
};
const WARM_UP_SECONDS = 1;

try {
  const { values } = parseArgs({ options: OPTIONS });
  const list = (name) => values[name].split(',');
  if (values.before) SIDES.before = { ...SIDES.ours, label: 'before', build: values.before };
  await bench({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    shards: values.shards,
    batches: list('batches').map(Number),
    users: list('users'),
    connections: list('connections').map(Number),
    sides: [...list('sides'), ...(values.before ? ['before'] : [])],
  });
} catch (error) {
  console.error(`make bench-limit: ${error.message}`);
  process.exit(1);
}

async function bench({ rounds, seconds, shards, batches, users, connections, sides }) {
  const cases = batches.flatMap((batchEvents) => users.flatMap((who) => connections.map((count) => ({
    batchEvents, users: who, connections: count, runs: Object.fromEntries(sides.map((side) => [side, []])),
  }))));
  const bar = startProgress('Measuring {bar} {value}/{total} runs', cases.length * rounds * sides.length);
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const one of cases) {
        for (let turn = 0; turn < sides.length; turn += 1) {
          const side = sides[(round + turn) % sides.length];
          one.runs[side].push(await measure(SIDES[side], { ...one, seconds, shards }));
          bar.increment();
        }
      }
    }
  } finally {
    bar.stop();
  }
  printTable(cases, { rounds, seconds, shards, sides });
}

/** What the server acknowledged: events a second; and half of the answers, and the slowest hundredth, in ms. */
async function measure({ build, env }, { connections, batchEvents, users, seconds, shards }) {
  const stateDir = await mkdtemp(join(ROOT, '.state-bench-'));
  try {
    const server = await startServer({ stateDir, build, env: { ...env, SHARDS: shards } });
    try {
      const load = (duration, run) => generate(server.url, { connections, batchEvents, users, seconds: duration, run });
      await load(WARM_UP_SECONDS, 'warm-up');
      const { answered, failed, seconds: taken, p50Ms, p99Ms } = await load(seconds, 'run');
      if (failed > 0) throw new Error(`${failed} of ${failed + answered} requests to ${build} failed`);
      return { rate: (answered * batchEvents) / taken, p50Ms, p99Ms };
    } finally {
      await server.stop();
    }
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function generate(url, { connections, batchEvents, users, seconds, run }) {
  const { stdout } = await promisify(execFile)('wrk', [
    '--threads', '1', '--connections', `${connections}`, '--duration', `${seconds}s`, '--timeout', '30s',
    '--script', join(ROOT, 'scripts/bench/ingest/load.lua'), url, '--', `${batchEvents}`, users, run,
  ]);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1));
}

function printTable(cases, { rounds, seconds, shards, sides }) {
  const [first, ...peers] = sides;
  const labels = (names, what) => names.map((side) => what(SIDES[side].label)).join(' | ');
  console.log(`
${type()} ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB; \
node ${process.versions.node}, workerd ${workerdVersion}; ${new Date().toISOString().slice(0, 10)}.
Medians of ${rounds} runs of ${seconds} s, SHARDS = ${shards}. The load generator (wrk) shares the machine.

| batch | users | connections | ${labels(sides, (label) => `${label}, events/s`)} | ${labels(peers, (label) => `of ${label}`)} \
| ${labels(sides, (label) => `${label}, p50 / p99 ms`)} |
|---:|---|---:|${'---:|'.repeat(2 * sides.length + peers.length)}`);
  for (const { batchEvents, users, connections, runs } of cases) {
    const of = (side, name) => median(runs[side].map((run) => run[name]));
    const cells = [
      whole(batchEvents), users, connections,
      ...sides.map((side) => whole(of(side, 'rate'))),
      ...peers.map((side) => `${((100 * of(first, 'rate')) / of(side, 'rate')).toFixed(0)} %`),
      ...sides.map((side) => `${of(side, 'p50Ms').toFixed(1)} / ${of(side, 'p99Ms').toFixed(1)}`),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function whole(number) {
  return Math.round(number).toLocaleString('en-US');
}
