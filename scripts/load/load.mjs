// Loads a CSV file of events into a running server: what `kimball-edge load` does.

import { Client } from '../lib/client.mjs';
import { BadRow, EventFile } from './csv.mjs';
import { History } from './history.mjs';
import { Lanes } from './lanes.mjs';
import { startProgress } from '../lib/progress.mjs';

/**
 * Loads a file; what `scripts/commands/load.mjs` documents as options is what this takes.
 * @throws {Error} of one line, that names the line of the file where one is to blame
 */
export async function load(path, { user, event, value, time, namespace, into, goal: goals, encoding, delimiter, batch, concurrency, url, token }) {
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
