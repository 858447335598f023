// What goes into the golden states of tests/golden/state-N/, and what a server over one must answer.
//
//   node tests/http/harness/golden-state.mjs tests/golden/state-N
//
// writes the state of the present build. Those of earlier versions must be read for ever: they are not written again.

import { cpSync, mkdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { checkpoint } from './damage.mjs';
import { Model } from './model.mjs';
import { HASH_KEY, PRODUCT, Server } from './server.mjs';

export const NAMESPACES = ['default', 'späti'];
export const COUNTERS = JSON.stringify([{ pattern: '^Visit$', date_cohort: 'weekly', error_probability: 0.01 }]);
export const FLAG = { name: 'beta', boolean: true, rollout_start: '2026-01-01T00:00:00Z', rollout_end: '2026-02-01T00:00:00Z' };
export const ENV = { HASH_KEY, SHARDS: '2', COUNTERS, COMPACTION_DELAY_MS: '3600000' };

const BATCHES = 6;

/** A batch of every kind of event; the last ones are in the journal, the others in the snapshot. */
export const batch = (round) => NAMESPACES.flatMap((namespace) => Array.from({ length: 30 }, (_, i) => ({
  event_name: ['Visit', 'Cart', 'Purchase', `Page ${i % 3}`][i % 4],
  user_id: `${round}-${i >> 3}`,
  namespace,
  datetime: `2026-0${1 + (round % 5)}-1${i % 4}T12:00:00Z`,
  ...(i % 4 === 1 ? { value: i / 4 } : {}),
  ...(i % 4 === 2 ? { ensure_goal: true } : {}),
})));

/** The numbers of the state's events and of `more` batches after them. */
export function model(more = 0) {
  const expected = new Model({ isWeekly: (name) => name === 'Visit' });
  for (let round = 0; round < BATCHES + more; round += 1) expected.applyAll(batch(round));
  return expected;
}

/** The batch that comes after the state's. */
export const NEXT = BATCHES;

async function write(directory) {
  mkdirSync(directory, { recursive: true });
  const server = new Server(directory, { env: { ...ENV, JOURNAL_ROWS_MAX: '4' }, build: PRODUCT });
  await server.start();
  for (let round = 0; round < BATCHES; round += 1) await server.ingest(batch(round));
  (await server.post('/v0/featureSpecs', FLAG)).expect(204);
  await server.stop();
  checkpoint(directory);
}

/** Puts a golden state where a server may write to it. */
export const unpack = (name, directory) => cpSync(new URL(`../../golden/${name}/`, import.meta.url), directory, { recursive: true });

if (import.meta.url === pathToFileURL(process.argv[1]).href) await write(process.argv[2]);
