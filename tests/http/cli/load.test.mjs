// `make load`: CSV files of many forms into a running server, bad rows told by their line, and a server that answers
// only now and then.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';

import { query } from '../harness/client.mjs';
import { isoWeek, Model } from '../harness/model.mjs';
import { run } from '../harness/process.mjs';
import { seeded } from '../harness/random.mjs';
import { ROOT, serve, temporaryDirectory } from '../harness/server.mjs';

const server = await serve({ after });
const directory = await temporaryDirectory({ after });
let files = 0;

/** Writes a file and loads it; resolves as `run` does, with `lines` of what went to stderr and the path. */
async function load(t, content, args = [], url = server.url.origin) {
  files += 1;
  const path = join(directory, `${files}.csv`);
  await writeFile(path, content);
  const outcome = await run(t, 'load', { args: [path, '--url', url, ...args] });
  return { ...outcome, path, last: outcome.stderr.trim().split('\n').at(-1) };
}

const rows = Array.from({ length: 2_500 }, (_, i) => ({
  user_id: `user ${i % 400}`,
  event: ['view', 'cart', 'buy, now', 'say "hi"'][(i * 7) % 4],
  price: String((i % 90) / 8),
  at: '2024-03-13 10:21:14',
}));
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const csv = (list, { newline = '\n', delimiter = ',' } = {}) => [Object.keys(list[0]), ...list.map(Object.values)]
  .map((cells) => cells.map(quoted).join(delimiter) + newline).join('');

function modelOf(list, namespace) {
  const model = new Model();
  for (const { user_id, event, price } of list) {
    model.apply({ user_id, event_name: event, namespace, value: Number(price), ensure_goal: event === 'buy, now' });
  }
  return model.analytics(namespace);
}

const OPTIONS = ['--value', 'price', '--time', 'at', '--goal', 'buy, now'];

const FORMS = {
  plain: [csv(rows)],
  gzip: [gzipSync(csv(rows))],
  'CRLF, byte order mark, empty lines': [`\ufeff${csv(rows, { newline: '\r\n\r\n' })}`],
  'no newline at the end': [csv(rows).trimEnd()],
  'semicolons, small batches': [csv(rows, { delimiter: ';' }), '--delimiter', ';', '--batch', '7'],
  'eight requests at a time': [csv(rows), '--batch', '50', '--concurrency', '8'],
};

for (const [form, [content, ...args]] of Object.entries(FORMS)) {
  test(`a file with ${form} is loaded exactly, twice the same`, async (t) => {
    for (let round = 0; round < 2; round += 1) {
      const { code, stdout, stderr } = await load(t, content, [...OPTIONS, '--into', form, ...args]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, new RegExp(`^${rows.length} rows in \\d+ batches, 0 retries, `));
      assert.deepEqual(await server.analytics(form), modelOf(rows, form));
    }
  });
}

test('columns have the names that are given, and a row its own namespace', async (t) => {
  const content = 'Who,What,Where,ignored\nu1,A,east,x\nu2,A,west,\nu1,B,,y\n"ü ""1""",B,east,\n';
  const { code, stderr } = await load(t, content, ['--user', 'Who', '--event', 'What', '--namespace', 'Where']);
  assert.equal(code, 0, stderr);
  const names = async (namespace) => (await server.analytics(namespace)).counts.map(({ name, count }) => `${name} ${count}`);
  assert.deepEqual(await names('east'), ['A 1', 'B 1']);
  assert.deepEqual(await names('west'), ['A 1']);
  assert.deepEqual(await names('default'), ['B 1']);
});

