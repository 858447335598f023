// What pre-aggregation saves: bytes and events that leave, raw and pre-aggregated, as JSON bodies. `make bench` does this.
//
//   bench-page.mjs [FILE]   a CSV file with user_id, event and timestamp; the online store of `make demo` where there is none

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import Table from 'cli-table3';
import { parse } from 'csv-parse/sync';

import { Aggregator } from '../../pkg/dist/aggregator.node.js';
import { ROOT } from '../serve/server.mjs';
import { storeEvents } from '../../demo/store.mjs';

const BATCH_EVENTS = 100;
const LEVELS = ['week', 'day', 'order'];
const bounds = { memoryBytesMax: 64 << 20, pendingBytesMax: 64 << 20 };

const file = process.argv[2] ?? join(ROOT, '../shared/data/ecom.csv.gz');
const stream = existsSync(file) ? clickstream(file) : [...storeEvents('demo')];
console.log(existsSync(file) ? file : 'The online store of `make demo`');
console.log(`${stream.length} events of ${new Set(stream.map(({ user_id: user }) => user)).size} users, in batches of ${BATCH_EVENTS}`);

const table = new Table({ head: ['', 'raw events', 'sent', 'raw bytes', 'sent', 'raw / sent'], colAligns: ['left', ...Array(5).fill('right')] });
const byUser = Object.values(grouped(stream));
for (const level of LEVELS) row(`every user in a page of their own: ${level}`, byUser, level);
row('one relay that serves all users: week', [stream], 'week');
for (const level of LEVELS) row(`12 events, 10,000 times, one user: ${level}`, [Array.from({ length: 120_000 }, (_, nth) => ({
  event_name: `event ${nth % 12}`, user_id: 'user_0001', datetime: '2026-11-24T10:20:30Z',
}))], level);
console.log(table.toString());

function clickstream(path) {
  const bytes = readFileSync(path);
  const text = path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
  return parse(text, { columns: true }).map(({ user_id, event, timestamp }) => (
    { event_name: event, user_id, datetime: `${timestamp.replace(' ', 'T')}Z` }));
}

function grouped(events) {
  const groups = {};
  for (const event of events) (groups[event.user_id] ??= []).push(event);
  return groups;
}

/** Bytes of the bodies that a client would post. */
function bytes(events) {
  let sum = 0;
  for (let at = 0; at < events.length; at += BATCH_EVENTS) {
    sum += Buffer.byteLength(JSON.stringify({ events: events.slice(at, at + BATCH_EVENTS) }));
  }
  return sum;
}

function row(name, clients, preAggregate) {
  const sum = { raw: 0, sent: 0, rawBytes: 0, sentBytes: 0 };
  for (const events of clients) {
    const aggregator = new Aggregator({ ...bounds, preAggregate });
    for (const event of events) {
      aggregator.record({ event: event.event_name, user: event.user_id, at: event.datetime, value: event.value, ensureGoal: event.ensure_goal });
    }
    const sent = [];
    while (aggregator.pendingEvents) sent.push(...aggregator.drain().events);
    aggregator.free();
    sum.raw += events.length;
    sum.sent += sent.length;
    sum.rawBytes += bytes(events);
    sum.sentBytes += bytes(sent);
  }
  const figures = [sum.raw, sum.sent, sum.rawBytes, sum.sentBytes].map((figure) => figure.toLocaleString('en'));
  table.push([name, ...figures, (sum.rawBytes / sum.sentBytes).toFixed(1)]);
}
