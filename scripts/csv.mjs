// Reads events from a CSV file, gzip or not, as a stream: memory does not grow with the file.

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

import { parse } from 'csv-parse';

import { toRfc3339 } from './times.mjs';

// A quote that is never closed would otherwise take in the rest of the file.
const RECORD_CHARS_MAX = 1 << 20;
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Something in the file, or about one line of it, that cannot be loaded. */
export class BadRow extends Error {
  constructor(line, message) {
    super(message);
    this.line = line;
  }
}

/** A CSV file and the meaning of its columns. */
export class EventFile {
  #path;
  #columns;
  #options;
  #stream;

  /**
   * @param {string} path
   * @param {{user: string, event: string, value?: string, time?: string, namespace?: string}} columns names in the header
   * @param {{delimiter: string, into?: string, goals: string[]}} options `into` is a namespace for all rows
   */
  constructor(path, columns, options) {
    this.#path = path;
    this.#columns = columns;
    this.#options = { ...options, goals: new Set(options.goals) };
  }

  /** Bytes read so far, of `size()`. */
  get bytesRead() { return this.#stream?.bytesRead ?? 0; }

  async size() {
    const file = await open(this.#path);
    try {
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  }

  /**
   * All rows in their order.
   * @returns {AsyncGenerator<{line: number, event: object}>}
   * @throws {BadRow} after every row before it has been handed out
   */
  async *rows() {
    const records = [];
    const parser = parse({
      bom: true,
      columns: (header) => this.#checkHeader(header),
      delimiter: this.#options.delimiter,
      max_record_size: RECORD_CHARS_MAX,
      // Told of in `context.error`, so that the rows before it are not lost to the exception.
      relax_column_count: true,
      skip_empty_lines: true,
      // Taken here rather than from the stream, which would drop what it still holds when a later record is broken.
      on_record: (record, context) => {
        records.push({ record, line: context.lines, error: context.error });
        return null;
      },
    });
    parser.on('error', () => {}); // Reported by the call that caused it.

    let broken = null;
    for await (const chunk of await this.#open()) {
      broken = await settled((done) => parser.write(chunk, done));
      yield* records.splice(0).map((row) => this.#toRow(row));
      if (broken) break;
    }
    broken ??= await settled((done) => { parser.on('error', done); parser.end(done); });
    yield* records.splice(0).map((row) => this.#toRow(row));
    if (broken) throw broken instanceof BadRow ? broken : new BadRow(broken.lines ?? parser.info.lines, broken.message);
  }

  async #open() {
    const file = await open(this.#path);
    const { buffer } = await file.read(Buffer.alloc(GZIP_MAGIC.length), 0, GZIP_MAGIC.length, 0);
    await file.close();
    this.#stream = createReadStream(this.#path);
    if (!buffer.equals(GZIP_MAGIC)) return this.#stream;
    return pipeline(this.#stream, createGunzip(), () => {}); // An error reaches whoever reads the result.
  }

  #checkHeader(header) {
    for (const [option, name] of Object.entries(this.#columns)) {
      if (name !== undefined && !header.includes(name)) {
        throw new BadRow(1, `there is no column "${name}" (there are: ${header.join(', ')}); name the right one with --${option}`);
      }
    }
    return header;
  }
}
