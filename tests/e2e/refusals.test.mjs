// The client when the server refuses: what is guilty is left out, what is not is sent, and nobody is flooded.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, flush, ones, track, until } from './harness/world.mjs';

const world = await createWorld({ after });

const names = (count, first = 0) => Array.from({ length: count }, (_, nth) => `event ${first + nth}`);
const error = (status, code, more = {}) => ({ status, body: JSON.stringify({ error: { what: 'no', code, ...more } }) });
const sizes = () => world.posts.map(({ events }) => events.length);
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const nameOf = ({ event_name: name }) => name;

test('507 for everything: the batch is halved once, and then there are pauses', async (context) => {
  const page = await world.page(await world.context(context), 'storm', { batchMs: 20 });
  world.state.answer = ({ events }) => (events.length ? error(507, 'users_full') : null);
  const began = Date.now();
  while (Date.now() - began < 6_000) {
    await track(page, names(25));
    await flush(page);
    await pause(500);
  }
  assert.ok(world.posts.length <= 24, `${world.posts.length} requests: ${sizes()}`);
  assert.deepEqual(sizes().slice(0, 5), [25, 12, 6, 3, 1]);
  assert.ok(sizes().slice(5).every((size) => size === 1), `${sizes()}`);
});

test('one event that is refused, and not named, costs log2 of the batch; nothing else is lost or forgotten', async (context) => {
  const page = await world.page(await world.context(context), 'guilty', { batchMs: 60_000, preAggregate: 'week' });
  const all = names(64);
  world.state.answer = ({ events }) => (events.some((event) => event.event_name === 'event 63') ? { status: 413 } : null);
  await track(page, all);
  await flush(page);
  await until('the others are counted', async () => (await flush(page)) || null);
  const refused = world.posts.filter(({ events }) => events.some((event) => event.event_name === 'event 63'));
  assert.ok(world.posts.length <= 1 + 7 + 1, `${world.posts.length} requests: ${sizes()}`);
  assert.equal(refused.at(-1).events.length, 1);
  assert.deepEqual(await world.counts('guilty'), ones(all.slice(0, 63)));
  assert.deepEqual(await codes(page), ['refused']);
  const before = world.posts.length;
  await track(page, all.slice(0, 63));
  assert.equal(await flush(page), true);
  assert.equal(world.posts.length, before, 'what was taken is not sent again');
});

test('an event that the server names is left out at once, and the others are sent', async (context) => {
  const page = await world.page(await world.context(context), 'named', { batchMs: 60_000 });
  const at = (events) => events.findIndex((event) => event.event_name === 'event 5');
  world.state.answer = ({ events }) => (at(events) >= 0 ? error(400, 'field_invalid', { index: at(events) }) : null);
  await track(page, names(10));
  assert.equal(await flush(page), true);
  assert.deepEqual(sizes(), [10, 9]);
  assert.deepEqual(await world.counts('named'), ones(names(10).filter((name) => name !== 'event 5')));
});

test('a goal that the token may not make is left out and reported, and what follows is sent', async (context) => {
  const browser = await world.context(context);
  const server = await world.strict();
  const page = await world.page(browser, 'goals', { url: server.url.origin, batchMs: 60_000 });
  const sent = await page.evaluate(async () => {
    globalThis.client.identify('ann');
    globalThis.client.track('Landing');
    globalThis.client.track('Buy', { ensureGoal: true });
    globalThis.client.track('Leave');
    return [await globalThis.client.flush(), await globalThis.client.flush(), globalThis.errors.map(([code, count]) => [code, count])];
  });
  assert.deepEqual(sent, [true, true, [['refused', 1]]]);
  assert.deepEqual((await server.analytics('goals', world.authorized)).counts.map(({ name }) => name), ['Landing', 'Leave']);
});

for (const status of [401, 403]) {
  test(`${status} for the token: everything stays queued, and is sent once it is right`, async (context) => {
    const browser = await world.context(context);
    const page = await world.page(browser, `token-${status}`, { token: 'wrong', batchMs: 60_000 });
    if (status === 403) world.state.answer = () => error(403, 'forbidden');
    await track(page, ['a', 'b']);
    assert.equal(await flush(page), false);
    assert.deepEqual(await codes(page), ['unavailable']);
    assert.equal(world.posts.length, 1);
    world.state.answer = null;
    await world.restart(page, `token-${status}`);
    assert.equal(await flush(page), true);
    assert.deepEqual(await world.counts(`token-${status}`), ones(['a', 'b']));
  });
}

for (const [what, answer] of [
  ['404 with a code about events', () => error(404, 'event_unknown')],
  ['422', () => ({ status: 422 })],
  ['403 with a code about events', () => error(403, 'namespace_unknown')],
]) {
  test(`${what}: the event is left out, and what follows is sent`, async (context) => {
    const namespace = `about ${what}`;
    const page = await world.page(await world.context(context), namespace, { batchMs: 50 });
    world.state.answer = ({ events }) => (events.some((event) => event.event_name === 'bad') ? answer() : null);
    await track(page, ['a', 'bad', 'b']);
    await until('the others are counted', async () => Object.keys(await world.counts(namespace)).length === 2);
    assert.deepEqual(await world.counts(namespace), ones(['a', 'b']));
    assert.deepEqual(await codes(page), ['refused']);
  });
}

