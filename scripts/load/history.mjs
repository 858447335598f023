// The rows of a file by the day of their time, in temporary files: so that days can be loaded one after the other, whatever the
// order of the file and however long it is.

import { createReadStream } from 'node:fs';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Rows that wait in memory for their files, all days together. */
const ROWS_MAX = 20_000;
const DAY_MS = 86_400_000;
/** Rows without a time come last: they count on the last day. */
const NO_TIME = '9999-99-99';

export class History {
  /** The namespaces that occur. */
  namespaces = new Set();
  /** Rows of days later than tomorrow, which have no place in series, and the first of them: { line, day }. */
  ahead = 0;
  firstAhead = null;
  #tomorrow = new Date(Date.now() + DAY_MS).toISOString().slice(0, 10);
  #directory;
  #waiting = new Map();
  #rows = 0;
  #days = new Set();

  static async open() {
    const history = new History();
    history.#directory = await mkdtemp(join(tmpdir(), 'kimball-edge-load-'));
    return history;
  }

  /** @param {{line: number, event: object}} row as a file hands it out */
  async add(row) {
    const day = row.event.datetime === undefined ? NO_TIME : new Date(row.event.datetime).toISOString().slice(0, 10);
    if (day > this.#tomorrow && day !== NO_TIME) {
      this.ahead += 1;
      this.firstAhead ??= { line: row.line, day };
    }
    this.namespaces.add(row.event.namespace ?? 'default');
    const rows = this.#waiting.get(day) ?? [];
    rows.push(JSON.stringify(row));
    this.#waiting.set(day, rows);
    this.#rows += 1;
    if (this.#rows >= ROWS_MAX) await this.#store();
  }

  async #store() {
    for (const [day, rows] of this.#waiting) {
      this.#days.add(day);
      await appendFile(this.#path(day), `${rows.join('\n')}\n`);
    }
    this.#waiting.clear();
    this.#rows = 0;
  }

  #path(day) { return join(this.#directory, day); }

  /**
   * The days in their order, each with its rows by their times, and by the file where these are the same.
   * @returns {AsyncGenerator<{line: number, event: object}[]>}
   */
  async *days() {
    await this.#store();
    for (const day of [...this.#days].sort()) {
      const rows = [];
      for await (const line of createInterface({ input: createReadStream(this.#path(day)), crlfDelay: Infinity })) rows.push(JSON.parse(line));
      const times = new Map(rows.map((row) => [row, Date.parse(row.event.datetime)]));
      yield rows.sort((a, b) => times.get(a) - times.get(b) || a.line - b.line);
    }
  }

  async close() { await rm(this.#directory, { recursive: true, force: true }); }
}
