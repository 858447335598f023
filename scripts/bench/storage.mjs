// What is written to files for an event, and what lies in them once all is quiet. `make bench-storage`.
//
//   node scripts/bench/storage.mjs [--part trickle|rest] [--build PATH] [--users 1000,100000,1000000] [--events N] [--pairs 500000,10000000]
//
// trickle: one new user after the other into a namespace of one shard that has so many users already. After every ten of them the
// server is left alone until its alarm has come: as with one a second and the default COMPACTION_DELAY_MS, in less time.
// Bytes are those that the process of the server has written (`wchar` of /proc/PID/io): databases, logs, and some 300 for each
// answer. Rows are those that Cloudflare bills.
// rest: users who did ten events each, in batches of ten thousand, over four shards; the bytes of all files of the state directory
// as soon as all was acknowledged, and once nothing is written any more and the runtime has closed the databases.
//
// --build takes the path of a workerd configuration, such as selfhost/workerd.capnp of another checkout, to compare with.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import Table from 'cli-table3';

import { Client } from '../lib/client.mjs';
import { startServer } from '../serve/server.mjs';
import { files, total, untilQuiet, writtenBytes } from './files.mjs';

const { values: options } = parseArgs({
  options: {
    part: { type: 'string' },
    build: { type: 'string', default: 'build' },
    users: { type: 'string', default: '1000,100000,1000000' },
    // As many rows as a journal has at most: no average over less than a whole turn.
    events: { type: 'string', default: '4100' },
    pairs: { type: 'string', default: '500000,10000000' },
  },
});

const BATCH = 10_000;
const EVENTS_PER_ALARM = 10;
const IDLE_MS = 100;
const POLL_MS = 20;
const KINDS = 10;
const SHARDS = 4;

const visits = (from, count) => Array.from({ length: count }, (_, nth) => ({ event_name: 'Visit', user_id: `user ${from + nth}` }));

if (options.part !== 'rest') await trickle(options.users.split(',').map(Number), Number(options.events));
if (options.part !== 'trickle') await rest(options.pairs.split(',').map(Number));

async function trickle(sizes, events) {
  const table = new Table({
    head: ['users of the shard', 'events', 'bytes an event', 'rows an event', 'compactions'], colAligns: Array(5).fill('right'),
  });
  for (const users of sizes) {
    const run = await withServer({ SHARDS: '1', COMPACTION_DELAY_MS: String(IDLE_MS) }, async (server) => {
      const client = new Client(server.url);
      for (let from = 0; from < users; from += BATCH) await client.postEvents(visits(from, Math.min(BATCH, users - from)));
      await untilQuiet(server.pid, 2 * IDLE_MS, POLL_MS);
      const before = await written(server);
      for (let nth = 0; nth < events; nth += 1) {
        await client.postEvents(visits(users + nth, 1));
        if (nth % EVENTS_PER_ALARM === EVENTS_PER_ALARM - 1) await untilQuiet(server.pid, 2 * IDLE_MS, POLL_MS);
      }
      const after = await written(server);
      return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
    });
    const per = (value) => Math.round(value / events).toLocaleString('en');
    table.push([users, events, per(run.bytes), (run.rows / events).toFixed(2), run.compactions].map((value) => value.toLocaleString('en')));
  }
  console.log(`${table}`);
}

async function rest(sizes) {
  const table = new Table({
    head: ['pairs', 'as loaded, bytes a pair', 'at rest, bytes a pair', 'databases', 'their logs', 'other files'], colAligns: Array(6).fill('right'),
  });
  for (const pairs of sizes) {
    const [loaded, quiet] = await withServer({ SHARDS: String(SHARDS) }, async (server, stateDir) => {
      const client = new Client(server.url);
      for (let from = 0; from < pairs; from += BATCH) {
        await client.postEvents(Array.from({ length: Math.min(BATCH, pairs - from) }, (_, nth) => ({
          event_name: `Event ${(from + nth) % KINDS}`, user_id: `user ${Math.floor((from + nth) / KINDS)}`,
        })));
      }
      const asLoaded = files(stateDir);
      await untilQuiet(server.pid);
      return [asLoaded, files(stateDir)];
    });
    const of = (end) => total(quiet.filter(({ name }) => name.endsWith(end)));
    const [databases, logs] = [of('.sqlite'), of('.sqlite-wal')];
    const per = (bytes) => (bytes / pairs).toFixed(2);
    table.push([pairs.toLocaleString('en'), per(total(loaded)), per(total(quiet)), ...[databases, logs, total(quiet) - databases - logs].map(per)]);
  }
  console.log(`${table}`);
}

async function withServer(env, work) {
  const stateDir = mkdtempSync(join(tmpdir(), 'kimball-edge-storage-'));
  const server = await startServer({ stateDir, build: options.build, env: { API_AUTH: 'disable', ...env } });
  try {
    return await work(server, stateDir);
  } finally {
    await server.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** What the server has written so far. */
async function written(server) {
  const bytes = writtenBytes(server.pid);
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const metric = (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
  return { bytes, rows: metric('kimball_rows_written_total'), compactions: metric('kimball_shard_compaction_duration_seconds_count') };
}