for (const [what, answer] of [
  ['204 without the header of the server', { status: 204 }],
  ['200 of something else', { status: 200, body: '<!doctype html>Please log in' }],
  ['404 of another server', { status: 404, body: 'not found' }],
]) {
  test(`${what} acknowledges nothing: it is reported, and the events stay`, async (context) => {
    const namespace = `strange ${what}`;
    const page = await world.page(await world.context(context), namespace, { batchMs: 60_000 });
    world.state.answer = ({ events }) => (events.length ? answer : null);
    await track(page, ['a', 'b']);
    assert.equal(await flush(page), false);
    assert.deepEqual(await codes(page), ['unavailable']);
    world.state.answer = null;
    assert.equal(await flush(page), true);
    assert.deepEqual(await world.counts(namespace), ones(['a', 'b']));
  });
}

test('what was refused is news again after a reload and in another tab, and rests in the page that heard it', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'again', { preAggregate: 'week' });
  const other = await world.page(browser, 'again', { preAggregate: 'week' });
  const isBad = ({ event_name: name }) => name.startsWith('bad');
  world.state.answer = ({ events }) => (events.some(isBad) ? error(400, 'field_invalid', { index: events.findIndex(isBad) }) : null);
  await track(page, ['a', 'bad 1', 'bad 2']);
  assert.equal(await flush(page), true);
  const before = world.posts.length;
  await track(page, ['bad 1', 'bad 2', 'a']);
  assert.equal(await flush(page), true);
  assert.equal(world.posts.length, before, 'the same page does not ask again at once');
  world.state.answer = null;
  await track(other, ['bad 1', 'a']);
  assert.equal(await flush(other), true);
  assert.deepEqual(await world.counts('again'), ones(['a', 'bad 1']));
  await world.restart(page, 'again', { preAggregate: 'week' });
  await track(page, ['bad 1', 'bad 2', 'a']);
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('again'), ones(['a', 'bad 1', 'bad 2']));
  assert.deepEqual(world.sent().map(nameOf).sort(), ['a', 'bad 1', 'bad 2']);
});

test('what a full queue has lost is news again after a reload and in another tab', async (context) => {
  const browser = await world.context(context);
  const options = { queueEventsMax: 3, batchMs: 60_000, preAggregate: 'week' };
  const page = await world.page(browser, 'evicted', options);
  const other = await world.page(browser, 'evicted', options);
  await track(other, ['before']);
  assert.equal(await flush(other), true);
  world.state.answer = ({ events }) => (events.length ? { status: 503 } : null);
  await track(page, names(5));
  world.state.answer = null;
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('evicted'), ones(['before', ...names(3, 2)]));
  await track(other, ['event 0', 'event 4']);
  assert.equal(await flush(other), true);
  await world.restart(page, 'evicted', options);
  await track(page, ['event 1', 'event 0', 'before']);
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('evicted'), ones(['before', ...names(5)]));
  assert.equal(world.sent().length, 6);
});

test('another epoch of the server has every tab forget, a smaller one too', async (context) => {
  const browser = await world.context(context);
  const options = { batchMs: 60_000, preAggregate: 'week' };
  const page = await world.page(browser, 'epochs', options);
  const other = await world.page(browser, 'epochs', options);
  let epoch = 7;
  world.state.answer = ({ events }) => (events.length ? { status: 204, headers: { 'kimball-epoch': `${epoch}` } } : null);
  await track(page, ['a']);
  await flush(page);
  await track(other, ['a', 'b']);
  await flush(other);
  for (const [next, tab] of [[9, page], [3, other]]) {
    epoch = next;
    await track(tab, [`news ${next}`]);
    await flush(tab);
    for (const one of [page, other]) {
      await track(one, [`${next} again`, 'a', 'b']);
      await flush(one);
    }
  }
  const sent = world.sent().map(nameOf).filter((name) => ['a', 'b'].includes(name));
  assert.deepEqual(sent, ['a', 'b', 'a', 'b', 'a', 'b']);
});

test('Retry-After beyond what a timer can wait is waited for', async (context) => {
  const counting = 'const wait = setTimeout; globalThis.timers = 0; globalThis.setTimeout = (...args) => { globalThis.timers += 1; return wait(...args); };';
  const page = await world.page(await world.context(context, counting), 'long');
  world.state.answer = ({ events }) => (events.length ? { status: 503, headers: { 'retry-after': '3000000' } } : null);
  await track(page, ['a']);
  await until('it is refused', () => world.posts.length === 1);
  const before = await page.evaluate(() => globalThis.timers);
  await pause(1_500);
  assert.equal(world.posts.length, 1);
  assert.ok(await page.evaluate(() => globalThis.timers) - before < 20, 'it looks at its watch all the time');
});

test('a clock that is set back does not prolong a pause', async (context) => {
  const page = await world.page(await world.context(context), 'back');
  world.state.answer = ({ events }) => (events.length && world.posts.length === 0 ? { status: 503, headers: { 'retry-after': '2' } } : null);
  await track(page, ['a']);
  await until('it is told', async () => (await codes(page)).length === 1);
  await page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() - 3_600_000;
  });
  await until('it is counted', async () => (await world.counts('back')).a === 1);
});
