// The text of a file: which encoding it is in, whether all of it is, and its characters as UTF-8. gzip is recognised. Everything is a
// stream: memory does not grow with the file.

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
/** Byte-order marks, longer ones first; TextDecoder does not know UTF-32. */
const MARKS = [
  [[0xff, 0xfe, 0, 0], 'utf-32le'], [[0, 0, 0xfe, 0xff], 'utf-32be'], [[0xef, 0xbb, 0xbf], 'utf-8'],
  [[0xff, 0xfe], 'utf-16le'], [[0xfe, 0xff], 'utf-16be'],
];
const EXAMPLES = 'utf-8, utf-16le, utf-16be, windows-1252 (latin1), iso-8859-2, windows-1251, shift_jis, euc-kr, big5, gb18030';
const SAMPLE_BYTES = 4_096;

/** A place in a file that is not text of its encoding. Lines and bytes count from 1. */
export class NotText extends Error {
  constructor({ line, lineByte, byte }, message) {
    super(`line ${line}, byte ${lineByte} (byte ${byte} of the text): ${message}`);
  }
}

/** The name under which TextDecoder knows an encoding. */
export function encodingOf(label) {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    throw new Error(`--encoding: no encoding is known as "${label}"; there are ${EXAMPLES}, and the others of https://encoding.spec.whatwg.org`);
  }
}

/** A file as text. */
export class TextFile {
  #path;
  #given;
  #encoding;
  #stream;
  /** Bytes of the file that were checked: what is written to it later is not read. */
  #bytes = Infinity;

  /** Without an `encoding`, that of its byte-order mark, else UTF-8. */
  constructor(path, encoding) {
    this.#path = path;
    this.#given = encoding;
  }

