// Damage to what a stopped server has stored.

import { execFileSync } from 'node:child_process';

import { filesUnder } from './files.mjs';

/** Moves what is in the write-ahead logs into the databases, as SQLite does by itself once a log is long. */
export function checkpoint(directory) {
  for (const path of databases(directory)) {
    execFileSync('python3', ['-c', 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")', path]);
  }
}

/** The databases under a directory. */
export const databases = (directory) => filesUnder(directory).filter((path) => path.endsWith('.sqlite'));

// Through SQLite itself, because the row may be in the database or in its log.
const FLIP = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
has_table = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'snapshot'").fetchone()[0]
row = database.execute("SELECT id, row FROM snapshot LIMIT 1").fetchone() if has_table else None
if row:
    content = bytearray(row[1])
    content[len(content) // 2] ^= 1
    database.execute("UPDATE snapshot SET row = ? WHERE id = ?", (bytes(content), row[0]))
    database.commit()
    print("flipped")
`;

/** Flips one bit in the middle of a snapshot row of one shard under a directory. */
export function flipSnapshotBit(directory) {
  const isFlipped = databases(directory).some((path) => execFileSync('python3', ['-c', FLIP, path], { encoding: 'utf8' }) !== '');
  if (!isFlipped) throw new Error(`no shard under ${directory} has a snapshot`);
}
