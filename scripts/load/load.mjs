// Loads a CSV file of events into a running server. `make load FILE=events.csv ARGS="…"`; --help lists the options.

import { parseArgs } from 'node:util';

import { Client } from '../lib/client.mjs';
import { BadRow, EventFile } from './csv.mjs';
import { History } from './history.mjs';
import { Lanes } from './lanes.mjs';
import { startProgress } from '../lib/progress.mjs';
import { encodingOf } from './text.mjs';

const USAGE = `Usage: make load FILE=events.csv ARGS="OPTIONS"   (or: node scripts/load/load.mjs FILE OPTIONS)

The file has a header line and is UTF-8, or has a byte-order mark of UTF-16; gzip is recognised. Columns, by their names in the header:
  --user COLUMN        who did it                     (user_id)
  --event COLUMN       what was done                  (event)
  --value COLUMN       a number, summed once per user
  --time COLUMN        when; without an offset it is taken as UTC
  --namespace COLUMN   the namespace of each row

  --into NAMESPACE     one namespace for all rows
  --goal EVENT         makes this event a goal; may be given several times
  --encoding NAME      of another file: windows-1252 (Latin-1), utf-16le, shift_jis, …
  --delimiter CHAR     between the columns; \\t for a tab (,)
  --batch N            rows per request (1000)
  --concurrency N      requests at a time; one user's rows stay in order (1)
  --url URL            of the server, or variable URL (http://127.0.0.1:8787)
  --token TOKEN        or variable TOKEN

With --time, what goes into a namespace that has no events yet is loaded as history, by an admin token: day after day, in the order of
times, so that every day, week and month has its users. Loading is safe to repeat, in part or whole: only a user's first occurrence of an
event counts.`;

const OPTIONS = {
  user: { type: 'string', default: 'user_id' },
  event: { type: 'string', default: 'event' },
  value: { type: 'string' },
  time: { type: 'string' },
  namespace: { type: 'string' },
  into: { type: 'string' },
  goal: { type: 'string', multiple: true, default: [] },
  encoding: { type: 'string' },
  delimiter: { type: 'string', default: ',' },
  batch: { type: 'string', default: '1000' },
  concurrency: { type: 'string', default: '1' },
  url: { type: 'string', default: process.env.URL || 'http://127.0.0.1:8787' },
  token: { type: 'string', default: process.env.TOKEN ?? '' },
  help: { type: 'boolean', default: false },
};
const BATCH_MAX = 10_000;
const CONCURRENCY_MAX = 64;

try {
  const { path, options } = parseCommandLine();
  if (options.help) console.log(USAGE);
  else await load(path, options);
} catch (error) {
  console.error(`make load: ${error.message}`);
  process.exit(1);
}

function parseCommandLine() {
  const { values: options, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (options.help) return { options };
  if (positionals.length !== 1) throw new Error('name one file: make load FILE=events.csv (ARGS=--help lists the options)');
  if (options.into !== undefined && options.namespace !== undefined) throw new Error('--into and --namespace exclude each other');
  if (!URL.canParse(options.url)) throw new Error(`--url: not a URL: "${options.url}"`);
  return {
    path: positionals[0],
    options: {
      ...options,
      encoding: options.encoding === undefined ? undefined : encodingOf(options.encoding),
      delimiter: options.delimiter.replace('\\t', '\t'),
      batch: wholeNumber('batch', options.batch, BATCH_MAX),
      concurrency: wholeNumber('concurrency', options.concurrency, CONCURRENCY_MAX),
    },
  };
}

function wholeNumber(name, text, max) {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > max) throw new Error(`--${name}: must be a whole number from 1 to ${max}, got "${text}"`);
  return number;
}