  /** Bytes of the file that were read, of `size()`; of a compressed file, compressed ones. */
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
   * Reads all of it once. `onChunk` is called after every piece.
   * @throws {NotText} for the first place that is not text of its encoding
   */
  async check(onChunk = () => {}) {
    const head = await this.#head();
    const mark = MARKS.find(([bytes]) => head.subarray(0, bytes.length).equals(Buffer.from(bytes)))?.[1];
    this.#encoding = mark ?? this.#given ?? 'utf-8';
    if (mark?.startsWith('utf-32')) throw new NotText(START, `this is ${mark.toUpperCase()}, which cannot be read; convert it to UTF-8`);
    const isMarked = mark !== undefined;
    const decoder = new TextDecoder(this.#encoding, { fatal: true });
    const decode = (...args) => {
      try {
        return decoder.decode(...args);
      } catch {
        return null;
      }
    };
    try {
      for await (const chunk of this.#chunks()) {
        const text = decode(chunk, { stream: true });
        if (text === null || text.includes('\0')) throw await this.#locate(isMarked);
        onChunk();
      }
    } catch (error) {
      if (!error.code?.startsWith('Z_')) throw error;
      throw new Error(`line ${await this.#lastLine()}: ${error.message}; is the file cut off, or damaged?`);
    }
    if (decode() === null) throw await this.#locate(isMarked);
    this.#bytes = this.bytesRead;
  }

  /** The characters, as UTF-8. */
  async *utf8() {
    if (this.#encoding === undefined) await this.check();
    if (this.#encoding === 'utf-8') return yield* this.#chunks();
    const decoder = new TextDecoder(this.#encoding);
    for await (const chunk of this.#chunks()) yield Buffer.from(decoder.decode(chunk, { stream: true }));
    yield Buffer.from(decoder.decode());
  }

  /** Its bytes, inflated. */
  async *#chunks() {
    if (this.#bytes === 0) return;
    const file = await open(this.#path);
    const { buffer } = await file.read(Buffer.alloc(GZIP_MAGIC.length), 0, GZIP_MAGIC.length, 0);
    await file.close();
    this.#stream = createReadStream(this.#path, { end: this.#bytes - 1 });
    if (!buffer.equals(GZIP_MAGIC)) return yield* this.#stream;
    yield* pipeline(this.#stream, createGunzip(), () => {}); // An error reaches whoever reads the result.
  }

  /** The first bytes, inflated; what is wrong further on is found by reading all. */
  async #head() {
    const chunks = [];
    let bytes = 0;
    try {
      for await (const chunk of this.#chunks()) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (bytes >= SAMPLE_BYTES) break;
      }
    } catch (error) {
      if (!error.code?.startsWith('Z_')) throw error;
    }
    return Buffer.concat(chunks);
  }

  /** The line in which a compressed file can be read no further. */
  async #lastLine() {
    const lines = new Lines();
    const decoder = new TextDecoder(this.#encoding);
    try {
      for await (const chunk of this.#chunks()) lines.add(decoder.decode(chunk, { stream: true }), chunk.length);
    } catch {
      // That is where it ends.
    }
    return lines.place().line;
  }

  /** The first place that is wrong, by reading again what was found to be: byte by byte, until the decoder refuses one. */
  async #locate(isMarked) {
    const decoder = new TextDecoder(this.#encoding, { fatal: true, ignoreBOM: true });
    const lines = new Lines();
    const name = this.#encoding.toUpperCase();
    /** Bytes that are not a whole character yet. */
    let pending = [];
    let window = Buffer.alloc(0);
    for await (const chunk of this.#chunks()) {
      window = Buffer.concat([window.subarray(-SAMPLE_BYTES), chunk]);
      for (let at = 0; at < chunk.length; at += 1) {
        if (this.#encoding === 'utf-8' && pending.length === 0 && chunk[at] > 0 && chunk[at] < 0x80) {
          lines.add(String.fromCharCode(chunk[at]), 1); // Most of most files; the decoder has no part in it.
          continue;
        }
        pending.push(chunk[at]);
        let text;
        try {
          text = decoder.decode(chunk.subarray(at, at + 1), { stream: true });
        } catch {
          return new NotText(lines.place(), `${hex(pending)} is not ${name}; ${this.#advice(window, isMarked)}`);
        }
        if (text.includes('\0')) return new NotText(lines.place(), this.#aboutNul(window));
        if (text !== '') {
          lines.add(text, pending.length);
          pending = [];
        }
      }
    }
    return new NotText(lines.place(), `the file ends in the middle of a character: ${hex(pending)} is not all of one in ${name}; `
      + 'is the file cut off?');
  }

  #aboutNul(window) {
    const zeros = [0, 1].map((odd) => window.filter((byte, at) => byte === 0 && at % 2 === odd).length);
    if (this.#encoding === 'utf-8' && Math.max(...zeros) > window.length / 4) {
      return `a NUL character; it may be UTF-16: try --encoding ${zeros[1] >= zeros[0] ? 'utf-16le' : 'utf-16be'}`;
    }
    return 'a NUL character, which no text has; is the file damaged, or none of text?';
  }

  /**
   * What else it may be. Where a language has some letters beyond ASCII, as western ones have, and each is one byte, these stand
   * alone mostly.
   */
  #advice(window, isMarked) {
    if (isMarked) return 'its byte-order mark says that it is: is the file damaged, or put together of several?';
    if (this.#given !== undefined) return 'give the right --encoding';
    const high = window.filter((byte) => byte >= 0x80).length;
    const alone = window.filter((byte, at) => byte >= 0x80 && !(window[at - 1] >= 0x80) && !(window[at + 1] >= 0x80)).length;
    const read = new TextDecoder().decode(window);
    const wrong = read.match(/\ufffd/g)?.length ?? 0;
    if ((read.match(/[^\0-\x7f\ufffd]/gu)?.length ?? 0) > wrong) return 'most of it is: is the file damaged, or put together of several?';
    if (alone * 2 >= high) return 'it may be Latin-1: try --encoding windows-1252';
    const fits = (label) => {
      try {
        return new TextDecoder(label, { fatal: true }).decode(window, { stream: true }) !== '';
      } catch {
        return false;
      }
    };
    const others = ['shift_jis', 'euc-jp', 'euc-kr', 'big5', 'gb18030', 'windows-1251'].filter(fits);
    return `name what it is with --encoding; it may be ${others.join(', ')}`;
  }
}

const START = { line: 1, lineByte: 1, byte: 1 };
const hex = (bytes) => bytes.map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');

/** Counts bytes and lines; CR, LF and both together end one. */
class Lines {
  #line = 1;
  #byte = 0;
  #lineStart = 0;
  #last = '';

  /** Takes characters, and how many bytes they are. */
  add(text, bytes) {
    this.#byte += bytes;
    for (const char of text) {
      const isEnd = char === '\n' || char === '\r';
      if (isEnd && !(char === '\n' && this.#last === '\r')) this.#line += 1;
      if (isEnd) this.#lineStart = this.#byte;
      this.#last = char;
    }
  }

  /** Where the next byte is. */
  place() {
    return { line: this.#line, lineByte: this.#byte - this.#lineStart + 1, byte: this.#byte + 1 };
  }
}
