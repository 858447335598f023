// The client in Chromium when things go wrong: nothing is lost, and what is is said.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, flush, ones, storeRows, track, until } from './harness/world.mjs';

const world = await createWorld({ after });

test('offline, a reload, and back', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'offline');
  await track(page, ['a']);
  world.state.answer = () => 'cut';
  await browser.route(`${world.proxy}/**`, (route) => route.abort('internetdisconnected'));
  await track(page, ['b', 'c']);
  assert.equal(await flush(page), false);
  await world.restart(page, 'offline');
  await track(page, ['d', 'a']);
  world.state.answer = null;
  await browser.unroute(`${world.proxy}/**`);
  await page.evaluate(() => { globalThis.dispatchEvent(new Event('online')); });
  await until('all is counted', async () => Object.keys(await world.counts('offline')).length === 4);
  assert.deepEqual(await world.counts('offline'), ones(['a', 'b', 'c', 'd']));
});

test('503, then it recovers by itself', async (context) => {
  const page = await world.page(await world.context(context), 'busy');
  let refusals = 0;
  world.state.answer = () => (refusals++ < 2 ? { status: 503 } : null);
  await track(page, ['a', 'b']);
  await until('all is counted', async () => Object.keys(await world.counts('busy')).length === 2);
  assert.ok((await codes(page)).every((code) => code === 'unavailable'));
  assert.equal(refusals, 3);
});

test('429: nothing is sent before Retry-After has passed, whatever the page asks', async (context) => {
  const page = await world.page(await world.context(context), 'slow');
  world.state.answer = () => (world.posts.length === 0 ? { status: 429, headers: { 'retry-after': '2' } } : null);
  await track(page, ['a']);
  await until('it is refused', () => world.posts.length === 1);
  await until('it is told', async () => (await codes(page)).length === 1);
  assert.equal(await flush(page), false);
  await until('it is counted', async () => (await world.counts('slow')).a === 1);
  assert.ok(world.posts[1].at - world.posts[0].at >= 1_990, `${world.posts[1].at - world.posts[0].at} ms`);
});

for (const [status, code] of [[403, 'event_unknown'], [429, 'quota']]) {
  test(`${status}, events refused one by one: they are reported, and what follows is sent`, async (context) => {
    const page = await world.page(await world.context(context), `judged-${status}`, { preAggregate: 'week' });
    const refused = (indices) => indices.map((index) => ({ index, code, what: 'not this one' }));
    const isNew = ({ event_name }) => event_name.startsWith('new');
    world.state.answer = ({ events }) => (events.every(isNew)
      ? { status, body: JSON.stringify({ error: { what: 'none of these', code }, taken: 0, refused: refused(events.map((_, i) => i)) }) }
      : null);
    await track(page, ['new 1', 'new 2']);
    await until('they are reported', async () => (await codes(page)).length > 0);
    await track(page, ['a', 'new 1']);
    await until('what follows is counted', async () => (await world.counts(`judged-${status}`)).a === 1);
    const errors = await page.evaluate(() => globalThis.errors);
    assert.equal(errors.reduce((sum, [, count]) => sum + count, 0), 2);
    assert.ok(errors.every(([reported]) => reported === 'refused'));
    assert.equal(world.posts.flatMap(({ events }) => events).length, 3, 'nothing is sent twice');
  });
}

test('an answer that is lost: the batch is sent again, and counts once', async (context) => {
  const page = await world.page(await world.context(context), 'cut');
  world.state.answer = () => (world.posts.length === 0 ? 'cut' : null);
  await track(page, ['a', 'b']);
  await until('it is sent again', () => world.posts.filter(({ status }) => status === 204).length === 2);
  assert.deepEqual(await world.counts('cut'), ones(['a', 'b']));
  assert.equal(await flush(page), true);
});

test('a page that is closed at once, before anything behind the shell has loaded', async (context) => {
  const browser = await world.context(context);
  let release;
  world.state.hold = new Promise((resolve) => { release = resolve; });
  const page = await world.page(browser, 'closed');
  await page.evaluate(() => {
    globalThis.client.identify('ann');
    for (let nth = 0; nth < 1_000; nth += 1) globalThis.client.track(`event ${Math.floor(nth / 300) % 3}`);
  });
  await page.goto('about:blank');
  await until('it is counted', async () => Object.keys(await world.counts('closed')).length === 3);
  assert.equal(world.posts.length, 1);
  const names = world.posts[0].events.map(({ event_name: name }) => name);
  assert.deepEqual(names, ['event 0', 'event 1', 'event 2', 'event 0'], 'only what equals the one just before is left out');
  release();
});

