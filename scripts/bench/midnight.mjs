// What midnights do to a server of thousands of shards: descriptors, memory, rows, and the times of live traffic. `make bench-midnight`.
//
//   node scripts/bench/midnight.mjs [--namespaces 1000] [--shards 4] [--midnights 3] [--speed 360] [--rate 50]
//
// All shards are made first, and the server is started anew. Then the clock of the build with fault injection begins on 2026-11-28 at
// 6:00 and runs --speed times faster, and alarms come as much earlier: the six hours over which closings are spread take a minute. It
// is never set again, because an alarm lies at a time of the runtime, where a jump of the clock would leave it. LATENESS_DAYS is 0, so
// that every midnight closes the day before; the second one closes a week too, the third a month. A day of this clock:
//   0:00  closings, spread over six hours; beside them a live load into a namespace of its own
//   6:15  users of the day into every shard, spread over eight hours, and their alarms
//  17:30  six quiet hours with the same live load and no closings, to compare with
// The files tell whether a shard has closed, because asking it would close it: closing leaves an empty journal and no set of a day.
// Nothing else wakes these shards. Rows are those of the closing hours less those of the quiet ones. The program fails where a shard has
// not closed, or an event of the live load was refused.
//
// Two things are worse here than in six real hours: as many times more shards close in a second, and as many times more are open at a
// time, because the runtime closes what is idle after 10 to 20 real seconds. OPEN_SHARDS_MAX is not set, because what it does waits by this clock.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import Table from 'cli-table3';

import { tables } from '../../tests/http/harness/sqlite.mjs';
import { ROOT, startServer } from '../serve/server.mjs';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FIRST_DAY_MS = Date.parse('2026-11-28');
const BEGIN_MS = 6 * HOUR_MS;
const USERS_AT_MS = 6.25 * HOUR_MS;
const USERS_UNTIL_MS = 14.25 * HOUR_MS;
const QUIET_AT_MS = 17.5 * HOUR_MS;
const SPREAD_MS = 6 * HOUR_MS;
/** As late as a midnight may be noticed, of the real time. */
const LATE_MS = 1_000;
/** From the last alarm of the spread to the end of its compaction, of the real time. */
const CLOSED_WITHIN_MS = 20_000;
const CLOSED_POLL_MS = 250;
const SAMPLE_MS = 1_000;
const MONTH_DAYS = 30;
// So many that each shard of a namespace has some, for as good as certain.
const USERS = 64;
const NEW_USERS_A_DAY = 16;
// The least pause between namespaces that are late, as a share of the usual one.
const CATCH_UP = 0.75;
const KINDS = ['Visit', 'Search', 'Buy'];
const LANES = 4;
const TRIES = 3;
const LIVE = 'live';
const LIVE_SOCKETS = 8;
const LIVE_KNOWN_USERS = 100;
const COMPACTION_DELAY_MS = 10_000;
const COMPACTION_DELAY_MAX_MS = 3_600_000;
// Kinds of sets of a period in numbers of sections, and the codes of days (src/core/state/set_key.rs, src/core/periods/period.rs).
const PERIOD_KINDS = [3, 4];
const DAY_CODES = 2 ** 22;

const { values: options } = parseArgs({
  options: {
    namespaces: { type: 'string', default: '1000' },
    shards: { type: 'string', default: '4' },
    midnights: { type: 'string', default: '3' },
    speed: { type: 'string', default: '360' },
    rate: { type: 'string', default: '50' },
  },
});
const [namespaces, shards, midnights, speed, rate] = ['namespaces', 'shards', 'midnights', 'speed', 'rate'].map((name) => {
  const value = Number(options[name]);
  assert.ok(Number.isInteger(value) && value > 0, `--${name} is a whole number above 0`);
  return value;
});
const sites = Array.from({ length: namespaces }, (_, nth) => `site ${nth}`);
const total = namespaces * shards;

const stateDir = mkdtempSync(join(tmpdir(), 'kimball-edge-midnight-'));
const env = {
  API_AUTH: 'disable', HASH_KEY: '1f'.repeat(32), SHARDS: String(shards), NAMESPACES_MAX: String(namespaces + 1), LATENESS_DAYS: '0',
  // As long in real time as it is by default, as far as it may be.
  COMPACTION_DELAY_MS: String(Math.min(COMPACTION_DELAY_MAX_MS, COMPACTION_DELAY_MS * speed)),
};
async function start() {
  const started = await startServer({ stateDir, build: 'build/faults', env, log: (bytes) => process.stderr.write(bytes) });
  started.exited.then(({ reason }) => say(`${new Date().toISOString()} workerd ended: ${reason}`));
  return started;
}
let server = await start();
const agents = { lanes: new Agent({ keepAlive: true, maxSockets: LANES }), live: new Agent({ keepAlive: true, maxSockets: LIVE_SOCKETS }) };

