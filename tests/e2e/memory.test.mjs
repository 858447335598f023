// What the client remembers has a bound: what was not done for the longest goes first, and what is in use stays.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, flush, track } from './harness/world.mjs';

const world = await createWorld({ after });

const OPTIONS = { preAggregate: 'week', batchMs: 60_000, queueEventsMax: 10_000, memory: { memoryBytesMax: 1_500 } };
const names = (count, first = 0) => Array.from({ length: count }, (_, nth) => `event ${first + nth}`);
/** More names than the server takes in a day. */
const takesAll = () => {
  world.state.answer = ({ events }) => (events.length ? { status: 204, headers: { 'kimball-epoch': '0' } } : null);
};
const sentNow = async (page, list) => {
  const before = world.sent().length;
  await track(page, list);
  assert.equal(await flush(page), true);
  return world.sent().length - before;
};

test('a full memory forgets the oldest, not what is in use, and warns once, over a reload too', async (context) => {
  const page = await world.page(await world.context(context), 'full', OPTIONS);
  takesAll();
  const inUse = names(5);
  let first = 100;
  while (!(await codes(page)).length) {
    await sentNow(page, [...inUse, ...names(10, first)]);
    first += 10;
    assert.ok(first < 2_000, 'it never fills');
  }
  for (let round = 0; round < 20; round += 1) {
    assert.ok(await sentNow(page, [...inUse, ...names(10, first)]) <= 11);
    first += 10;
    assert.equal(await sentNow(page, inUse), 0, `what is in use is remembered (round ${round})`);
  }
  assert.deepEqual(await codes(page), ['saturated']);
  await world.restart(page, 'full', OPTIONS);
  assert.equal(await sentNow(page, [...inUse, ...names(5, first - 5)]), 0);
  assert.ok(await sentNow(page, names(5, 100)) > 0, 'the oldest are forgotten');
});

test('weeks that are over do not fill it for good', async (context) => {
  const page = await world.page(await world.context(context), 'weeks', { ...OPTIONS, memory: { memoryBytesMax: 1_500 } });
  takesAll();
  const week = (nth) => page.evaluate(async ([list, at]) => {
    globalThis.client.identify('ann');
    for (const name of list) await globalThis.client.track(name, { at });
    return globalThis.client.flush();
  }, [names(4), Date.UTC(2024, 0, 3) + nth * 7 * 86_400_000]);
  for (let nth = 0; nth < 60; nth += 1) {
    await week(nth);
    const before = world.posts.length;
    await week(nth);
    assert.equal(world.posts.length, before, `week ${nth} is remembered`);
  }
  assert.deepEqual(await codes(page), ['saturated']);
});