const good = 'user_id,event,price,at\nu1,A,1,2024-01-01\nu2,A,2,\nu3,A,,2024-01-01T10:00:00+02:00\n';
const BAD = {
  'an empty user': [`${good},A,1,\nu9,A,1,\n`, 5],
  'an empty event': [`${good}u4,,1,\n`, 5],
  'a value that is no number': [`${good}u4,A,x,\n`, 5],
  'an infinite value': [`${good}u4,A,1e999,\n`, 5],
  'a time that is none': [`${good}u4,A,1,soon\n`, 5],
  'a day that is none': [`${good}u4,A,1,2023-02-29\n`, 5],
  'too few columns': [`${good}u4,A\n`, 5],
  'too many columns': [`${good}u4,A,1,,,,\n`, 5],
  'an open quote': [`${good}u4,"A,1,\nu5,A,1,\n`, 5],
  'a user that the server refuses': [`${good}${'x'.repeat(300)},A,1,\nu9,A,1,\n`, 5],
  'an event that the server refuses': [`${good}u4,"A\tB",1,\n`, 5],
  'a bad row behind lines within quotes': [`user_id,event,price,at\n"u\n1",A,,\nu2,A,x,\n`, 4, 1],
};

/** That a namespace has nothing, if it is there. */
async function isEmpty(namespace) {
  return !(await server.get('/v0/namespaces')).json().namespaces.includes(namespace);
}

for (const [what, [content, line, before = 3]] of Object.entries(BAD)) {
  test(`${what} stops it with the number of the line`, async (t) => {
    const isRefused = what.includes('server refuses');
    if (!what.includes('time') && !what.includes('day')) {
      const { code, path, last } = await load(t, content, ['--value', 'price', '--into', what]);
      assert.equal(code, 1);
      assert.ok(last.includes(`${path}, line ${line}: `), last);
      assert.equal((await server.analytics(what)).users, before, 'what stands before it is loaded');
    }
    const { code, path, last } = await load(t, content, ['--value', 'price', '--time', 'at', '--into', `${what}, history`]);
    assert.equal(code, 1);
    assert.ok(last.includes(`${path}, line ${line}: `), last);
    if (isRefused) {
      assert.match(last, /What was before it in time is loaded/);
      assert.equal((await server.analytics(`${what}, history`)).users, before);
    } else {
      assert.match(last, /Nothing was loaded/);
      assert.ok(await isEmpty(`${what}, history`));
    }
  });
}

test('what cannot be loaded at all is one line', async (t) => {
  const cases = [
    [await load(t, good, ['--user', 'nobody']), /line 1: .*"nobody".*user_id, event/],
    [await load(t, '', []), /header/],
    [await load(t, good, ['--batch', '0']), /--batch/],
    [await load(t, good, ['--into', 'a', '--namespace', 'event']), /--into/],
    [await load(t, good, ['--unknown']), /--unknown/],
    [await run(t, 'load', { args: [join(directory, 'missing.csv'), '--url', server.url.origin] }), /missing\.csv/],
    [await run(t, 'load', { args: [] }), /FILE/],
    [await load(t, gzipSync(csv(rows)).subarray(0, 400), []), /line \d+/],
    [await load(t, '{"user_id": "ann", "event": "A"}\n{"user_id": "bob", "event": "A"}\n'), /line 1: this is JSON, and only CSV/],
    [await load(t, '[\n  {"user_id": "ann", "event": "A"}\n]\n'), /line 1: this is JSON, and only CSV/],
  ];
  for (const [{ code, stderr }, pattern] of cases) {
    assert.equal(code, 1, stderr);
    assert.match(stderr.trim().split('\n').at(-1), pattern);
    assert.ok(!/^\s+at /m.test(stderr), stderr);
  }
  const help = await run(t, 'load', { args: ['--help'] });
  assert.equal(help.code, 0);
  assert.match(help.stdout, /--concurrency/);
});

const people = 'user_id,event\nMüller,A\nMöller,A\nMäller,B\n';
const utf16 = (text, mark = true) => Buffer.from(`${mark ? '\ufeff' : ''}${text}`, 'utf16le');
const latin1 = (text) => Buffer.from(text, 'latin1');
const cutOff = (text, bytes = 1) => Buffer.from(text).subarray(0, -bytes);

