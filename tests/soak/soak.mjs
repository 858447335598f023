// Mixed load for SOAK_MINUTES beside the exact model, with a restart every RESTART_MINUTES, every other one by SIGKILL. `make soak`.
//
// Each writer has users of its own and sends its batches in order, again after an error, so that the model knows every combination. At each
// restart, once before and once after it, all writers pause and every namespace must answer what the model answers. Users come from a
// bounded circle, and events from a fixed list: once all have been seen the state, and with it the memory, must stay as it is.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import Table from 'cli-table3';

import { Model } from '../http/harness/model.mjs';
import { seeded } from '../http/harness/random.mjs';
import { Server } from '../http/harness/server.mjs';

const MINUTES = Number(process.env.SOAK_MINUTES ?? 60);
const RESTART_MINUTES = Math.min(5, MINUTES / 3);
const WRITERS = 6;
const PAUSE_MS = 20;
const USERS_PER_WRITER = 5_000;
const NAMESPACES = ['default', 'shop', 'späti'];
const EVENTS = ['visit', 'search', 'view', 'cart', 'purchase', 'review', 'return', 'share', 'login', 'logout'];
const GOALS = ['purchase', 'review'];
const COUNTERS = JSON.stringify([{ pattern: '^login$', date_cohort: 'weekly' }]);
// The memory after the second half must not be above that after the first by more.
const GROWTH_MAX = 1.2;

const stateDir = await mkdtemp(join(tmpdir(), 'kimball-edge-soak-'));
const server = new Server(stateDir, { env: { COUNTERS } });
const model = new Model({ isWeekly: (name) => name === 'login' });
const table = new Table({
  head: ['minute', 'events sent', 'first', 'reads', 'errors', 'MiB resident', 'restart by'],
  colAligns: ['right', 'right', 'right', 'right', 'right', 'right', 'left'],
  style: { head: [], border: [] },
});
const counts = { events: 0, firsts: 0, reads: 0, errors: 0 };
const memories = [];

try {
  await server.start();
  for (const namespace of NAMESPACES) {
    for (const goal of GOALS) {
      await server.goal(goal, namespace);
      model.goal(goal, namespace);
    }
  }
  const writers = Array.from({ length: WRITERS }, (_, number) => writer(number));
  const rounds = Math.ceil(MINUTES / RESTART_MINUTES);
  for (let round = 1; round <= rounds; round += 1) {
    const signal = round % 2 === 0 ? 'SIGKILL' : 'SIGTERM';
    const end = Date.now() + RESTART_MINUTES * 60_000;
    const going = () => Date.now() < end;
    // The server dies or is asked to end while all are at work.
    const work = [...writers.map((one) => one.write(going)), read(going)];
    await delay(RESTART_MINUTES * 60_000 - 500);
    const mib = await rssMib();
    memories.push(mib);
    await server.restart({ signal });
    await Promise.all(work);
    for (const one of writers) await one.finish();
    await exact();
    table.push([(round * RESTART_MINUTES).toFixed(1), counts.events.toLocaleString('en-US'), counts.firsts.toLocaleString('en-US'), counts.reads, counts.errors, mib.toFixed(0), signal]);
  }
  console.log(table.toString());
  const half = memories.length >> 1;
  const [early, late] = [Math.max(...memories.slice(0, half)), Math.max(...memories.slice(half))];
  console.log(`\nEvery answer was exact at each restart. Resident memory: at most ${early.toFixed(0)} MiB in the first half, ${late.toFixed(0)} MiB in the second.`);
  assert.ok(late <= early * GROWTH_MAX, 'memory is not flat');
} finally {
  await server.stop('SIGKILL');
  await rm(stateDir, { recursive: true, force: true });
}

function writer(number) {
  const random = seeded(1_000 + number);
  let pending = null;
  const batch = () => Array.from({ length: random.pick([1, 1, 1, 10, 100, 500]) }, () => ({
    event_name: random.pick(EVENTS),
    user_id: `${number}-${Math.floor(USERS_PER_WRITER * random.next() ** 2)}`,
    namespace: random.pick(NAMESPACES),
    ...(random.chance(0.3) ? { value: random.below(10_000) / 100 } : {}),
    datetime: `2025-${String(1 + random.below(12)).padStart(2, '0')}-15T12:00:00Z`,
  }));
  const send = async () => {
    pending ??= batch();
    const answer = await attempt(() => server.post('/v0/analytics', pending));
    if (answer?.status !== 204) return;
    counts.events += pending.length;
    for (const event of pending) if (model.apply(event)) counts.firsts += 1;
    pending = null;
  };
  return {
    async write(going) {
      while (going()) {
        await send();
        await delay(PAUSE_MS);
      }
    },
    async finish() {
      while (pending !== null) await send();
    },
  };
}

async function read(going) {
  const paths = ['/v0/analytics?namespace=shop', '/v0/predictions?namespace=shop', '/v0/nudges?goal=purchase&user_id=1-1&namespace=shop',
    '/v0/features', '/v0/goals', '/metrics', '/metrics/counters', '/v0/status?namespace=shop', '/healthz'];
  for (let i = 0; going(); i += 1) {
    const answer = await attempt(() => server.get(paths[i % paths.length]));
    if (answer?.status === 200) counts.reads += 1;
    await delay(5 * PAUSE_MS);
  }
}

/** The answer, or `undefined` where the server was gone; anything but 2xx and 503 ends the soak. */
async function attempt(ask) {
  try {
    const answer = await ask();
    assert.ok(answer.status < 300 || answer.status === 503, `${answer.request}: ${answer.status} ${answer.text}`);
    if (answer.status === 503) counts.errors += 1;
    return answer;
  } catch (error) {
    if (error.code === undefined || error.code === 'ERR_ASSERTION') throw error;
    counts.errors += 1;
    await delay(PAUSE_MS);
    return undefined;
  }
}

async function exact() {
  for (const namespace of NAMESPACES) assert.deepEqual(await server.analytics(namespace), model.analytics(namespace), namespace);
}

async function rssMib() {
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1_024;
}
