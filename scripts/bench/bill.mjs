// What a month on Cloudflare costs: prices from prices.json, requests and rows from runs against a server of its own. `make bill`.
//
// The stream: every user comes back over four weeks and does 50 things, of 12 kinds that are ever rarer (Zipf). Raw, all of it is
// sent; pre-aggregated, what the page's own aggregator passes on to a server that counts days. It is sent into a namespace on a
// replay clock, so that events are counted in their days and days close as they would over the month. Events arrive evenly over the
// month, so that a shard's rows and alarms follow from the time between them: an alarm comes COMPACTION_DELAY_MS after the first row
// behind the last one, and compacts or marks. Reads, storage (some bytes a user and event) and refused requests are not in it.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import Table from 'cli-table3';

import { Aggregator } from '../../pkg/dist/aggregator.node.js';
import { Client } from '../lib/client.mjs';
import { ROOT, startServer } from '../serve/server.mjs';

const USERS = 400;
const EVENTS_PER_USER = 50;
const KINDS = 12;
const SHARDS = 4;
// The alarm, the first generation and its mark.
const ROWS_OF_A_NEW_SHARD = 3;
const BATCHES = [1, 10, 100, 1_000];
const MONTHLY = [1e6, 10e6, 100e6];
const IDLE_S = 10;
const MONTH_DAYS = 30;
const MONTH_S = MONTH_DAYS * 86_400;
// An alarm is set, the registry hears of the generation, and the alarm for later is set. One that only marks writes three settings.
const ROWS_OF_AN_ALARM = 3;
const ROWS_OF_A_MARK = 3;
// As src/core/settings/limits.rs has it.
const COMPACTION_ROWS = 4;
const PACED_BATCHES = 2_000;
const JOURNAL_ROWS = 100;
// As long as no day closes: what closings write is counted apart.
const PACED_DAYS = 7;
const STREAM_DAYS = 28;
const prices = JSON.parse(readFileSync(join(ROOT, 'scripts/bench/prices.json'), 'utf8'));

const raw = stream();
const streams = { raw, 'pre-aggregated': preAggregated(raw) };
console.log(`${raw.length} raw events of ${USERS} users; ${streams['pre-aggregated'].length} of them leave a page that pre-aggregates.`);
console.log(`Prices of ${prices.read}, in ${prices.currency}; ${SHARDS} shards.\n`);

const counted = new Table({ head: ['per 1,000 raw events', 'batch', 'worker requests', 'object requests', 'journal rows', 'rows a compaction', 'CPU ms'], colAligns: ['left', ...Array(6).fill('right')] });
const bills = new Table({ head: ['a month', 'batch', ...MONTHLY.map((events) => `${events / 1e6} million raw events`)], colAligns: ['left', ...Array(4).fill('right')] });
const free = new Table({ head: ['a day of the free plan', 'batch', 'raw events', 'what ends first'], colAligns: ['left', 'right', 'right', 'left'] });
for (const [name, events] of Object.entries(streams)) {
  for (const size of BATCHES) {
    const run = await measure(events, size);
    const per = (value) => ((1_000 * value) / raw.length).toFixed(1);
    counted.push([name, size, per(run.requests), per(run.objectRequests), per(run.journalRows), run.rowsPerCompaction.toFixed(1), per(run.cpuMs)]);
    const { events: perDay, meter } = carried(run);
    free.push([name, size, perDay.toLocaleString('en-US'), meter]);
    bills.push([name, size, ...MONTHLY.map((total) => `$${bill(run, total / raw.length).toFixed(2)}`)]);
  }
}
console.log(`${counted}\n\n${bills}\n\n${free}`);

/** The whole month in order; a generator of fixed seed, so that every run has the same events. */
function stream() {
  let seed = 42;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  const weights = Array.from({ length: KINDS }, (_, kind) => 1 / (kind + 1));
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const kind = () => {
    let left = random() * whole;
    return Math.min(KINDS - 1, weights.findIndex((weight) => (left -= weight) < 0));
  };
  const first = Date.parse('2026-11-02T00:00:00Z');
  return Array.from({ length: USERS * EVENTS_PER_USER }, (_, nth) => ({
    event_name: `Event ${Math.max(0, kind())}`,
    user_id: `user ${Math.floor(random() * USERS)}`,
    datetime: new Date(first + (nth / (USERS * EVENTS_PER_USER)) * STREAM_DAYS * 86_400_000).toISOString(),
  }));
}

/** What leaves the pages: of every user what is news, the first of each day included. */
function preAggregated(events) {
  const aggregator = new Aggregator({ memoryBytesMax: 64 << 20, pendingBytesMax: 64 << 20, preAggregate: 'day' });
  for (const { event_name: event, user_id: user, datetime: at } of events) aggregator.record({ event, user, at });
  const sent = [];
  while (aggregator.pendingEvents) sent.push(...aggregator.drain().events);
  aggregator.free();
  return sent;
}