const NOT_TEXT = {
  'Latin-1': [latin1(people), 2, 2, 16, /0xfc is not UTF-8; .*--encoding windows-1252/],
  'Latin-1, gzip': [gzipSync(latin1(people)), 2, 2, 16, /--encoding windows-1252/],
  'Latin-1 in one line of many': [Buffer.concat([Buffer.from(people.repeat(9_000)), latin1('Müller,A\n')]), 36_001, 2, null, /most of it is/],
  'Latin-1 in a file of old Mac lines': [latin1(people.replaceAll('\n', '\r')), 2, 2, 16, /windows-1252/],
  'Latin-1 with CRLF': [latin1(people.replaceAll('\n', '\r\n').replace('ü', 'u')), 3, 2, 27, /windows-1252/],
  'an overlong form': [Buffer.concat([Buffer.from('user_id,event\nu'), Buffer.from([0xc0, 0xaf]), Buffer.from(',A\n')]), 2, 2, 16, /0xc0 is not UTF-8/],
  'a lone surrogate': [Buffer.concat([Buffer.from('user_id,event\nu'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(',A\n')]), 2, 2, 16, /is not UTF-8/],
  'a character beyond Unicode': [Buffer.concat([Buffer.from('user_id,event\nu'), Buffer.from([0xf5, 0x80, 0x80, 0x80]), Buffer.from(',A\n')]), 2, 2, 16, /0xf5/],
  'a cut in a character': [cutOff('user_id,event\nu,A\nv,ü'), 3, 3, 21, /0xc3.*cut off/],
  'a cut in a long character': [cutOff('user_id,event\nu,😀', 2), 2, 3, 17, /0xf0 0x9f.*cut off/],
  'a NUL character': ['user_id,event\nu\0,A\n', 2, 2, 16, /NUL/],
  'UTF-16 without a mark': [utf16(people, false), 1, 2, 2, /--encoding utf-16le/],
  'UTF-16BE without a mark': [utf16(people, false).swap16(), 1, 1, 1, /--encoding utf-16be/],
  'UTF-16 cut in a character': [utf16('user_id,event\nu,A').subarray(0, -1), 2, 5, 35, /UTF-16LE.*cut off/],
  'UTF-32': [Buffer.from([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0]), 1, 1, 1, /UTF-32LE/],
  'a UTF-8 mark and Latin-1': [Buffer.concat([Buffer.from('\ufeff'), latin1(people)]), 2, 2, 19, /byte-order mark/],
  'Shift JIS': [Buffer.from([...Buffer.from('user_id,event\n'), 0x83, 0x86, 0x81, 0x5b, 0x83, 0x55, ...Buffer.from(',A\n')]), 2, 1, 15, /shift_jis/],
};

for (const [what, [content, line, lineByte, byte, pattern]] of Object.entries(NOT_TEXT)) {
  test(`${what} is refused with line and byte, and nothing is loaded`, async (t) => {
    const { code, path, last, stdout, stderr } = await load(t, content, ['--into', what]);
    assert.equal(code, 1, stderr);
    assert.ok(last.includes(`${path}, line ${line}, byte ${lineByte} (byte ${byte ?? Buffer.byteLength(people) * 9_000 + 2} of the text): `), last);
    assert.match(last, pattern);
    assert.match(last, /Nothing was loaded\.$/);
    assert.equal(stdout, '');
    assert.deepEqual(await server.analytics(what), { counts: [], users: 0 });
  });
}

const TEXT = {
  'Latin-1': [latin1(people), 'latin1'],
  'Windows-1252, gzip': [gzipSync(latin1(people)), 'windows-1252'],
  'UTF-16 with a mark': [utf16(people)],
  'UTF-16BE with a mark': [utf16(people).swap16()],
  'UTF-16 with a mark, gzip': [gzipSync(utf16(people))],
  'UTF-16 without a mark': [utf16(people, false), 'utf-16le'],
  'UTF-16BE without a mark': [utf16(people, false).swap16(), 'UTF-16BE'],
  'UTF-8 by name': [people, 'utf8'],
  'UTF-8 with a mark': [`\ufeff${people}`],
  'UTF-8 with a mark, whatever is named': [`\ufeff${people}`, 'latin1'],
  'Shift JIS': [Buffer.from([...Buffer.from('user_id,event\n'), 0x83, 0x86, 0x81, 0x5b, 0x83, 0x55, ...Buffer.from(',A\n')]), 'shift_jis', ['A 1']],
  'characters of every length, and replacement characters': ['user_id,event\nu,aü€😀\ufffd\n\ufffd,aü€😀\ufffd\nü,aü€😀\ufffd\n', undefined, ['aü€😀\ufffd 3']],
};

for (const [what, [content, encoding, expected = ['A 2', 'B 1']]] of Object.entries(TEXT)) {
  test(`a file in ${what} is loaded`, async (t) => {
    const { code, stderr } = await load(t, content, ['--into', `text: ${what}`, ...(encoding ? ['--encoding', encoding] : [])]);
    assert.equal(code, 0, stderr);
    const { counts } = await server.analytics(`text: ${what}`);
    assert.deepEqual(counts.map(({ name, count }) => `${name} ${count}`), expected);
  });
}

test('an encoding that is not known is told, with some that are', async (t) => {
  for (const name of ['klingon', '', 'utf-32']) {
    const { code, last } = await load(t, people, ['--encoding', name]);
    assert.equal(code, 1);
    assert.match(last, /--encoding.*utf-16le.*windows-1252/);
  }
});

test('the first of a large file with one bad byte far behind is not loaded', { timeout: 60_000 }, async (t) => {
  const line = 'ann,Visited the shop of Müller & Söhne\n';
  const content = Buffer.concat([Buffer.from(`user_id,event\n${line.repeat(200_000)}`), latin1('ü,A\n')]);
  const { code, last } = await load(t, content, ['--into', 'large']);
  assert.equal(code, 1);
  assert.match(last, /line 200002, byte 1 /);
  assert.equal((await server.analytics('large')).users, 0);
});

/** A server in front of the real one that does with every request what `plan` says, by its number. */
async function upstream(t, plan) {
  let requests = 0;
  const proxy = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const action = plan(requests);
    requests += 1;
    if (action === 'refuse') {
      response.writeHead(503, { 'retry-after': '0', 'content-type': 'text/html' }).end('<h1>busy</h1>');
      return;
    }
    if (action === 'cut off') {
      request.socket.destroy();
      return;
    }
    const headers = { 'content-type': 'application/json' };
    const { status, text } = await server.request(request.method, request.url, { headers, body: Buffer.concat(chunks) });
    if (action === 'lose the answer') request.socket.destroy();
    else response.writeHead(status).end(status === 204 ? undefined : text);
  });
  t.after(() => proxy.close());
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return { url: `http://127.0.0.1:${proxy.address().port}`, requests: () => requests };
}

