// Requests and events per second over HTTP, beside an empty Worker that stores one row per request.
//
// Prints a markdown table and asserts no times. Every run has a server and a directory of its own, and the two
// sides take turns, so that neither gets a warmer disk or the quieter minute.

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';

import { version as workerdVersion } from 'workerd';

import { startProgress } from './progress.mjs';
import { ROOT, startServer } from './server.mjs';

const OPTIONS = {
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '3' },
  shards: { type: 'string', default: '4' },
  connections: { type: 'string', default: '1,8,32' },
};
const WORKLOADS = [
  { name: 'single events', unit: 'requests/s', batchEvents: 1 },
  { name: 'batches of 1,000', unit: 'events/s', batchEvents: 1_000 },
];
const SIDES = {
  ours: { build: 'build', env: { API_AUTH: 'disable' } },
  empty: { build: 'benches/empty-worker/workerd.capnp', env: {} },
};
const WARM_UP_SECONDS = 1;

try {
  const { values } = parseArgs({ options: OPTIONS });
  await bench({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    shards: values.shards,
    connectionCounts: values.connections.split(',').map(Number),
  });
} catch (error) {
  console.error(`make bench: ${error.message}`);
  process.exit(1);
}

async function bench({ rounds, seconds, shards, connectionCounts }) {
  const cases = WORKLOADS.flatMap((workload) => connectionCounts.map((connections) => ({
    ...workload, connections, ours: [], empty: [],
  })));
  const bar = startProgress('Measuring {bar} {value}/{total} runs', cases.length * rounds * 2);
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const one of cases) {
        const order = round % 2 === 0 ? ['ours', 'empty'] : ['empty', 'ours'];
        for (const side of order) {
          one[side].push(await measure(SIDES[side], { ...one, seconds, shards }));
          bar.increment();
        }
      }
    }
  } finally {
    bar.stop();
  }
  printTable(cases, { rounds, seconds, shards });
}

/** What the server acknowledged: requests or events a second, and the slowest hundredth in ms. */
async function measure({ build, env }, { connections, batchEvents, seconds, shards }) {
  const stateDir = await mkdtemp(join(ROOT, '.state-bench-'));
  try {
    const server = await startServer({ stateDir, build, env: { ...env, SHARDS: shards } });
    try {
      const load = { url: server.url, connections, batchEvents };
      await generate({ ...load, seconds: WARM_UP_SECONDS, run: 'warm-up' });
      const { answered, failed, seconds: taken, p99Ms } = await generate({ ...load, seconds, run: 'run' });
      if (failed > 0) throw new Error(`${failed} of ${failed + answered} requests to ${build} failed`);
      return { rate: (answered * batchEvents) / taken, p99Ms };
    } finally {
      await server.stop();
    }
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

async function generate(load) {
  const { stdout } = await promisify(execFile)(
    process.execPath, [join(ROOT, 'scripts/bench-client.mjs'), JSON.stringify(load)]);
  return JSON.parse(stdout);
}

function printTable(cases, { rounds, seconds, shards }) {
  console.log(`
Over HTTP: node ${process.versions.node}, workerd ${workerdVersion}, ${type()} ${release()}, \
${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB.
Median of ${rounds} runs of ${seconds} s, SHARDS = ${shards}; every event is a new user's; every answer is durable.
The empty Worker only reads the body and stores it as one row, in as many objects as there are shards.
The load generator shares the machine.

| workload | connections | Kimball Edge | empty Worker | ratio | p99 ms | p99 ms, empty |
|---|---:|---:|---:|---:|---:|---:|`);
  for (const { name, unit, connections, ours, empty } of cases) {
    const [rate, emptyRate] = [ours, empty].map((runs) => median(runs.map((run) => run.rate)));
    const [p99, emptyP99] = [ours, empty].map((runs) => median(runs.map((run) => run.p99Ms)));
    console.log(`| ${name} | ${connections} | ${whole(rate)} ${unit} | ${whole(emptyRate)} ${unit} `
      + `| ${((100 * rate) / emptyRate).toFixed(0)} % | ${whole(p99)} | ${whole(emptyP99)} |`);
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function whole(number) {
  return Math.round(number).toLocaleString('en-US');
}
