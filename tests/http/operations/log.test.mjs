// What workerd prints, on its way to a terminal or a journal: scripts/serve/log.mjs by itself, and with hostile requests.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { lineFilter } from '../../../scripts/serve/log.mjs';
import { Client } from '../harness/client.mjs';
import { until } from '../harness/deadline.mjs';
import { launch } from '../harness/process.mjs';
import { exchange } from '../harness/raw.mjs';
import { temporaryDirectory } from '../harness/server.mjs';

const NATIVE = 'workerd/server/server.c++:5492: error: Uncaught exception: ';
const WINDOW_MS = 50;

/** What is printed of these pieces. */
function filtered(...pieces) {
  const lines = [];
  const filter = lineFilter((line) => lines.push(line));
  for (const piece of pieces) filter.write(Buffer.from(piece));
  filter.flush();
  return lines;
}

test('control characters, and those that turn or hide text, are escaped', () => {
  assert.deepEqual(
    filtered('a\x1b[31mb\x07\tc\x7f\u009bd\u202ee\u200bf\u2028g\ufeffh\n', 'ü ✓ 漢\r\n'),
    ['a\\x1b[31mb\\x07\\x09c\\x7f\\x9bd\\u{202e}e\\u{200b}f\\u{2028}g\\u{feff}h', 'ü ✓ 漢'],
  );
});

test('an event is one line: stacks are left out, pieces are put together, streams are kept apart', () => {
  assert.deepEqual(filtered(`${NATIVE}x; a = 1\nstack: /bin/workerd@1 /bin/workerd@2\n\n    at f (x.js:1)\n`), ['workerd: error: Uncaught exception: x; a = 1']);
  assert.deepEqual(filtered('one ', 'line\nand its re', 'st'), ['one line', 'and its rest']);
  const bytes = Buffer.from('ü\n');
  assert.deepEqual(filtered(bytes.subarray(0, 1), bytes.subarray(1)), ['ü']);
  const lines = [];
  const filter = lineFilter((line) => lines.push(line));
  for (const [piece, name] of [['a', 'stdout'], ['b', 'stderr'], ['c\n', 'stdout'], ['d\n', 'stderr']]) filter.write(Buffer.from(piece), name);
  filter.flush();
  assert.deepEqual(lines, ['ac', 'bd']);
});

test('a request that the runtime cannot read is told without anything of it', () => {
  const reasons = [
    ['kj/compat/url.c++:453: failed: invalid hostname when stringifying URL; host = a\x1b[31m', 'invalid hostname when stringifying URL'],
    ['kj/compat/url.c++:165: failed: expected tryParse(url, context, options) != nullptr; invalid URL; url = http://x/?user_id=ann', 'invalid URL'],
    ['kj/compat/http.c++:2330: failed: invalid Content-Length header value; cl = 1, 2', 'invalid Content-Length header value'],
  ];
  for (const [line, reason] of reasons) {
    assert.deepEqual(filtered(`${NATIVE}${line}\nstack: x\n`), [`workerd: a request that it cannot read was refused: ${reason}`]);
  }
});

test('lines are cut, and a line without end takes no memory', () => {
  const endless = Array.from({ length: 1_000 }, () => 'x'.repeat(10_000));
  const lines = filtered(...endless, '\nnext\n');
  assert.equal(lines.length, 2);
  assert.ok(lines[0].length < 1_100, `${lines[0].length}`);
  assert.equal(lines[1], 'next');
});

test('lines that repeat are counted, whatever numbers are in them, and the next window prints again', async () => {
  const lines = [];
  const filter = lineFilter((line) => lines.push(line), { windowMs: WINDOW_MS });
  for (let i = 0; i < 1_000; i += 1) filter.write(Buffer.from(`refused number ${i}\n`));
  assert.equal(lines.length, 5);
  await until('the number is told', () => lines.length === 6);
  assert.match(lines[5], /^995 more lines like this in [\d.]+ s: refused number 0$/);
  filter.write(Buffer.from('refused number 7\n'));
  assert.equal(lines[6], 'refused number 7');
});

test('lines that all differ are bounded too, and those left out are counted', () => {
  const pieces = Array.from({ length: 5_000 }, (_, i) => `${String.fromCodePoint(0x4e00 + i)}\n`);
  const lines = filtered(...pieces);
  assert.equal(lines.length, 101);
  assert.match(lines[100], /^4900 more lines/);
});

test('hostile requests leave a few plain lines', async (t) => {
  const script = launch(t, 'start', { env: { PORT: '0', STATE_DIR: await temporaryDirectory(t) } });
  const [, url] = await script.printed(/(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/);
  const client = new Client(url);
  const hostile = [
    'GET / HTTP/1.1\r\nHost: a\x1b[31mred\r\n\r\n',
    'GET http://[bad/\x1b[31m?user_id=ann HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET http://b/?user_id=ann HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x1b[31m\r\n\r\nx',
    'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /\x1b[31m\u009b HTTP/1.1\r\nHost: a\r\n\r\n',
    '\x1b[31m\r\n\r\n',
  ];
  for (let round = 0; round < 10; round += 1) {
    await Promise.all(hostile.map((bytes) => exchange(client, bytes, { quietMs: 50 })));
  }
  assert.equal((await client.get('/alive')).status, 200);
  script.kill('SIGTERM');
  const { code, stderr } = await script.end();
  assert.equal(code, 0);
  assert.match(stderr, /cannot read/);
  assert.match(stderr, /more lines like this/);
  assert.doesNotMatch(stderr.replaceAll('\n', ''), /[\x00-\x1f\x7f-\x9f]/);
  assert.doesNotMatch(stderr, /stack:|user_id|=ann|\[31m|c\+\+/);
  assert.ok(stderr.trim().split('\n').length < 40, stderr);
});
