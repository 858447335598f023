// The client when its storage goes away under the page: it goes on, opens it anew, says so once, and nothing is lost.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, flush, ones, storeRows, track, until } from './harness/world.mjs';

const world = await createWorld({ after });

const deleteDatabase = (page) => page.evaluate(async () => {
  for (const { name } of await indexedDB.databases()) {
    const deleted = indexedDB.deleteDatabase(name);
    await new Promise((resolve, reject) => {
      deleted.onsuccess = resolve;
      deleted.onerror = reject;
    });
  }
});
const clearStores = (page) => storeRows(page, [], { isCleared: true });
const clearSite = async (page) => {
  const session = await page.context().newCDPSession(page);
  await session.send('Storage.clearDataForOrigin', { origin: world.origin, storageTypes: 'all' });
};

for (const [what, clear] of [['deleted by the page', deleteDatabase], ['emptied', clearStores], ['cleared by the visitor', clearSite]]) {
  test(`a database that is ${what}: what was queued and what comes is counted, over a reload too`, async (context) => {
    const namespace = `gone ${what}`;
    const browser = await world.context(context);
    const page = await world.page(browser, namespace, { batchMs: 60_000 });
    await track(page, ['a', 'b']);
    await clear(page);
    await track(page, ['c']);
    await clear(page);
    await track(page, ['d']);
    assert.deepEqual(await codes(page), ['storage']);
    await world.restart(page, namespace, { batchMs: 60_000 });
    assert.equal(await flush(page), true);
    assert.deepEqual(await world.counts(namespace), ones(['a', 'b', 'c', 'd']));
    assert.deepEqual(await codes(page), []);
  });
}

test('two tabs whose database is deleted lose nothing', async (context) => {
  const browser = await world.context(context);
  const tabs = [await world.page(browser, 'both', { batchMs: 60_000 }), await world.page(browser, 'both', { batchMs: 60_000 })];
  for (const [at, tab] of tabs.entries()) await track(tab, [`before ${at}`]);
  await deleteDatabase(tabs[0]);
  for (const [at, tab] of tabs.entries()) await track(tab, [`after ${at}`]);
  for (const tab of tabs) assert.equal(await flush(tab), true);
  assert.deepEqual(await world.counts('both'), ones(['after 0', 'after 1', 'before 0', 'before 1']));
});

const HANGS = `
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...args) {
    const request = open.apply(this, args);
    for (const name of ['onsuccess', 'onerror', 'onupgradeneeded']) Object.defineProperty(request, name, { set() {} });
    return request;
  };`;

test('a database that never opens: the queue is elsewhere, and outlives the page', async (context) => {
  const page = await world.page(await world.context(context, HANGS), 'hangs', { batchMs: 60_000 });
  world.state.answer = ({ events }) => (events.length ? { status: 503 } : null);
  await track(page, ['a', 'b']);
  world.state.answer = null;
  await world.restart(page, 'hangs');
  await until('it is counted', async () => Object.keys(await world.counts('hangs')).length === 2);
  assert.deepEqual(await world.counts('hangs'), ones(['a', 'b']));
});

const STOPS = `
  globalThis.stop = () => {
    for (const method of ['getAll', 'getAllKeys', 'put', 'delete']) {
      IDBObjectStore.prototype[method] = () => ({});
    }
    IDBDatabase.prototype.transaction = () => ({ objectStore: () => IDBObjectStore.prototype });
    IDBFactory.prototype.open = () => ({});
  };`;

test('a database that stops to answer: the page goes on, and flush() is answered', async (context) => {
  const page = await world.page(await world.context(context, STOPS), 'stops', { batchMs: 60_000 });
  await track(page, ['a']);
  await page.evaluate(() => globalThis.stop());
  await page.evaluate(() => { globalThis.client.track('b'); });
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('stops'), ones(['a', 'b']));
  assert.deepEqual(await codes(page), ['storage']);
});

test('what was kept in localStorage while there was no database is sent when there is one', async (context) => {
  const broken = 'if (new URL(location.href).hash !== "#mended") Object.defineProperty(globalThis, "indexedDB", { get() { throw new DOMException("no", "SecurityError"); } });';
  const page = await world.page(await world.context(context, broken), 'moves', { batchMs: 60_000 });
  await track(page, ['a', 'b']);
  await page.evaluate(() => { location.hash = 'mended'; });
  world.state.answer = ({ events }) => (events.length ? { status: 503 } : null);
  await page.reload();
  world.state.answer = null;
  await world.restart(page, 'moves');
  await until('it is counted', async () => Object.keys(await world.counts('moves')).length === 2);
  const left = await page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes(' e')));
  assert.deepEqual(left, []);
});