async function withServer(env, work) {
  const stateDir = mkdtempSync(join(tmpdir(), 'kimball-edge-bill-'));
  const server = await startServer({ stateDir, env: { API_AUTH: 'disable', SHARDS: String(SHARDS), ...env } });
  try {
    return await work(server);
  } finally {
    await server.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function metric(server, name) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.split(' ')[1]);
}

/** User and system time of the server so far, in milliseconds. */
function cpuMs({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function batches(events, size) {
  return Array.from({ length: Math.ceil(events.length / size) }, (_, nth) => events.slice(nth * size, (nth + 1) * size));
}

/** Requests and rows of a stream without alarms, and the rows of a compaction. */
async function measure(events, size) {
  const all = batches(events, size);
  const paced = Math.min(PACED_BATCHES, Math.ceil((all.length * PACED_DAYS) / STREAM_DAYS));
  const dense = await withServer({ COMPACTION_DELAY_MS: '3600000', JOURNAL_ROWS_MAX: '65536', JOURNAL_BYTES_MAX: String(8 << 20) }, async (server) => {
    const client = new Client(server.url);
    await client.beginReplay('default');
    const before = cpuMs(server);
    const journalRows = async () => (await metric(server, 'kimball_rows_written_total')) - ROWS_OF_A_NEW_SHARD * SHARDS;
    let pacedRows = 0;
    // One after the other: batches that come at the same time would share rows, and over a month they do not.
    for (const [nth, batch] of all.entries()) {
      await client.postEvents(batch);
      if (nth + 1 === paced) pacedRows = await journalRows();
    }
    return { requests: all.length, objectRequests: await metric(server, 'kimball_shard_batches_total'), journalRows: await journalRows(), pacedRows, cpuMs: cpuMs(server) - before };
  });
  // Compacted by the number of its rows, of which an alarm would wait for more.
  const journalRowsMax = Math.max(1, Math.min(JOURNAL_ROWS, Math.floor(dense.pacedRows / SHARDS / 4)));
  const rowsPerCompaction = await withServer({ COMPACTION_DELAY_MS: '3600000', JOURNAL_ROWS_MAX: String(journalRowsMax), LATENESS_DAYS: String(PACED_DAYS) }, async (server) => {
    const client = new Client(server.url);
    await client.beginReplay('default');
    for (const batch of all.slice(0, paced)) await client.postEvents(batch);
    const written = (await metric(server, 'kimball_rows_written_total')) - ROWS_OF_A_NEW_SHARD * SHARDS - dense.pacedRows;
    return written / (await metric(server, 'kimball_shard_compaction_duration_seconds_count'));
  });
  return { ...dense, rowsPerCompaction };
}

/** What a month takes in which all of this happens so many times, by meter. */
function used({ requests, objectRequests, journalRows, rowsPerCompaction, cpuMs: cpu }, times) {
  const perShard = (journalRows * times) / SHARDS;
  const perSecond = perShard / MONTH_S;
  // A cycle is its first row, those of the IDLE_S after it, and the wait for the next.
  const cycles = (SHARDS * perShard) / (1 + perSecond * IDLE_S);
  // An alarm compacts once the journal has so many rows for each that this writes.
  const compacts = Math.min(1, (journalRows * times) / cycles / rowsPerCompaction / COMPACTION_ROWS);
  const rowsPerAlarm = ROWS_OF_AN_ALARM + compacts * rowsPerCompaction + (1 - compacts) * ROWS_OF_A_MARK;
  // Every day an alarm of each shard closes what is over, compacts, and is set again.
  const closings = SHARDS * MONTH_DAYS;
  return {
    'worker requests': requests * times,
    'CPU milliseconds': cpu * times,
    'object requests': objectRequests * times + cycles + closings,
    // An object that is idle and may hibernate is not billed: it is active for about the time that it computes.
    'object GB-seconds': ((cpu * times) / 1_000) * prices.objectGb,
    'rows written': journalRows * times + cycles * rowsPerAlarm + closings * (ROWS_OF_AN_ALARM + rowsPerCompaction),
  };
}

/** What that month costs. */
function bill(run, times) {
  const taken = used(run, times);
  return Object.entries(prices.meters).reduce((sum, [name, { included, perMillion }]) => sum + (Math.max(0, taken[name] - included) / 1e6) * perMillion, prices.base);
}

/** The raw events that a day of the free plan carries, and what ends first. */
function carried(run) {
  const shares = (times) => Object.entries(prices.freeDay).map(([name, max]) => [used(run, times)[name] / MONTH_DAYS / max, name]);
  const worst = (times) => shares(times).reduce((most, each) => (each[0] > most[0] ? each : most));
  let [least, most] = [0, 1e6];
  while (most - least > 1e-6 * most) {
    const times = (least + most) / 2;
    if (worst(times)[0] > 1) most = times;
    else least = times;
  }
  return { events: Math.floor((least * raw.length) / MONTH_DAYS), meter: worst(least)[1] };
}
