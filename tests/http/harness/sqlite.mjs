// Reads the SQLite files that workerd leaves behind, as an attacker with the disk would: the database and its
// write-ahead log together, with sql.js.

import { existsSync, readFileSync } from 'node:fs';
import initSqlJs from 'sql.js';

import { filesUnder } from './files.mjs';

const FRAME_HEADER_BYTES = 24;
const LOG_HEADER_BYTES = 32;

const SQL = await initSqlJs();

/** All SQLite databases under a directory that have this table, as `{ path, rows }`; `rows` of `[rowid…, blob…]`. */
export function tables(directory, table, columns) {
  const found = [];
  for (const path of filesUnder(directory)) {
    if (!path.endsWith('.sqlite')) continue;
    const database = new SQL.Database(withLog(path));
    const [known] = database.exec('SELECT name FROM sqlite_master WHERE type = \'table\' AND name = ?', [table]);
    if (known) {
      const [result] = database.exec(`SELECT ${columns} FROM ${table} ORDER BY 1`);
      found.push({ path, rows: result?.values ?? [] });
    }
    database.close();
  }
  return found;
}

/**
 * The pages of a database with the committed frames of its log laid over them (https://www.sqlite.org/walformat.html),
 * marked as a database without a log.
 */
function withLog(path) {
  let database = readFileSync(path);
  const log = existsSync(`${path}-wal`) ? readFileSync(`${path}-wal`) : Buffer.alloc(0);
  if (log.length > LOG_HEADER_BYTES) {
    const pageBytes = log.readUInt32BE(8);
    const salt = log.subarray(16, 24);
    let pending = new Map();
    const pages = new Map();
    let count = 0;
    for (let at = LOG_HEADER_BYTES; at + FRAME_HEADER_BYTES + pageBytes <= log.length; at += FRAME_HEADER_BYTES + pageBytes) {
      // Frames of an earlier generation of the log have another salt.
      if (!log.subarray(at + 8, at + 16).equals(salt)) break;
      pending.set(log.readUInt32BE(at), log.subarray(at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + pageBytes));
      const pagesAfterCommit = log.readUInt32BE(at + 4);
      if (pagesAfterCommit > 0) {
        for (const [number, page] of pending) pages.set(number, page);
        pending = new Map();
        count = pagesAfterCommit;
      }
    }
    if (count > 0) {
      const whole = Buffer.alloc(count * pageBytes);
      database.copy(whole, 0, 0, Math.min(database.length, whole.length));
      for (const [number, page] of pages) if (number <= count) page.copy(whole, (number - 1) * pageBytes);
      database = whole;
    }
  }
  database = Buffer.from(database);
  if (database.length >= 100) database.fill(1, 18, 20);
  return database;
}
