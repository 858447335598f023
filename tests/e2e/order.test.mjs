// What the client does so that nothing of the order of events is lost, and that no more leaves the page than the server needs.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, until } from './harness/world.mjs';

const world = await createWorld({ after });

const PAUSE_MS = 400;

/** Tracks events of ann, one after the other, and waits until they are queued. */
const track = (page, ...names) => page.evaluate(async (events) => {
  globalThis.client.identify('ann');
  for (const event of events) await globalThis.client.track(event);
}, names);
/** A page of a server that needs the order of events. */
const ordered = async (context, namespace) => {
  const browser = await world.context(context);
  world.state.keep = 'order';
  return world.page(browser, namespace);
};
const flush = (page) => page.evaluate(() => globalThis.client.flush());
const pause = () => new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
const namesOf = (posts) => posts.map(({ events }) => events.map(({ event_name: name }) => name));
const today = () => new Date().toISOString().slice(0, 10);

test('every event has an id, and keeps it when it is sent again', async (context) => {
  const page = await world.page(await world.context(context), 'ids', { batchMs: 60_000 });
  world.state.answer = () => (world.posts.length === 0 ? { status: 503 } : null);
  await track(page, 'a', 'b', 'a');
  assert.equal(await flush(page), false);
  await until('it is sent again', () => world.posts.length === 2);
  const [first, second] = world.posts.map(({ events }) => events.map(({ id }) => id));
  assert.deepEqual(first, second);
  assert.equal(new Set(first).size, 3);
  for (const id of first) assert.match(id, /^[\w-]{11}$/);
});

test('news of order waits for other news, and does not overtake it', async (context) => {
  const page = await ordered(context, 'quiet');
  await track(page, 'a', 'b');
  await until('they are sent', () => world.sent().length === 2);
  await track(page, 'a', 'b');
  await pause();
  assert.equal(world.sent().length, 2);
  await track(page, 'c');
  await until('all is sent', () => world.sent().length === 5);
  assert.deepEqual(namesOf(world.posts).flat(), ['a', 'b', 'a', 'b', 'c']);
  assert.deepEqual(await codes(page), []);
});

test('20 of them do not wait longer', async (context) => {
  const page = await ordered(context, 'twenty');
  const names = Array.from({ length: 10 }, (_, nth) => `event ${nth}`);
  await track(page, ...names);
  await until('they are sent', () => world.sent().length === 10);
  await track(page, ...names, ...names.slice(0, 9));
  await pause();
  assert.equal(world.sent().length, 10);
  await track(page, names[9]);
  await until('they are sent', () => world.sent().length === 30);
});