test('what is refused for a while, cut off or not answered is sent again, and counts once', { timeout: 60_000 }, async (t) => {
  const actions = ['pass', 'refuse', 'pass', 'cut off', 'lose the answer', 'pass', 'refuse', 'refuse'];
  const { url, requests } = await upstream(t, (number) => actions[number % actions.length]);
  const { code, stdout, stderr } = await load(t, csv(rows), [...OPTIONS, '--into', 'unreliable', '--batch', '250'], url);
  assert.equal(code, 0, stderr);
  const retries = Number(stdout.match(/(\d+) retries/)[1]);
  assert.ok(retries > 5, stdout);
  // Beside the batches, the namespace is looked up, put on a replay clock and taken off it.
  assert.equal(requests(), rows.length / 250 + 3 + retries);
  assert.deepEqual(await server.analytics('unreliable'), modelOf(rows, 'unreliable'));
});

test('what repetition does not mend is not repeated', async (t) => {
  const { url, requests } = await upstream(t, () => 'pass');
  const { code } = await load(t, `${good}${'x'.repeat(300)},A,1,\n`, ['--into', 'unmended'], url);
  assert.equal(code, 1);
  assert.ok(requests() <= 3, `${requests()} requests`);
});

test('rows of more namespaces than a batch may have are sent in several', async (t) => {
  const list = Array.from({ length: 1_000 }, (_, i) => ({ user_id: `u${i}`, event: 'A', place: `place ${i % 250}` }));
  const { code, stdout, last } = await load(t, csv(list), ['--namespace', 'place', '--concurrency', '1']);
  assert.equal(code, 0, last);
  assert.match(stdout, /^1000 rows in 10 batches/m);
  for (const place of ['place 0', 'place 249']) assert.equal((await server.analytics(place)).users, 4);
});

