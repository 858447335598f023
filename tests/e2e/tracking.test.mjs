// The client in Chromium against the real server: what is tracked is counted, and no more than needed leaves the page.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';

import { codes, createWorld, until } from './harness/world.mjs';

const world = await createWorld({ after });

test('values, goals and combinations are those of the truth, and those of an aggregator in the page', async (context) => {
  const page = await world.page(await world.context(context), 'plain');
  const local = await page.evaluate(async () => {
    const { default: init, Aggregator } = await import('/dist/aggregator.js');
    await init();
    const aggregator = new Aggregator();
    const stream = [['ann', 'Zoë'], ['ann', '𝒜'], ['ann', 'Ａ'], ['ann', 'Buy', 2.5], ['bob', 'Buy', 4], ['bob', 'Zoë'], ['ann', 'Buy', 9]];
    for (const [user, event, value] of stream) {
      globalThis.client.identify(user);
      globalThis.client.track(event, { value, ensureGoal: event === 'Buy' });
      aggregator.record({ event, user, value, ensureGoal: event === 'Buy' });
    }
    await globalThis.client.flush();
    return JSON.stringify(aggregator.report());
  });
  const stored = await world.analytics('plain');
  assert.equal(JSON.stringify(stored), local);
  assert.deepEqual(stored.counts.find(({ name }) => name === 'Buy').event_counts, [
    { events: [], count: 1 }, { events: ['Zoë', 'Ａ', '𝒜'], count: 1 },
  ]);
  assert.equal(world.sent().length, 6);
  assert.deepEqual(await codes(page), []);
});

for (const [preAggregate, leaving] of [['order', 89], ['day', 12], ['week', 12]]) test(`of 12 events 10,000 times, ${leaving} leave the browser (${preAggregate}), over a reload too`, async (context) => {
  const namespace = `repeats-${preAggregate}`;
  const page = await world.page(await world.context(context), namespace, { preAggregate });
  const repeat = () => page.evaluate(async () => {
    globalThis.client.identify('ann');
    for (let nth = 0; nth < 120_000; nth += 1) globalThis.client.track(`event ${nth % 12}`);
    await globalThis.client.flush();
  });
  await repeat();
  assert.equal(world.sent().length, leaving);
  await world.restart(page, namespace, { preAggregate });
  await repeat();
  assert.equal(world.posts.flatMap(({ events }) => events).length, leaving);
  assert.ok(world.posts.every(({ kept }) => kept === preAggregate));
  const counts = await world.counts(namespace);
  assert.deepEqual(Object.values(counts), Array(12).fill(1));
});

test('what comes before identify is held, over a reload too, and goes out as the user\'s', async (context) => {
  const page = await world.page(await world.context(context), 'held');
  await page.evaluate(async () => {
    for (let nth = 0; nth < 100; nth += 1) globalThis.client.track('Landing');
    await globalThis.client.track('Search');
    await globalThis.client.flush();
  });
  assert.equal(world.posts.length, 0);
  await world.restart(page, 'held');
  await page.evaluate(async () => {
    await globalThis.client.track('Landing');
    await globalThis.client.identify('ann');
    await globalThis.client.track('Search');
    await globalThis.client.flush();
  });
  assert.deepEqual(await world.counts('held'), { Landing: 1, Search: 1 });
  const bodies = world.posts.map(({ body }) => body).join();
  assert.deepEqual(world.sent().map(({ event_name: name }) => name), ['Landing', 'Search', 'Landing', 'Search']);
  assert.ok(world.sent().every(({ user_id: user }) => user === 'ann'));
  assert.doesNotMatch(bodies, /[0-9a-f]{32}/);
});

test('blind: the id is in no request and not stored, its salted hash is counted', async (context) => {
  const page = await world.page(await world.context(context), 'blind', { blind: true, salt: 'shop.example' });
  await page.evaluate(async () => {
    globalThis.client.identify('ann@example.org');
    await globalThis.client.track('Login');
  });
  const stored = await page.evaluate(() => new Promise((resolve) => {
    indexedDB.databases().then(([{ name }]) => {
      const open = indexedDB.open(name);
      open.onsuccess = () => {
        const rows = open.result.transaction(name).objectStore(name).getAll();
        rows.onsuccess = () => resolve(JSON.stringify(rows.result));
      };
    });
  }));
  assert.match(stored, /Login/);
  assert.doesNotMatch(stored, /ann@/);
  await page.evaluate(() => globalThis.client.flush());
  const hash = createHash('sha256').update('shop.example\0ann@example.org').digest('hex');
  assert.deepEqual(world.sent().map(({ user_id: user }) => user), [hash]);
  assert.doesNotMatch(world.posts.map(({ body }) => body).join(), /ann@/);
  assert.deepEqual(await world.counts('blind'), { Login: 1 });
});

for (const [signal, value] of [['globalPrivacyControl', true], ['doNotTrack', '1']]) {
  test(`${signal}: nothing is stored or sent unless it is to be ignored`, async (context) => {
    const init = `Object.defineProperty(navigator, '${signal}', { get: () => ${JSON.stringify(value)} })`;
    const browser = await world.context(context, init);
    const page = await world.page(browser, signal);
    const use = () => page.evaluate(async () => {
      await globalThis.client.identify('ann');
      await globalThis.client.track('Login');
      await globalThis.client.flush();
      return Object.keys(localStorage).length;
    });
    assert.equal(await use(), 0);
    assert.equal(world.posts.length, 0);
    await world.restart(page, signal, { ignorePrivacySignals: true });
    await use();
    assert.deepEqual(await world.counts(signal), { Login: 1 });
  });
}