test('nor do they when the page is hidden', async (context) => {
  const page = await ordered(context, 'hidden');
  await track(page, 'a', 'b');
  await until('they are sent', () => world.sent().length === 2);
  await track(page, 'a');
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { get: () => true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await until('it is sent', () => world.sent().length === 3);
});

test('two tabs of a user pass on what one page would that sees all, in the order in which it was done', async (context) => {
  const browser = await world.context(context);
  const tabs = [await world.page(browser, 'turns', { batchMs: 60_000 }), await world.page(browser, 'turns', { batchMs: 60_000 })];
  // Always the same numbers, without an order.
  let random = 1;
  const draw = (most) => {
    random = (random * 48_271) % 2_147_483_647;
    return random % most;
  };
  const steps = Array.from({ length: 90 }, () => ({ tab: draw(2), event: 'abcd'[draw(4)] }));
  for (const { tab, event } of steps) await track(tabs[tab], event);
  const expected = await tabs[0].evaluate(async (events) => {
    const { default: init, Aggregator } = await import('/dist/aggregator.js');
    await init();
    const aggregator = new Aggregator();
    for (const event of events) aggregator.record({ event, user: 'ann' });
    return aggregator.drain().events.map(({ event_name: name }) => name);
  }, steps.map(({ event }) => event));
  for (const tab of tabs) assert.equal(await flush(tab), true);
  assert.deepEqual(namesOf(world.posts).flat(), expected);
  assert.ok(expected.length > 20 && expected.length < 90, `${expected.length}`);
});

test('a page that goes sends what is on its way again, before what is not', async (context) => {
  const page = await world.page(await world.context(context), 'going');
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  world.state.answer = () => (world.posts.length === 0 ? held : null);
  await track(page, 'a', 'b');
  await until('they are on their way', () => world.posts.length === 1);
  await track(page, 'c');
  await page.goto('about:blank');
  await until('the rest is sent', () => world.posts.length === 2);
  assert.deepEqual(namesOf(world.posts), [['a', 'b'], ['a', 'b', 'c']]);
  const [first, second] = world.posts.map(({ events }) => events.map(({ id }) => id));
  assert.deepEqual(second.slice(0, 2), first);
  release(null);
});

for (const [when, waits] of [['when it went', false], ['before it went', true]]) test(`what a page could not store ${when} is not taken for known by the next one`, async (context) => {
  const page = await ordered(context, 'gone');
  await track(page, 'a', 'b');
  await until('they are sent', () => world.sent().length === 2);
  await page.evaluate(async (isAwaited) => {
    IDBObjectStore.prototype.put = () => { throw new Error('too late'); };
    const queued = globalThis.client.track('a');
    if (isAwaited) await queued;
    else globalThis.dispatchEvent(new Event('pagehide'));
  }, waits);
  await world.restart(page, 'gone');
  await until('it is sent', () => world.sent().length > 2);
  const before = world.sent().length;
  // Behind `a b` this would be a repeat; behind `a b a` it is none.
  await track(page, 'b');
  await until('it is sent', () => world.sent().length > before);
  await track(page, 'b');
  await pause();
  const ids = world.sent().map(({ id, event_name: name }) => `${name} ${id}`);
  assert.deepEqual([...new Set(ids)].map(([name]) => name), ['a', 'b', 'a', 'b']);
});

/** Has the server say what pages have to keep. */
const say = (keep) => {
  world.state.answer = (post) => (post.events.length ? { status: 204, headers: { 'kimball-keep': keep() } } : null);
};

test('a page keeps what the server says for its own day, over a reload too, and all of it on the next day', async (context) => {
  const page = await world.page(await world.context(context), 'keep');
  say(() => `day; day=${today()}`);
  await track(page, 'a', 'b', 'a');
  await flush(page);
  await track(page, 'b', 'a', 'c', 'a');
  await flush(page);
  await world.restart(page, 'keep');
  await track(page, 'b', 'd', 'b');
  await flush(page);
  const tomorrow = new Date(Date.now() + 86_400_000);
  await page.clock.setFixedTime(tomorrow);
  await track(page, 'a', 'b', 'a');
  await flush(page);
  await track(page, 'b');
  await flush(page);
  assert.deepEqual(namesOf(world.posts), [['a', 'b', 'a'], ['c'], ['d'], ['a', 'b', 'a'], ['b']]);
  assert.deepEqual(world.posts.map(({ kept }) => kept), ['order', 'day', 'day', 'order', 'order']);
  assert.deepEqual(await codes(page), []);
});

test('a week is enough where the server says so', async (context) => {
  const page = await world.page(await world.context(context), 'keep-week');
  say(() => `week; day=${today()}`);
  await track(page, 'a');
  await flush(page);
  await track(page, 'b', 'a', 'b');
  await flush(page);
  assert.deepEqual(namesOf(world.posts), [['a'], ['b']]);
  assert.deepEqual(world.posts.map(({ kept }) => kept), ['order', 'week']);
});

for (const [what, preAggregate, keep, kept] of [
  ['another day', 'order', () => 'week; day=2020-02-02', 'order'],
  ['more than the option', 'week', () => `order; day=${today()}`, 'week'],
  ['something unknown', 'order', () => `nothing; day=${today()}`, 'order'],
  ['no day', 'day', () => 'week', 'day'],
]) {
  test(`what the server says of ${what} changes nothing`, async (context) => {
    const page = await world.page(await world.context(context), 'unmoved', { preAggregate });
    say(keep);
    for (const name of ['a', 'b']) {
      await track(page, name);
      await flush(page);
    }
    assert.deepEqual(world.posts.map((post) => post.kept), [kept, kept]);
  });
}