const nights = [];

try {
  await setClock(1);
  await sendLive(0);
  const own = new Set(tables(stateDir, 'journal').map(({ path }) => path));
  assert.equal(own.size, shards, 'the live namespace has users in each of its shards');
  await sendUsers(0, 0);
  say(`${total} shards were made`);
  await server.stop();
  server = await start();
  const clock = await setClock(speed);
  for (let day = 0; day < midnights; day += 1) nights.push(await runDay(day, clock, own));
} finally {
  // Also what there is of a run that fails.
  if (nights.length > 0) report(nights);
  for (const agent of Object.values(agents)) agent.destroy();
  await server.stop('SIGKILL');
  rmSync(stateDir, { recursive: true, force: true });
}

/** A day from six in the morning to six of the next, and what was measured in it. */
async function runDay(day, clock, own) {
  await delay(Math.max(0, clock.left(day, USERS_AT_MS)));
  await sendUsers(day + 1, Math.max(0, clock.left(day, USERS_UNTIL_MS)));
  const before = openShards(own);
  assert.equal(before, total, 'shards with an open day before midnight');
  await delay(Math.max(0, clock.left(day, QUIET_AT_MS)));
  const quiet = await window();
  const left = clock.left(day + 1, 0);
  assert.ok(left > -LATE_MS, `${(-left / 1_000).toFixed(1)} s late at midnight: choose a lower --speed`);
  await delay(Math.max(0, left));
  const start = performance.now();
  const closing = await window();
  let seconds = (performance.now() - start) / 1_000;
  let open = openShards(own);
  if (open > 0) say(`${open} shards are open when their six hours are over`);
  while (open > 0 && performance.now() - start < SPREAD_MS / speed + CLOSED_WITHIN_MS) {
    await delay(CLOSED_POLL_MS);
    seconds = (performance.now() - start) / 1_000;
    open = openShards(own);
  }
  const rows = (await rowsWritten()) - closing.rowsBefore - quiet.rows;
  const date = new Date(FIRST_DAY_MS + (day + 1) * DAY_MS).toISOString().slice(0, 10);
  say(`${date}: ${before - open} of ${before} shards closed in ${seconds.toFixed(1)} s, ${rows} rows`);
  return { date, open, closed: before - open, seconds, rows, quiet, closing };
}

/** Sets the clock of the server to six in the morning of the first day, and to a speed. */
async function setClock(speed) {
  const offsetMs = FIRST_DAY_MS + BEGIN_MS - Date.now();
  const answer = await send('POST', `/faults/clock?offset_ms=${offsetMs}&speed=${speed}`);
  assert.equal(answer.status, 204, answer.text);
  const start = performance.now();
  return {
    /** Real milliseconds until a time of a day, below 0 where it is over. */
    left: (day, ms) => (day * DAY_MS + ms - BEGIN_MS) / speed - (performance.now() - start),
  };
}

/** Sends the live load for six hours of the clock, and measures meanwhile. */
async function window() {
  const rowsBefore = await rowsWritten();
  const most = { descriptors: 0, mib: 0 };
  const look = () => {
    // A process that has ended has neither; who sends the load notices it.
    if (!existsSync(`/proc/${server.pid}/fd`)) return;
    most.descriptors = Math.max(most.descriptors, readdirSync(`/proc/${server.pid}/fd`).length);
    const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1] ?? 0;
    most.mib = Math.max(most.mib, Number(kib) / 1_024);
  };
  look();
  const sampling = setInterval(look, SAMPLE_MS);
  const times = await sendLive(SPREAD_MS / speed);
  clearInterval(sampling);
  look();
  times.sort((a, b) => a - b);
  const percentile = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { ...most, rowsBefore, rows: (await rowsWritten()) - rowsBefore, p50: percentile(0.5), p99: percentile(0.99) };
}

/** Single events at an even pace, whether or not those before were answered; every other one is of a new user. Answers their times. */
async function sendLive(ms) {
  const count = Math.max(LIVE_KNOWN_USERS, Math.round((ms / 1_000) * rate));
  const start = performance.now();
  const answers = [];
  for (let nth = 0; nth < count; nth += 1) {
    await delay(Math.max(0, start + (ms * nth) / count - performance.now()));
    answers.push(sendOne(nth));
  }
  return Promise.all(answers);
}

