// What workerd prints, made fit for a terminal and a journal: one line an event, control characters escaped, no stacks
// of addresses, and of lines that repeat a few and then their number.

import { StringDecoder } from 'node:string_decoder';

const LINE_CHARS_MAX = 1_000;
/** Equal lines of one window, after which they are only counted. Numbers and what is quoted make no difference. */
const EQUAL_LINES_MAX = 5;
/** All lines of one window. */
const LINES_MAX = 100;
const WINDOW_MS = 10_000;
const KEY_CHARS = 100;
const SAMPLE_CHARS = 120;
const OTHER = 'others';

// Controls, and what moves text about or hides it.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
// Frames of native code, and of JavaScript.
const FRAME = /^(stack: |\s+at )/;
// The runtime's words for a request that it cannot read. What the client sent stands behind the semicolon.
const UNREADABLE = /^workerd\/server\/server\.c\+\+:\d+: error: Uncaught exception: kj\/compat\/(?:url|http)\.c\+\+:\d+: failed: ([^;]*)/;
const CONNECT = /Incoming CONNECT on a worker not supported$/;
const NATIVE = /^(\S+\/)?[\w-]+\.(c\+\+|h):\d+: /;

/** Text as one line of printable characters. */
export function printable(text) {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`;
    return `\\u{${code.toString(16)}}`;
  });
}

/**
 * Makes a writer for pieces of output (`write(bytes, name)`, a name for each stream), which hands whole lines to `print`.
 * `flush` prints what is held back.
 */
export function lineFilter(print, { windowMs = WINDOW_MS } = {}) {
  const streams = new Map();
  let counts = new Map();
  let printed = 0;
  let window = null;

  const endWindow = () => {
    clearTimeout(window);
    window = null;
    printed = 0;
    const former = counts;
    counts = new Map();
    for (const { count, sample } of former.values()) {
      const more = count - EQUAL_LINES_MAX;
      if (more > 0) print(`${more} more ${more === 1 ? 'line' : 'lines'} like this in ${windowMs / 1_000} s: ${sample}`);
    }
  };

  const take = (raw) => {
    if (FRAME.test(raw) || raw.trim() === '') return;
    const line = shortened(raw);
    window ??= setTimeout(endWindow, windowMs).unref();
    let key = line.replace(/["'].*["']/g, '').replace(/\d+/g, '#').slice(0, KEY_CHARS);
    if (!counts.has(key) && printed >= LINES_MAX) key = OTHER;
    const seen = counts.get(key) ?? { count: key === OTHER ? EQUAL_LINES_MAX : 0, sample: line.slice(0, SAMPLE_CHARS) };
    counts.set(key, seen);
    seen.count += 1;
    if (seen.count > EQUAL_LINES_MAX) return;
    printed += 1;
    print(line);
  };

  return {
    write(bytes, name = 'stdout') {
      if (!streams.has(name)) streams.set(name, { decoder: new StringDecoder('utf8'), rest: '' });
      const stream = streams.get(name);
      const lines = `${stream.rest}${stream.decoder.write(bytes)}`.split('\n');
      // A line without end is kept up to what of it would be printed.
      stream.rest = lines.pop().slice(0, 2 * LINE_CHARS_MAX);
      lines.forEach(take);
    },
    flush() {
      for (const stream of streams.values()) {
        take(stream.rest);
        stream.rest = '';
      }
      endWindow();
    },
  };
}

function shortened(raw) {
  const [, reason] = UNREADABLE.exec(raw) ?? [undefined, CONNECT.test(raw) ? 'CONNECT' : undefined];
  if (reason !== undefined) return `workerd: a request that it cannot read was refused: ${printable(reason.replace(/^expected .*/, 'invalid URL'))}`;
  const line = printable(raw.replace(/\r$/, '').replace(NATIVE, 'workerd: '));
  return line.length > LINE_CHARS_MAX ? `${line.slice(0, LINE_CHARS_MAX)} …` : line;
}