test('rows that the server refuses one by one are told, and all others are loaded', async (t) => {
  const env = { API_AUTH: '', API_TOKENS: 'admin-token', INGEST_TOKENS: 'page-token', EVENT_NAMES: 'known' };
  const guarded = await serve(t, { env, token: 'admin-token' });
  await guarded.ingest({ event_name: 'view', user_id: 'u' });
  const list = ['view', 'new', 'view', 'newer', 'new'].map((event, i) => ({ user_id: `u${i}`, event }));
  const { code, stdout, last } = await load(t, csv(list), ['--token', 'page-token'], guarded.url.origin);
  assert.equal(code, 1);
  assert.match(stdout, /^2 rows in 1 batches/m);
  assert.match(last, /refused 3 rows one by one, the first in line 3: .*\(event_unknown\)/);
  assert.equal((await guarded.analytics()).counts[0].count, 3);
  const none = await load(t, csv(list.slice(1, 2)), ['--token', 'page-token'], guarded.url.origin);
  assert.equal(none.code, 1);
  assert.match(none.last, /refused 1 rows one by one, the first in line 2/);
});

/** Users by event (or '' for anybody), unit and period, counted with sets. */
function exactSeries(list) {
  const sets = new Map();
  for (const { user_id, event, timestamp } of list) {
    const day = timestamp.slice(0, 10);
    for (const [unit, period] of [['day', day], ['week', isoWeek(new Date(day)).map((part) => String(part).padStart(2, '0')).join('-W')], ['month', day.slice(0, 7)]]) {
      for (const of of ['', event]) {
        const key = `${of}\n${unit}\n${period}`;
        sets.set(key, (sets.get(key) ?? new Set()).add(user_id));
      }
    }
  }
  return sets;
}

/** Every series of a namespace as the API has it, by the same keys. */
async function servedSeries(own, namespace, from, to) {
  const found = new Map();
  const add = (of, unit, points) => {
    for (const { period, users, complete } of points.filter((point) => point.users)) {
      assert.ok(complete, `${of} ${period}`);
      found.set(`${of}\n${unit}\n${period}`, users);
    }
  };
  const ask = async (parameters) => (await own.get(`/v0/series${query({ namespace, from, to, ...parameters })}`)).expect(200).json();
  for (const unit of ['day', 'week', 'month']) add('', unit, (await ask({ unit })).points);
  for (const unit of ['day', 'week']) for (const { event, points } of (await ask({ unit, event: '*' })).series) add(event, unit, points);
  return found;
}

async function assertSeries(own, namespace, list) {
  const days = list.map(({ timestamp }) => timestamp.slice(0, 10)).sort();
  const expected = new Map([...exactSeries(list)].filter(([key]) => key.startsWith('\n') || !key.includes('\nmonth\n')).map(([key, set]) => [key, set.size]));
  const found = await servedSeries(own, namespace, days[0], days.at(-1));
  assert.deepEqual(new Map([...found].sort()), new Map([...expected].sort()));
}

const HISTORY = ['--event', 'event', '--time', 'timestamp'];

test('a file with times becomes history, whatever its order: every day, week and month is exact', async (t) => {
  const { below } = seeded(11);
  const list = Array.from({ length: 3_000 }, () => {
    const ms = Date.UTC(2023, 10, 20) + below(70 * 86_400) * 1_000;
    return { user_id: `u${below(80)}`, event: `e${below(6)}`, timestamp: new Date(ms).toISOString().slice(0, 19).replace('T', ' ') };
  });
  const outcome = await load(t, csv(list), [...HISTORY, '--into', 'history', '--batch', '100', '--concurrency', '4']);
  assert.equal(outcome.code, 0, outcome.stderr);
  await assertSeries(server, 'history', list);
  assert.equal((await server.get('/v0/namespaces/history')).json().clock, 'live');
  // Again, into a namespace that has events: nothing changes.
  assert.equal((await load(t, csv(list), [...HISTORY, '--into', 'history'])).code, 0);
  await assertSeries(server, 'history', list);
});