async function sendOne(nth) {
  const user_id = nth % 2 === 0 ? `known ${(nth / 2) % LIVE_KNOWN_USERS}` : `new ${performance.now()}`;
  const start = performance.now();
  const answer = await send('POST', '/v0/analytics', [{ event_name: KINDS[nth % KINDS.length], user_id, namespace: LIVE }], agents.live);
  assert.equal(answer.status, 204, answer.text);
  return performance.now() - start;
}

/**
 * The users of a day, of whom some come for the first time, to all namespaces but that of the live load, spread over a time. What was
 * held up is not made up for in a burst, which would open more shards at a time than the runtime has memory for.
 */
async function sendUsers(day, ms) {
  const pause = ms / namespaces;
  const start = performance.now();
  const queue = sites.map((namespace, nth) => ({ namespace, at: start + pause * nth }));
  let free = start;
  await Promise.all(Array.from({ length: LANES }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const at = Math.max(next.at, free);
      free = Math.max(at, performance.now()) + pause * CATCH_UP;
      await delay(Math.max(0, at - performance.now()));
      const events = Array.from({ length: USERS }, (_, nth) => (
        { event_name: KINDS[nth % KINDS.length], user_id: `user ${day * NEW_USERS_A_DAY + nth}`, namespace: next.namespace }));
      const answer = await send('POST', '/v0/analytics', events);
      assert.equal(answer.status, 204, answer.text);
    }
  }));
}

/** How many shards have rows in the journal or a set of a day in the snapshot. */
function openShards(except) {
  const isOfDay = ({ rowid, values: [id] }) => {
    const number = Math.floor((id ?? rowid) / 256);
    return PERIOD_KINDS.includes(Math.floor(number / 2 ** 38)) && number % 2 ** 24 < DAY_CODES;
  };
  const open = new Set([
    ...tables(stateDir, 'journal').filter(({ rows }) => rows.length > 0),
    ...tables(stateDir, 'snapshot').filter(({ rows }) => rows.some(isOfDay)),
  ].map(({ path }) => path));
  return [...open].filter((path) => !except.has(path)).length;
}

/** Rows that all shards have written; only those of the live load are asked for that. */
async function rowsWritten() {
  const { text } = await send('GET', `/metrics?namespace=${LIVE}`);
  return Number(/^kimball_rows_written_total (\S+)$/m.exec(text)[1]);
}

function send(method, path, body, agent = agents.lanes, tries = TRIES) {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const outgoing = request(server.url + path, { method, agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }));
    });
    // A kept connection may be closed as idle just when it is used again; sending twice is safe.
    outgoing.on('error', (error) => {
      if (!outgoing.reusedSocket) say(`${new Date().toISOString()} ${method} ${path}: ${error.message}`);
      if (error.code === 'ECONNRESET' && tries > 1) resolve(send(method, path, body, agent, tries - 1));
      else reject(error);
    });
    outgoing.end(text);
  });
}

function say(text) {
  process.stderr.write(`${text}\n`);
}

function report(nights) {
  const table = new Table({
    head: ['midnight', 'shards closed', 'seconds', 'descriptors at most', 'quiet', 'RSS MiB at most', 'quiet', 'rows', 'rows a shard', 'live p50 / p99 ms', 'quiet'],
    colAligns: ['left', ...Array(10).fill('right')],
    style: { head: [], border: [] },
  });
  const times = ({ p50, p99 }) => `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
  for (const { date, closed, seconds, rows, quiet, closing } of nights) {
    table.push([
      date, closed.toLocaleString('en'), seconds.toFixed(0), closing.descriptors.toLocaleString('en'), quiet.descriptors.toLocaleString('en'),
      closing.mib.toFixed(0), quiet.mib.toFixed(0), rows.toLocaleString('en'), (rows / total).toFixed(1), times(closing), times(quiet),
    ]);
  }
  console.log(`${total.toLocaleString('en')} shards of ${namespaces.toLocaleString('en')} namespaces; ${speed} times the speed; ${rate} live events a second.\n\n${table}`);

  const prices = JSON.parse(readFileSync(join(ROOT, 'scripts/bench/prices.json'), 'utf8'));
  const { included, perMillion } = prices.meters['rows written'];
  const monthly = (nights.reduce((sum, { rows }) => sum + rows, 0) / nights.length) * MONTH_DAYS;
  const alone = `$${((monthly / 1e6) * perMillion).toFixed(2)}`;
  console.log(`\nA month of such midnights writes ${(monthly / 1e6).toFixed(1)} million rows: ${alone} on Cloudflare, or nothing while they are among the ${included / 1e6} million that are included.`);

  const missed = nights.filter(({ open }) => open > 0).map(({ date, open }) => `${date}: ${open} shards have not closed`);
  if (missed.length > 0) {
    console.error(missed.join('\n'));
    process.exitCode = 1;
  }
}
