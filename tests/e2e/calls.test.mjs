// What a page may say: addresses, options and calls of every kind work, or are refused with a clear error, and never count as something else.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, flush, ones, track, until } from './harness/world.mjs';

const world = await createWorld({ after });

test('an address with a slash at its end, with a path, or none: where requests go', async (context) => {
  const browser = await world.context(context);
  const page = await browser.newPage();
  const asked = [];
  page.on('request', (request) => { if (request.method() === 'POST') asked.push(request.url()); });
  await page.goto(`${world.origin}/shop/`);
  const urls = [`${world.proxy}/`, `${world.proxy}/under/a/path//`, `${world.proxy}?x=1#y`, '/kimball/', 'near', '', undefined, null];
  for (const url of urls) {
    const before = asked.length;
    await page.evaluate(async ([address, isNull]) => {
      const { KimballClient } = await import('/dist/index.js');
      const client = new KimballClient({ url: isNull ? null : address, onError() {}, storage: 'memory' });
      client.identify('ann');
      client.track('a');
      await client.close();
    }, [url, url === null]);
    await until('it is asked', () => asked.length > before);
  }
  assert.deepEqual(asked, [
    `${world.proxy}/v0/analytics`, `${world.proxy}/under/a/path/v0/analytics`, `${world.proxy}/v0/analytics`,
    `${world.origin}/kimball/v0/analytics`, `${world.origin}/shop/near/v0/analytics`,
    `${world.origin}/v0/analytics`, `${world.origin}/v0/analytics`, `${world.origin}/v0/analytics`,
  ]);
});

test('what is no address is refused at once, with a clear error', async (context) => {
  const page = await world.page(await world.context(context), 'addresses');
  const refused = await page.evaluate(async () => {
    const { KimballClient } = await import('/dist/index.js');
    return ['ftp://a.example', 'https://', 'javascript:1', 7, {}].map((url) => {
      try {
        new KimballClient({ url });
        return 'taken';
      } catch (error) {
        return `${error.name} ${/option url/.test(error.message)}`;
      }
    });
  });
  assert.deepEqual(refused, Array(5).fill('TypeError true'));
});

test('undefined for any option means its default', async (context) => {
  const page = await world.page(await world.context(context), 'defaults', {});
  const told = await page.evaluate(async ([url]) => {
    const { KimballClient } = await import('/dist/index.js');
    const names = ['batchEvents', 'batchMs', 'queueEventsMax', 'storage', 'preAggregate', 'memory', 'blind', 'salt', 'ignorePrivacySignals',
      'featuresMs', 'featuresTimeoutMs', 'onError', 'parts', 'namespace', 'optedOut'];
    const nothing = Object.fromEntries(names.map((name) => [name, undefined]));
    const client = new KimballClient({ ...nothing, url, token: 'may-send' });
    client.identify('ann');
    for (let nth = 0; nth < 3; nth += 1) client.track('a');
    return [await client.flush(), await client.feature('none', true)];
  }, [world.proxy]);
  assert.deepEqual(told, [true, true]);
  assert.equal(world.sent().length, 1);
});

test('queues of addresses that begin alike are apart, in localStorage, too', async (context) => {
  const init = "Object.defineProperty(globalThis, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError'); } })";
  const page = await world.page(await world.context(context, init), 'alike', { batchMs: 60_000 });
  await track(page, ['short']);
  const sent = await page.evaluate(async ([url]) => {
    const { KimballClient } = await import('/dist/index.js');
    const client = new KimballClient({ url, token: 'may-send', namespace: 'alike', batchMs: 60_000, onError() {} });
    client.identify('ann');
    await client.track('long');
    const answer = await globalThis.client.flush();
    return [answer, Object.keys(localStorage).filter((key) => / e/.test(key)).length];
  }, [`${world.proxy}/longer`]);
  assert.deepEqual(sent, [true, 1]);
  assert.deepEqual(await world.counts('alike'), ones(['short']));
});

test('no call throws, whatever it is given', async (context) => {
  const page = await world.page(await world.context(context), 'odd', { batchMs: 60_000 });
  const thrown = await page.evaluate(async () => {
    const { client } = globalThis;
    const circle = {};
    circle.self = circle;
    const calls = [
      () => client.identify('ann', null), () => client.identify('ann', circle), () => client.identify('ann', { n: 7n }),
      () => client.track('a', null), () => client.track('b', 7), () => client.track('c', { value: null, namespace: null, at: null, ensureGoal: null }),
      () => client.track('d', { value: true }), () => client.track('e', { value: '7' }), () => client.track(null, null), () => client.feature(null),
    ];
    const errors = [];
    for (const call of calls) {
      try {
        await call();
      } catch (error) {
        errors.push(error.message);
      }
    }
    return errors;
  });
  assert.deepEqual(thrown, []);
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('odd'), ones(['a', 'b', 'c']));
  assert.deepEqual(await codes(page), Array(5).fill('invalid'));
});

test('flush() answers true or false, also where nothing could be loaded, and after close()', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'closed', {});
  const answers = await page.evaluate(async ([url]) => {
    const { KimballClient } = await import('/dist/index.js');
    const broken = new KimballClient({ url, parts: () => Promise.reject(new Error('no parts')), onError() {} });
    const { client } = globalThis;
    const whole = [await broken.flush(), await client.flush(), await client.close()];
    const before = globalThis.errors.length;
    await client.track('late');
    await client.identify('bob');
    return [...whole, await client.flush(), await client.close(), client.state(), globalThis.errors.slice(before).map(([code]) => code)];
  }, [world.proxy]);
  assert.deepEqual(answers, [false, true, true, false, false, 'closed', ['closed', 'closed', 'closed', 'closed']]);
});

test('parts that never come: calls go out unseen, and flush() is answered', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'unloaded', {});
  const answer = await page.evaluate(async ([url]) => {
    const { KimballClient } = await import('/dist/index.js');
    const client = new KimballClient({ url, token: 'may-send', namespace: 'unloaded', parts: () => new Promise(() => {}), onError() {} });
    client.identify('ann');
    client.track('a');
    return client.flush();
  }, [world.proxy]);
  assert.equal(answer, false);
  await until('it is counted', async () => (await world.counts('unloaded')).a === 1);
});