test('history with a bad row is not begun: mended and loaded again, every day is exact', async (t) => {
  const list = Array.from({ length: 400 }, (_, i) => ({ user_id: `u${Math.floor(i / 10)}`, event: 'e', timestamp: `2022-05-${String(1 + (i * 7) % 28).padStart(2, '0')} 10:00:00` }));
  const { code, last } = await load(t, `${csv(list.slice(0, 205))}u1,e,soon\n${csv(list.slice(205)).split('\n').slice(1).join('\n')}`, [...HISTORY, '--into', 'mended']);
  assert.equal(code, 1);
  assert.match(last, /line 207: .*Nothing was loaded\./);
  assert.equal((await load(t, csv(list), [...HISTORY, '--into', 'mended'])).code, 0);
  await assertSeries(server, 'mended', list);
  assert.equal((await server.get('/v0/namespaces/mended')).json().clock, 'live');
});

test('history that the server stops goes on where it is mended and loaded again', async (t) => {
  const list = Array.from({ length: 60 }, (_, i) => ({ user_id: `u${i % 7}`, event: 'e', timestamp: `2022-05-${String(1 + (i * 7) % 28).padStart(2, '0')} 10:00:00` }));
  const { code, last } = await load(t, `${csv(list)}${'x'.repeat(300)},e,2022-05-14 11:00:00\n`, [...HISTORY, '--into', 'stopped']);
  assert.equal(code, 1);
  assert.match(last, /line 62: .*What was before it in time is loaded; .*stopped stays on its replay clock/);
  assert.equal((await load(t, csv(list), [...HISTORY, '--into', 'stopped'])).code, 0);
  await assertSeries(server, 'stopped', list);
});

test('rows of days to come are told, and the present goes on to count', async (t) => {
  const day = (days) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
  const list = [-3, -2, -1, 0].flatMap((days) => ['a', 'b', 'c'].map((user_id) => ({ user_id, event: 'e', timestamp: day(days) })));
  const { code, stderr } = await load(t, csv([...list, ...['a', 'b'].map((user_id) => ({ user_id, event: 'booking', timestamp: day(100) }))]), [...HISTORY, '--into', 'ahead']);
  assert.equal(code, 0, stderr);
  assert.ok(stderr.includes(`2 rows are of days to come, the first in line 14 (${day(100)}): they count in no day, week or month.`), stderr);
  await server.ingest({ event_name: 'e', user_id: 'new', namespace: 'ahead' });
  const { points } = (await server.get(`/v0/series${query({ namespace: 'ahead', event: 'e', from: day(-3), to: day(0) })}`)).expect(200).json();
  assert.deepEqual(points.map(({ users, complete }) => [users, complete]), [[3, true], [3, true], [3, true], [4, true]]);
  assert.equal((await server.get('/v0/namespaces/ahead')).json().today, day(0));
});

const CLICKSTREAM = join(ROOT, '../shared/data/ecom.csv.gz');
test('178 days of a real store are exact, day by day and week by week, in one command', { skip: existsSync(CLICKSTREAM) ? false : `${CLICKSTREAM} is not there` }, async (t) => {
  const outcome = await run(t, 'load', { args: [CLICKSTREAM, '--url', server.url.origin, ...HISTORY, '--into', 'store'] });
  assert.equal(outcome.code, 0, outcome.stderr);
  const [head, ...lines] = gunzipSync(readFileSync(CLICKSTREAM)).toString().trim().split('\n');
  assert.ok(head.startsWith('user_id,session_id,event,timestamp,'));
  await assertSeries(server, 'store', lines.map((line) => line.split(',')).map(([user_id, , event, timestamp]) => ({ user_id, event, timestamp })));
});