test('a page that is closed with a batch under way and another waiting', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'mid', { batchEvents: 5, batchMs: 60_000 });
  world.state.answer = () => ({ status: 503 });
  await track(page, Array.from({ length: 12 }, (_, nth) => `event ${nth}`));
  await until('it is refused', () => world.posts.length > 0);
  await page.close({ runBeforeUnload: false });
  world.state.answer = null;
  const next = await world.page(browser, 'mid', { batchEvents: 5 });
  await until('all is counted', async () => Object.keys(await world.counts('mid')).length === 12);
  assert.equal(await flush(next), true);
  assert.ok(Object.values(await world.counts('mid')).every((count) => count === 1));
});

test('a page whose database was deleted under it still sends what it has when it goes', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'deleted', { batchMs: 60_000 });
  await track(page, ['a', 'b']);
  await page.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    const deleted = indexedDB.deleteDatabase(name);
    await new Promise((resolve, reject) => {
      deleted.onsuccess = resolve;
      deleted.onerror = reject;
    });
  });
  assert.equal(world.posts.length, 0);
  await page.goto('about:blank');
  await until('it is counted', async () => Object.keys(await world.counts('deleted')).length === 2);
  assert.deepEqual(await world.counts('deleted'), ones(['a', 'b']));
});

test('a full queue: the oldest are lost, counted and reported, and count when they come again', async (context) => {
  const page = await world.page(await world.context(context), 'full', { queueEventsMax: 5, batchMs: 60_000 });
  world.state.answer = () => ({ status: 503 });
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  await track(page, names);
  assert.deepEqual(await page.evaluate(() => globalThis.errors.filter(([code]) => code === 'evicted').map(([, count]) => count)), [3]);
  world.state.answer = null;
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('full'), ones(names.slice(3)));
  await track(page, names.slice(0, 3));
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('full'), ones(names));
});

test('damaged storage is reported, and costs no event', async (context) => {
  const page = await world.page(await world.context(context), 'damaged', { batchMs: 60_000 });
  await track(page, ['a', 'b']);
  await storeRows(page, [
    [{ bytes: 'KEN\u0001 damaged' }, 'b'],
    [{ bytes: 'damaged' }, 'c damaged'],
    [7, 's'],
    [null, 'e0 null'],
    [{ event_name: '' }, 'e0 empty'],
    ['nonsense', 'h nonsense'],
  ]);
  await world.restart(page, 'damaged');
  await track(page, ['b', 'c']);
  await flush(page);
  assert.deepEqual(await world.counts('damaged'), ones(['a', 'b', 'c']));
  assert.deepEqual((await codes(page)).sort(), ['invalid', 'refused', 'refused', 'storage']);
});

test('what an earlier version has stored of what was passed on is begun anew: events go out once more, and no less', async (context) => {
  const page = await world.page(await world.context(context), 'earlier', { batchMs: 60_000 });
  await track(page, ['a', 'b']);
  assert.equal(await flush(page), true);
  const earlier = { bytes: 'KEP\u0002', older: undefined, anonymous: '0123456789abcdef0123456789abcdef' };
  await storeRows(page, [[earlier, 's']], { isCleared: true });
  await world.restart(page, 'earlier', { batchMs: 60_000 });
  const before = world.sent().length;
  await track(page, ['a', 'b', 'a', 'c']);
  assert.equal(await flush(page), true);
  assert.deepEqual(world.sent().slice(before).map(({ event_name: name }) => name), ['a', 'b', 'a', 'c']);
  await world.restart(page, 'earlier', { batchMs: 60_000 });
  await track(page, ['b', 'c']);
  assert.equal(await flush(page), true);
  assert.deepEqual(world.sent().slice(before + 4), [], 'from there on it is kept');
  assert.deepEqual(await world.counts('earlier'), ones(['a', 'b', 'c']));
  assert.deepEqual(await codes(page), []);
});

test('a policy that forbids wasm: events go out without pre-aggregation', async (context) => {
  const browser = await world.context(context);
  world.state.policy = "script-src 'self'; connect-src *";
  const page = await world.page(browser, 'policy');
  await track(page, ['a', 'b', 'a']);
  await track(page, ['a']);
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('policy'), ones(['a', 'b']));
  assert.deepEqual(await codes(page), ['wasm']);
});

for (const [name, init] of [
  ['IndexedDB', "Object.defineProperty(globalThis, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError'); } })"],
  ['any storage', "for (const name of ['indexedDB', 'localStorage']) Object.defineProperty(globalThis, name, { get() { throw new DOMException('no', 'SecurityError'); } })"],
]) {
  test(`without ${name}`, async (context) => {
    const page = await world.page(await world.context(context, init), name, { batchMs: 60_000 });
    await track(page, ['a', 'b']);
    if (name === 'IndexedDB') {
      await page.evaluate(() => { localStorage[Object.keys(localStorage).find((key) => key.includes('e'))] += ''; });
      await world.restart(page, name);
    }
    await track(page, ['b', 'c']);
    assert.equal(await flush(page), true);
    assert.deepEqual(await world.counts(name), ones(['a', 'b', 'c']));
    assert.deepEqual(await codes(page), []);
  });
}

