// Reads the SQLite files that workerd leaves behind, as somebody with the disk would: database and write-ahead log
// together. Formats: https://www.sqlite.org/fileformat2.html

import { existsSync, readFileSync } from 'node:fs';

import { filesUnder } from './files.mjs';

const DATABASE_HEADER_BYTES = 100;
const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const INTERIOR_TABLE = 5;
const LEAF_TABLE = 13;

/**
 * The tables of this name in all databases under a directory, as `{ path, rows }`; a row is `{ rowid, values }`, and
 * a column that is the row's id has the value null.
 */
export function tables(directory, name) {
  const found = [];
  for (const path of filesUnder(directory).filter((file) => file.endsWith('.sqlite'))) {
    const pages = new Pages(path);
    const schema = pages.count === 0 ? [] : pages.rows(1);
    const entry = schema.find(({ values: [type, table] }) => String(type) === 'table' && String(table) === name);
    if (entry) found.push({ path, rows: pages.rows(entry.values[3]) });
  }
  return found;
}

/** All pages of every database under a directory, free ones too, each as the log has it. */
export function images(directory) {
  return filesUnder(directory).filter((file) => file.endsWith('.sqlite')).map((path) => {
    const pages = new Pages(path);
    return Buffer.concat(Array.from({ length: pages.count }, (_, i) => pages.page(i + 1)));
  });
}

class Pages {
  #file;
  #log = new Map();

  constructor(path) {
    this.#file = readFileSync(path);
    this.bytes = 4_096;
    if (this.#file.length >= DATABASE_HEADER_BYTES) this.bytes = this.#file.readUInt16BE(16) % 65_535 || 65_536;
    this.count = Math.floor(this.#file.length / this.bytes);
    if (existsSync(`${path}-wal`)) this.#readLog(readFileSync(`${path}-wal`));
    this.usable = this.count === 0 ? 0 : this.bytes - this.page(1)[20];
  }

  /** Takes the frames up to the last commit; those of an earlier generation of the log have another salt. */
  #readLog(log) {
    if (log.length < LOG_HEADER_BYTES) return;
    this.bytes = log.readUInt32BE(8);
    const salt = log.subarray(16, 24);
    const step = FRAME_HEADER_BYTES + this.bytes;
    const pending = new Map();
    for (let at = LOG_HEADER_BYTES; at + step <= log.length; at += step) {
      if (!log.subarray(at + 8, at + 16).equals(salt)) break;
      pending.set(log.readUInt32BE(at), log.subarray(at + FRAME_HEADER_BYTES, at + step));
      const pagesAfterCommit = log.readUInt32BE(at + 4);
      if (pagesAfterCommit === 0) continue;
      for (const [number, page] of pending) this.#log.set(number, page);
      pending.clear();
      this.count = pagesAfterCommit;
    }
  }

  page(number) {
    return this.#log.get(number) ?? this.#file.subarray((number - 1) * this.bytes, number * this.bytes);
  }

  /** The rows of the table tree with this root, in the order of their ids. */
  rows(root) {
    const page = this.page(root);
    const header = root === 1 ? DATABASE_HEADER_BYTES : 0;
    const kind = page[header];
    if (kind !== INTERIOR_TABLE && kind !== LEAF_TABLE) throw new Error(`page ${root} is not of a table: ${kind}`);
    const cells = Array.from({ length: page.readUInt16BE(header + 3) }, (_, i) => (
      page.readUInt16BE(header + (kind === LEAF_TABLE ? 8 : 12) + 2 * i)));
    if (kind === LEAF_TABLE) return cells.map((at) => this.#row(page, at));
    return [...cells.map((at) => page.readUInt32BE(at)), page.readUInt32BE(header + 8)].flatMap((child) => this.rows(child));
  }

  #row(page, cell) {
    const [bytes, afterBytes] = varint(page, cell);
    const [rowid, start] = varint(page, afterBytes);
    return { rowid, values: record(this.#payload(page, start, bytes)) };
  }

  /** A payload, of which a large one continues in a chain of overflow pages. */
  #payload(page, start, bytes) {
    const localMax = this.usable - 35;
    if (bytes <= localMax) return page.subarray(start, start + bytes);
    const localMin = Math.floor(((this.usable - 12) * 32) / 255) - 23;
    const fitting = localMin + ((bytes - localMin) % (this.usable - 4));
    const local = fitting <= localMax ? fitting : localMin;
    const parts = [page.subarray(start, start + local)];
    let left = bytes - local;
    for (let next = page.readUInt32BE(start + local); next !== 0 && left > 0;) {
      const overflow = this.page(next);
      parts.push(overflow.subarray(4, 4 + Math.min(left, this.usable - 4)));
      left -= this.usable - 4;
      next = overflow.readUInt32BE(0);
    }
    return Buffer.concat(parts);
  }
}

/** The columns of a record: null, numbers, and the bytes of blobs and texts. */
function record(payload) {
  const [headerBytes, first] = varint(payload, 0);
  const values = [];
  let body = headerBytes;
  for (let at = first; at < headerBytes;) {
    const [type, next] = varint(payload, at);
    at = next;
    if (type >= 12) {
      const bytes = (type - 12) >> 1;
      values.push(payload.subarray(body, body + bytes));
      body += bytes;
    } else if (type === 0) {
      values.push(null);
    } else if (type === 8 || type === 9) {
      values.push(type - 8);
    } else if (type <= 6) {
      const bytes = [0, 1, 2, 3, 4, 6, 8][type];
      values.push(bytes === 8 ? Number(payload.readBigInt64BE(body)) : payload.readIntBE(body, bytes));
      body += bytes;
    } else {
      throw new Error(`no column here is of type ${type}`);
    }
  }
  return values;
}

/** A big-endian variable-length integer of up to 9 bytes, and where it ends. */
function varint(bytes, at) {
  let value = 0;
  for (let i = 0; i < 8; i += 1) {
    value = value * 128 + (bytes[at + i] & 0x7f);
    if (bytes[at + i] < 0x80) return [value, at + i + 1];
  }
  return [value * 256 + bytes[at + 8], at + 9];
}

/** The row of a shard's snapshot that begins with the set of users of an event (src/core/state/set_key.rs). */
export const setRow = (event) => (2 ** 38 + event * 2 ** 24) * 256;
