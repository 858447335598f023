// `make load`: CSV files of many forms into a running server, bad rows told by their line, and a server that answers
// only now and then.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { Model } from './harness/model.mjs';
import { run } from './harness/process.mjs';
import { serve, temporaryDirectory } from './harness/server.mjs';

const server = await serve({ after });
const directory = await temporaryDirectory({ after });
let files = 0;

/** Writes a file and loads it; resolves as `run` does, with `lines` of what went to stderr and the path. */
async function load(t, content, args = [], url = server.url.origin) {
  files += 1;
  const path = join(directory, `${files}.csv`);
  await writeFile(path, content);
  const outcome = await run(t, 'load.mjs', { args: [path, '--url', url, ...args] });
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

for (const [what, [content, line, before = 3]] of Object.entries(BAD)) {
  test(`${what} stops it with the number of the line`, async (t) => {
    const { code, path, last } = await load(t, content, ['--value', 'price', '--time', 'at', '--into', what]);
    assert.equal(code, 1);
    assert.ok(last.includes(`${path}, line ${line}: `), last);
    assert.equal((await server.analytics(what)).users, before, 'what stands before it is loaded');
  });
}

test('what cannot be loaded at all is one line', async (t) => {
  const cases = [
    [await load(t, good, ['--user', 'nobody']), /line 1: .*"nobody".*user_id, event/],
    [await load(t, '', []), /header/],
    [await load(t, good, ['--batch', '0']), /--batch/],
    [await load(t, good, ['--into', 'a', '--namespace', 'event']), /--into/],
    [await load(t, good, ['--unknown']), /--unknown/],
    [await run(t, 'load.mjs', { args: [join(directory, 'missing.csv'), '--url', server.url.origin] }), /missing\.csv/],
    [await run(t, 'load.mjs', { args: [] }), /FILE/],
    [await load(t, gzipSync(csv(rows)).subarray(0, 400), []), /line \d+/],
  ];
  for (const [{ code, stderr }, pattern] of cases) {
    assert.equal(code, 1, stderr);
    assert.match(stderr.trim().split('\n').at(-1), pattern);
    assert.ok(!/^\s+at /m.test(stderr), stderr);
  }
  const help = await run(t, 'load.mjs', { args: ['--help'] });
  assert.equal(help.code, 0);
  assert.match(help.stdout, /--concurrency/);
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
  assert.equal(requests(), rows.length / 250 + retries);
  assert.deepEqual(await server.analytics('unreliable'), modelOf(rows, 'unreliable'));
});

test('what repetition does not mend is not repeated', async (t) => {
  const { url, requests } = await upstream(t, () => 'pass');
  const { code } = await load(t, `${good}${'x'.repeat(300)},A,1,\n`, ['--into', 'unmended'], url);
  assert.equal(code, 1);
  assert.ok(requests() <= 3, `${requests()} requests`);
});