async function load(path, { user, event, value, time, namespace, into, goal: goals, encoding, delimiter, batch, concurrency, url, token }) {
  const file = new EventFile(path, { user, event, value, time, namespace }, { encoding, delimiter, into, goals });
  await check(path, file);
  const client = new Client(url, token);
  const lanes = new Lanes(client, { batchEvents: batch, concurrency });
  const bar = startProgress('Loading {bar} {percentage}% | {rows} rows | {duration_formatted}', await file.size(), { rows: 0 });
  const started = performance.now();

  let stop = null;
  const history = time === undefined ? null : await History.open();
  const replay = new Set();
  try {
    if (!history) {
      await send(file, lanes, bar);
    } else {
      await collect(path, file, history, bar);
      await sendHistory(file, history, lanes, bar, client, replay);
    }
  } catch (error) {
    if (!(error instanceof BadRow)) throw error;
    stop = error;
  } finally {
    bar.stop();
    await history?.close();
  }
  // What stopped half-way goes on where it is loaded again.
  if (!stop) for (const name of replay) await client.endReplay(name);

  const seconds = (performance.now() - started) / 1000;
  console.log(`${lanes.rows} rows in ${lanes.batches} batches, ${client.retries} retries, `
    + `${seconds.toFixed(1)} s, ${Math.round(lanes.rows / seconds)} rows/s.`);
  if (lanes.firstRefused) {
    const { line, code, what } = lanes.firstRefused;
    console.error(`The server refused ${lanes.refused} rows one by one, the first in line ${line}: ${what} (${code}).`);
    process.exitCode = 1;
  }
  if (history?.firstAhead) {
    const { line, day } = history.firstAhead;
    console.error(`${history.ahead} rows are of days to come, the first in line ${line} (${day}): they count in no day, week or month.`);
  }
  if (stop) {
    const loaded = history ? 'What was before it in time is loaded' : 'Everything before this line is loaded';
    throw new Error(`${path}, line ${stop.line}: ${stop.message}. `
      + `${loaded}; mend it and load the file again, which counts nothing twice.${stillReplaying(replay)}`);
  }
}

function stillReplaying(replay) {
  if (replay.size === 0) return '';
  return ` Until then ${[...replay].join(', ')} stays on its replay clock; POST /v0/namespaces with "clock": "live" ends it.`;
}

/** Reads all of the file before anything of it is sent: where it is not text, nothing is loaded. */
async function check(path, file) {
  const bar = startProgress('Checking {bar} {percentage}% | {duration_formatted}', await file.size());
  try {
    await file.check(() => bar.update(file.bytesRead));
  } catch (error) {
    throw error.syscall === undefined ? new Error(`${path}, ${error.message}. Nothing was loaded.`) : error;
  } finally {
    bar.stop();
  }
}

/** Reads all rows before any of them is sent: what comes in the order of times cannot be mended behind it. */
async function collect(path, file, history, bar) {
  try {
    for await (const row of file.rows()) {
      await history.add(row);
      bar.update(file.bytesRead / 2, { rows: 0 });
    }
  } catch (error) {
    throw error instanceof BadRow ? new Error(`${path}, line ${error.line}: ${error.message}. Nothing was loaded.`) : error;
  }
}

/** Day after day, each sent whole before the next begins; `replay` gets the namespaces that are on a replay clock for it. */
async function sendHistory(file, history, lanes, bar, client, replay) {
  for (const name of history.namespaces) if (await client.beginReplay(name)) replay.add(name);
  for await (const rows of history.days()) {
    for (const row of rows) await lanes.add(row);
    await lanes.flush();
    bar.update(file.bytesRead / 2, { rows: lanes.rows });
  }
  bar.update(file.bytesRead, { rows: lanes.rows });
}

async function send(file, lanes, bar) {
  try {
    for await (const row of file.rows()) {
      await lanes.add(row);
      bar.update(file.bytesRead, { rows: lanes.rows });
    }
  } catch (error) {
    if (error instanceof BadRow) await lanes.flush();
    throw error;
  }
  await lanes.flush();
  bar.update(file.bytesRead, { rows: lanes.rows });
}