test('opting out is kept, clears the queue, silences other tabs, and can be taken back', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'out', { batchMs: 60_000 });
  const other = await world.page(browser, 'out', { batchMs: 60_000 });
  const track = (tab, event) => tab.evaluate(async (name) => {
    await globalThis.client.identify('ann');
    await globalThis.client.track(name);
  }, event);
  await track(page, 'Before');
  await page.evaluate(() => globalThis.client.optOut());
  await track(page, 'Out');
  await track(other, 'Elsewhere');
  for (const tab of [page, other]) await tab.evaluate(() => globalThis.client.flush());
  await world.restart(page, 'out');
  await track(page, 'Still');
  await page.evaluate(() => globalThis.client.flush());
  assert.equal(world.posts.length, 0);
  await page.evaluate(() => globalThis.client.optIn());
  await track(page, 'In');
  await page.evaluate(() => globalThis.client.flush());
  assert.deepEqual(await world.counts('out'), { In: 1 });
});

test('the files of the server, in a page of another origin', async (context) => {
  const browser = await world.context(context);
  const page = await browser.newPage();
  await page.goto(`${world.origin}/`);
  const told = await page.evaluate(async ([url]) => {
    const { KimballClient } = await import(`${url}/sdk/index.js`);
    const errors = [];
    const client = new KimballClient({ url, token: 'may-send', namespace: 'sdk', onError: (error) => errors.push(error.message) });
    client.identify('ann');
    for (let nth = 0; nth < 100; nth += 1) client.track('Landing');
    return [await client.close(), errors];
  }, [world.server.url.origin]);
  assert.deepEqual(told, [true, []]);
  assert.deepEqual(await world.counts('sdk'), { Landing: 1 });
});

test('what the server has deleted is counted again, once the page has heard of it', async (context) => {
  const page = await world.page(await world.context(context), 'deleted', { preAggregate: 'week' });
  const track = (...events) => page.evaluate(async (names) => {
    globalThis.client.identify('ann');
    for (const name of names) await globalThis.client.track(name);
    await globalThis.client.flush();
  }, events);
  await track('Landing', 'Search');
  await track('Landing', 'Search');
  assert.equal(world.sent().length, 2);
  await world.remove('/v0/events/Landing?namespace=deleted');
  assert.deepEqual(await world.counts('deleted'), { Search: 1 });
  // The page passes nothing on that it has seen, until an answer tells it of the deletion.
  await track('Landing');
  assert.deepEqual(await world.counts('deleted'), { Search: 1 });
  await track('Cart');
  await track('Landing');
  assert.deepEqual(await world.counts('deleted'), { Cart: 1, Landing: 1, Search: 1 });
  await world.restart(page, 'deleted', { preAggregate: 'week' });
  // The event whose answer told it goes out once more, and then nothing.
  await track('Landing', 'Cart', 'Search');
  const events = world.posts.flatMap((post) => post.events).length;
  await track('Landing', 'Cart', 'Search');
  assert.equal(world.posts.flatMap((post) => post.events).length, events, 'it forgets once');
});

test('two tabs share one queue: every event leaves the browser once', async (context) => {
  const browser = await world.context(context);
  const tabs = [await world.page(browser, 'tabs', { preAggregate: 'week' }), await world.page(browser, 'tabs', { preAggregate: 'week' })];
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(tabs.map((tab, at) => tab.evaluate(async ([nth, own]) => {
      await globalThis.client.identify('ann');
      for (let event = 0; event < 8; event += 1) globalThis.client.track(`both ${nth} ${event}`);
      await globalThis.client.track(`own ${own} ${nth}`);
    }, [round, at])));
  }
  await until('all is sent', () => world.sent().length >= 50);
  await Promise.all(tabs.map((tab) => tab.evaluate(() => globalThis.client.flush())));
  const names = world.posts.flatMap(({ events }) => events).map(({ event_name: name }) => name).sort();
  assert.equal(names.length, 50);
  assert.equal(new Set(names).size, 50);
  assert.ok(Object.values(await world.counts('tabs')).every((count) => count === 1));
});

test('flags: cached, told when they change, and a fallback where the server is away', async (context) => {
  const spec = (name, boolean) => world.server.post('/v0/featureSpecs', { name, boolean }, world.authorized).then((answer) => answer.expect(204));
  await spec('new-checkout', true);
  await world.server.post('/v0/featureSpecs', { name: 'beta', user: [{ property: 'plan', comparator: '=', value: 'pro' }] }, world.authorized);
  const page = await world.page(await world.context(context), 'flags', { featuresMs: 100 });
  const ask = (name, fallback) => page.evaluate(([flag, otherwise]) => globalThis.client.feature(flag, otherwise), [name, fallback]);
  assert.deepEqual([await ask('new-checkout'), await ask('beta'), await ask('nowhere', true), await ask('toString')], [true, false, true, false]);
  await page.evaluate(() => globalThis.client.identify('ann', { plan: 'pro' }));
  assert.equal(await ask('beta'), true);
  await page.evaluate(() => {
    globalThis.told = [];
    globalThis.stop = globalThis.client.onChange((features) => globalThis.told.push(features['new-checkout']));
  });
  await spec('new-checkout', false);
  await until('the change is told', () => page.evaluate(() => globalThis.told.includes(false)));
  world.state.answer = () => ({ status: 503 });
  await until('trouble is told', async () => {
    await ask('beta');
    return (await codes(page)).includes('unavailable');
  });
  assert.deepEqual([await ask('beta'), await ask('nowhere', true)], [true, true]);
  await page.evaluate(() => globalThis.stop());
});
