// Damage to what a stopped server has stored.

import { readFileSync, writeFileSync } from 'node:fs';

import { filesUnder } from './files.mjs';
import { tables } from './sqlite.mjs';

/** Flips one bit in the middle of the first snapshot row of one shard; answers how many shards have snapshots. */
export function flipSnapshotBit(directory) {
  const shards = tables(directory, 'snapshot').filter(({ rows }) => rows.length > 0);
  const bytes = shards[0].rows[0].values.find((value) => value instanceof Uint8Array);
  for (const path of filesUnder(directory)) {
    const content = readFileSync(path);
    const at = content.indexOf(bytes);
    if (at < 0) continue;
    content[at + Math.floor(bytes.length / 2)] ^= 1;
    writeFileSync(path, content);
  }
  return shards.length;
}
