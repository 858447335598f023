// Reads events from a CSV file as a stream: memory does not grow with the file.

import { parse } from 'csv-parse';

import { TextFile } from './text.mjs';
import { toRfc3339 } from './times.mjs';

// A quote that is never closed would otherwise take in the rest of the file.
const RECORD_CHARS_MAX = 1 << 20;
const JSON_START = /^\ufeff?\s*(\{|\[\s*\{)/;
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
  #file;
  #columns;
  #options;

  /**
   * @param {string} path
   * @param {{user: string, event: string, value?: string, time?: string, namespace?: string}} columns names in the header
   * @param {{delimiter: string, encoding?: string, into?: string, goals: string[]}} options `into` is a namespace for all rows
   */
  constructor(path, columns, options) {
    this.#file = new TextFile(path, options.encoding);
    this.#columns = columns;
    this.#options = { ...options, goals: new Set(options.goals) };
  }

  /** Bytes read so far, of `size()`. */
  get bytesRead() { return this.#file.bytesRead; }

  size() { return this.#file.size(); }

  /** Reads it once, so that nothing of a file is loaded that is not text. */
  check(onChunk) { return this.#file.check(onChunk); }

  /**
   * All rows in their order.
   * @returns {AsyncGenerator<{line: number, event: object}>}
   * @throws {BadRow} after every row before it has been handed out
   */
  async *rows() {
    const records = [];
    let lastLine = 0;
    const parser = parse({
      bom: true,
      columns: (header) => {
        lastLine = 1;
        return this.#checkHeader(header);
      },
      delimiter: this.#options.delimiter,
      max_record_size: RECORD_CHARS_MAX,
      // Told of in `context.error`, so that the rows before it are not lost to the exception.
      relax_column_count: true,
      skip_empty_lines: true,
      // Taken here rather than from the stream, which would drop what it still holds when a later record is broken.
      on_record: (record, context) => {
        lastLine = context.lines;
        records.push({ record, line: context.lines, error: context.error });
        return null;
      },
    });
    // A broken record is thrown only after the rows before it, some of them of the same chunk.
    let broken = null;
    parser.on('error', (error) => { broken ??= error; });
    try {
      for await (const chunk of this.#file.utf8()) {
        if (lastLine === 0 && JSON_START.test(chunk.subarray(0, 100).toString())) throw new BadRow(1, 'this is JSON, and only CSV with a header line is read');
        await new Promise((done) => { parser.write(chunk, done); });
        yield* this.#events(records);
        if (broken) throw broken;
      }
      await new Promise((done) => { parser.end().once('error', done).once('end', done).resume(); });
      yield* this.#events(records);
      if (broken) throw broken;
      if (lastLine === 0) throw new BadRow(1, 'there is no header line');
    } catch (error) {
      // The parser's own line is where it gave up, which with an open quote is far below.
      throw error instanceof BadRow ? error : new BadRow(lastLine + 1, withoutLine(error));
    }
  }

  #checkHeader(header) {
    for (const [option, name] of Object.entries(this.#columns)) {
      if (name !== undefined && !header.includes(name)) {
        throw new BadRow(1, `there is no column "${name}" (there are: ${header.join(', ')}); name the right one with --${option}`);
      }
    }
    return header;
  }

  /** One by one, so that the rows before a bad one are handed out. */
  *#events(records) {
    for (const { record, line, error } of records.splice(0)) {
      if (error) throw new BadRow(line, withoutLine(error));
      yield { line, event: this.#toEvent(record, line) };
    }
  }

  #toEvent(record, line) {
    const cell = (option) => record[this.#columns[option]] || undefined;
    const required = (option) => {
      const text = cell(option);
      if (text === undefined) throw new BadRow(line, `column "${this.#columns[option]}" is empty`);
      return text;
    };
    const converted = (option, convert, kind) => {
      const text = cell(option);
      const result = text === undefined ? undefined : convert(text);
      if (result === null) throw new BadRow(line, `column "${this.#columns[option]}" holds no ${kind}: "${text}"`);
      return result;
    };

    const event_name = required('event');
    return {
      event_name,
      user_id: required('user'),
      namespace: this.#options.into ?? cell('namespace'),
      value: converted('value', toNumber, 'number'),
      datetime: converted('time', toRfc3339, 'time'),
      ensure_goal: this.#options.goals.has(event_name) || undefined,
    };
  }
}

function toNumber(text) {
  const number = NUMBER.test(text.trim()) ? Number(text) : NaN;
  return Number.isFinite(number) ? number : null;
}

function withoutLine({ message }) {
  return message.replace(/ (at|on) line \d+/, '');
}
