// Damage to what a stopped server has stored.

import { execFileSync } from 'node:child_process';
import { crc32 } from 'node:zlib';

import { filesUnder } from './files.mjs';

/** Moves what is in the write-ahead logs into the databases, as SQLite does by itself once a log is long. */
export function checkpoint(directory) {
  for (const path of databases(directory)) {
    execFileSync('python3', ['-c', 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")', path]);
  }
}

// Through SQLite itself, because the row may be in the database or in its log.
const SQL = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
for row in database.execute(sys.argv[2], [bytes.fromhex(text) for text in sys.argv[3:]]):
    print(*[value.hex() if isinstance(value, bytes) else value for value in row])
database.commit()
`;

/** Runs a statement on a database; `blobs` are its parameters. The rows, their columns as texts, bytes as hexadecimal. */
export function sql(path, statement, ...blobs) {
  const args = ['-c', SQL, path, statement, ...blobs.map((blob) => Buffer.from(blob).toString('hex'))];
  const lines = execFileSync('python3', args, { encoding: 'utf8' }).split('\n').slice(0, -1);
  return lines.map((line) => line.split(' '));
}

/** Puts what `edit` makes of a row of a table, its bytes, in its place. */
export function editRow(path, table, id, edit) {
  const key = table === 'journal' ? 'seq' : 'id';
  const [[hex]] = sql(path, `SELECT row FROM ${table} WHERE ${key} = ${id}`);
  sql(path, `UPDATE ${table} SET row = ? WHERE ${key} = ${id}`, edit(Buffer.from(hex, 'hex')));
}

/** A stored frame with what `edit` makes of its payload, the checksum being right. */
export function reframed(frame, edit) {
  const payload = edit(Buffer.from(frame.subarray(8)));
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(payload));
  return Buffer.concat([frame.subarray(0, 4), checksum, payload]);
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