test('bad calls are reported and stop nothing', async (context) => {
  const page = await world.page(await world.context(context), 'bad');
  const told = await page.evaluate(async () => {
    const { client } = globalThis;
    client.identify('ann');
    for (const event of ['', ' ', '\u200b\u3000', 'a\n', 'x'.repeat(300), undefined, 7, Symbol('s'), null]) await client.track(event);
    for (const value of [NaN, Infinity, 1e301, '7', 7n, {}]) await client.track('Buy', { value });
    await client.track('Buy', { at: 'yesterday' });
    await client.track('Good');
    await client.flush();
    return globalThis.errors.map(([code]) => code);
  });
  assert.equal(told.length, 16);
  assert.ok(told.every((code) => code === 'invalid'), told.join());
  assert.deepEqual(await world.counts('bad'), ones(['Good']));
});

test('without pre-aggregation one bad event of a batch is left out, and no other', async (context) => {
  const page = await world.page(await world.context(context), 'halved', { preAggregate: false, batchMs: 60_000, memory: { nameBytesMax: 1_000 } });
  const bad = 'x'.repeat(300);
  const names = Array.from({ length: 20 }, (_, nth) => (nth === 13 ? bad : `event ${nth}`));
  await track(page, names);
  assert.equal(await flush(page), true);
  assert.deepEqual(await codes(page), ['refused']);
  assert.deepEqual(await world.counts('halved'), ones(names.filter((name) => name !== bad)));
});

const WORKER = (url, parts) => `
import { KimballClient } from '/dist/index.js';
${parts ? "import * as parts from '/dist/parts.js';" : ''}
const errors = [];
const client = new KimballClient({ url: ${JSON.stringify(url)}, token: 'may-send', namespace: ${JSON.stringify(parts ? 'service' : 'worker')},
  ${parts ? 'parts: async () => parts,' : ''} onError: (error) => errors.push(error.message) });
const use = async (answer) => {
  client.identify('ann');
  for (let nth = 0; nth < 100; nth += 1) client.track(\`event \${nth % 4}\`);
  answer([await client.flush(), errors]);
};
${parts ? `self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('message', (event) => event.waitUntil(use((outcome) => event.source.postMessage(outcome))));`
    : 'self.onmessage = () => use((outcome) => self.postMessage(outcome));'}
`;

test('inside a Web Worker and a service worker', async (context) => {
  const browser = await world.context(context);
  world.state.keep = 'order';
  world.state.scripts = { '/worker.js': WORKER(world.proxy, false), '/service.js': WORKER(world.proxy, true) };
  const page = await browser.newPage();
  await page.goto(`${world.origin}/`);
  const worker = await page.evaluate(() => new Promise((resolve) => {
    const started = new Worker('/worker.js', { type: 'module' });
    started.onmessage = ({ data }) => resolve(data);
    started.postMessage('go');
  }));
  assert.deepEqual(worker, [true, []]);
  const service = await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.register('/service.js', { type: 'module' });
    await navigator.serviceWorker.ready;
    return new Promise((resolve) => {
      navigator.serviceWorker.onmessage = ({ data }) => resolve(data);
      registration.active.postMessage('go');
    });
  });
  assert.deepEqual(service, [true, []]);
  const names = ['event 0', 'event 1', 'event 2', 'event 3'];
  assert.deepEqual([await world.counts('worker'), await world.counts('service')], [ones(names), ones(names)]);
  assert.equal(world.sent().length, 2 * 25, 'four of the first round, three of each of the next seven');
});

for (const [server, isPlain] of [['that takes it', true], ['of an earlier version', false]]) {
  test(`a page that goes ${isPlain ? 'waits for no preflight' : 'sends as ever'}, to a server ${server}`, async (context) => {
    const namespace = `last ${isPlain}`;
    const page = await world.page(await world.context(context), namespace, { batchMs: 60_000 });
    const earlier = { status: 204, headers: { 'kimball-epoch': '0' } };
    world.state.answer = ({ events }) => (events.length && !isPlain && world.posts.length === 0 ? earlier : null);
    await track(page, ['a']);
    assert.equal(await flush(page), true);
    await track(page, ['b']);
    world.state.preflightMs = isPlain ? 2_000 : 0;
    await page.goto('about:blank');
    await until('it is counted', async () => (await world.counts(namespace)).b === 1);
    assert.equal(world.posts.at(-1).isPlain, isPlain);
  });
}
