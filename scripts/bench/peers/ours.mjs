// Kimball Edge's side of `make bench-databases`: node ours.mjs STREAM DIRECTORY NAMES GOAL. Prints what peers.py asks of every side, as JSON.

import { readFileSync } from 'node:fs';

import { version as workerdVersion } from 'workerd';

import { startServer } from '../../serve/server.mjs';
import { files, total as bytesOf, untilQuiet } from '../files.mjs';

const BATCH = 1_000;
const ASKED = 5;
// The default would list the largest thousand and put the rest under `event_counts_other`.
const ENV = { API_AUTH: 'disable', COMBINATIONS_PER_GOAL_MAX: '4096' };

const [stream, stateDir, namesJson, goal] = process.argv.slice(2);
const names = JSON.parse(namesJson);
const numbers = new Uint32Array(new Uint8Array(readFileSync(stream)).buffer);
const total = numbers.length / 2;

const server = await startServer({ stateDir, env: ENV });
let result;
try {
  await send('/v0/goals', { goal_name: goal });
  const [memory, disk] = [resident(), size()];
  const begun = performance.now();
  for (let first = 0; first < total; first += BATCH) await send('/v0/analytics', { events: batch(first) });
  const seconds = (performance.now() - begun) / 1_000;
  result = { version: `workerd ${workerdVersion}`, eventsPerSecond: total / seconds, memory: resident() - memory, written: size() - disk };
  await untilQuiet(server.pid);
  result.settled = size();
  const status = await get('/v0/status?namespace=default');
  result.memoryReported = status.namespace.shards.reduce((sum, shard) => sum + shard.memory_bytes, 0);
  const times = [];
  let report;
  for (let nth = 0; nth < ASKED; nth += 1) {
    const asked = performance.now();
    report = await get('/v0/analytics');
    times.push(performance.now() - asked);
  }
  // One request answers both questions.
  result.uniqueMs = times.toSorted((a, b) => a - b)[ASKED >> 1];
  result.combinationsMs = result.uniqueMs;
  result.unique = report.counts.map(({ name, count }) => [name, count]);
  const { event_counts: combinations, event_counts_other: other } = report.counts.find(({ name }) => name === goal);
  if (other !== 0) throw new Error(`${other} users are in combinations that are not listed`);
  result.combinations = combinations.map(({ events, count }) => [events, count]);
} finally {
  await server.stop();
}
console.log(JSON.stringify(result));

function batch(first) {
  return Array.from({ length: Math.min(BATCH, total - first) }, (_, nth) => ({
    event_name: names[numbers[first + nth]], user_id: `user-${numbers[total + first + nth]}`,
  }));
}

async function send(path, body) {
  const response = await fetch(server.url + path, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  if (response.status !== 204) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
}

async function get(path) {
  const response = await fetch(server.url + path);
  if (response.status !== 200) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

function size() {
  return bytesOf(files(stateDir));
}

function resident() {
  return Number(/^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/smaps_rollup`, 'utf8'))[1]) * 1024;
}
