// The client in Firefox: a page that is kept to be gone back to holds up no other, goes on when it is shown again, and a page that is closed
// delivers.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { firefox, missing } from './harness/firefox.mjs';
import { TOKENS, createWorld, until } from './harness/world.mjs';

const world = missing ? undefined : await createWorld({ after });
const inFirefox = (name, run) => test(name, { skip: missing ?? false }, run);

/** A client on the page, and what it has reported. */
const start = (page, namespace, options = {}) => page.evaluate(async (settings) => {
  const { KimballClient } = await import('/dist/index.js');
  globalThis.errors = [];
  globalThis.client = new KimballClient({ ...settings, onError: ({ code }) => globalThis.errors.push(code) });
}, { url: world.proxy, token: TOKENS.ingest, namespace, batchMs: 50, ...options });

const track = (page, ...names) => page.evaluate(async (events) => {
  globalThis.client.identify('ann');
  for (const event of events) await globalThis.client.track(event);
}, names);

const flush = (page, ms = 20_000) => page.evaluate((deadline) => Promise.race([
  globalThis.client.flush(),
  new Promise((resolve) => { setTimeout(resolve, deadline, 'never'); }),
]), ms);

/** Goes where a link leads, as a visitor does. */
async function click(page, path) {
  const there = `${world.origin}${path}`;
  await page.evaluate((address) => {
    const link = document.createElement('a');
    link.href = address;
    document.body.append(link);
    link.click();
  }, there);
  await until('it is there', () => page.evaluate((address) => location.href === address, there).catch(() => false));
}

/** Goes back, to the page as it was where Firefox has kept it, as it does unless the machine is busy; else to a new client. */
async function back(page, namespace) {
  await page.evaluate(() => history.back()).catch(() => {});
  await until('it is back', () => page.evaluate(() => location.pathname === '/' && document.readyState === 'complete').catch(() => false));
  if (!await page.evaluate(() => globalThis.client !== undefined)) await start(page, namespace);
}

async function begin(context, namespace, options) {
  world.posts.length = 0;
  world.state.answer = null;
  const browser = await firefox(context);
  const page = await browser.newPage();
  await page.goto(`${world.origin}/`);
  await start(page, namespace, options);
  return { browser, page };
}

for (const [what, hold] of [['at rest', false], ['with a request on its way', true]]) {
  inFirefox(`a click on a link, from a page ${what}: the next page delivers, and so does the first one when it is shown again`, async (context) => {
    const namespace = `link ${what}`;
    const { page } = await begin(context, namespace);
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await track(page, 'a');
    await until('it is sent', () => world.sent().length === 1);
    world.state.answer = () => (hold && world.posts.length === 1 ? held : null);
    await track(page, 'b');
    if (hold) await until('it is on its way', () => world.posts.length === 2);
    // What a page asks for while it goes, it would be given when it stands still.
    await page.evaluate(() => addEventListener('pagehide', () => {
      globalThis.client.track('going');
      globalThis.client.flush();
    }, { capture: true }));
    await click(page, '/two');
    await start(page, namespace);
    await track(page, 'c');
    assert.equal(await flush(page, 5_000), true);
    release(null);
    await back(page, namespace);
    await track(page, 'd');
    assert.equal(await flush(page, 5_000), true);
    const names = ['a', 'b', 'c', 'd', 'going'];
    assert.deepEqual(await world.counts(namespace), Object.fromEntries(names.map((name) => [name, 1])));
    assert.deepEqual(await page.evaluate(() => globalThis.errors), []);
  });
}

inFirefox('a lock that a page keeps which stands still is taken from it', async (context) => {
  const { page } = await begin(context, 'stolen', { batchMs: 60_000 });
  await track(page, 'a');
  await page.evaluate((url) => {
    navigator.locks.request(`kimball:${url}queue`, () => new Promise(() => {}));
  }, world.proxy);
  await track(page, 'b');
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('stolen'), { a: 1, b: 1 });
});

inFirefox('a tab that is closed delivers, over a slow network too', async (context) => {
  const { browser } = await begin(context, 'closing');
  for (let nth = 0; nth < 3; nth += 1) {
    const page = await browser.newPage();
    await page.goto(`${world.origin}/`);
    await start(page, 'closing', { batchMs: 60_000 });
    await track(page, `event ${nth}`);
    world.state.preflightMs = 300;
    await page.close();
    await until(`event ${nth} is counted`, async () => (await world.counts('closing'))[`event ${nth}`] === 1);
    world.state.preflightMs = 0;
  }
});
