// Whose events and flags are: the second user of a browser, visitors who do not want to be counted, and flags of one user at a time.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { codes, createWorld, flush, ones, track, until } from './harness/world.mjs';

const world = await createWorld({ after });

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

for (const preAggregate of ['order', 'week']) {
  test(`what was done before identify goes out as the second user's, too (${preAggregate})`, async (context) => {
    const namespace = `second-${preAggregate}`;
    const page = await world.page(await world.context(context), namespace, { preAggregate });
    const visit = (user) => page.evaluate(async (id) => {
      await globalThis.client.track('Landing');
      await globalThis.client.identify(id);
      return globalThis.client.flush();
    }, user);
    for (const user of ['ann', 'bob', 'ann', 'cleo']) {
      assert.equal(await visit(user), true);
      await world.restart(page, namespace, { preAggregate });
    }
    assert.deepEqual(world.sent().map(({ user_id: user }) => user), ['ann', 'bob', 'cleo']);
    assert.deepEqual(await world.counts(namespace), { Landing: 3 });
  });
}

/** Answers flags of a user after a while, or not at all. */
function flags(answerOf) {
  const asked = [];
  world.state.answer = (_, request) => {
    if (!request.url.startsWith('/v0/features')) return null;
    const user = JSON.parse(Buffer.from(new URL(request.url, 'http://x').searchParams.get('user_obj'), 'base64').toString());
    asked.push(user);
    return answerOf(user, asked.length);
  };
  return asked;
}
const mine = (user) => ({ status: 200, body: JSON.stringify({ features: { [`of ${user.user_id}`]: true } }) });

test('a late answer for one user is not shown to the next', async (context) => {
  const page = await world.page(await world.context(context), 'late');
  flags((user) => (user.user_id === 'ann' ? pause(600).then(() => mine(user)) : mine(user)));
  const seen = await page.evaluate(async () => {
    const told = [];
    globalThis.client.identify('ann');
    globalThis.client.onChange((features) => told.push(Object.keys(features)));
    const ofAnn = globalThis.client.features();
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    globalThis.client.identify('bob');
    const ofBob = Object.keys(await globalThis.client.features());
    await ofAnn;
    await new Promise((resolve) => { setTimeout(resolve, 200); });
    return { ofBob, later: Object.keys(await globalThis.client.features()), told };
  });
  assert.deepEqual(seen, { ofBob: ['of bob'], later: ['of bob'], told: [['of bob']] });
});

test('where those of a user cannot be had, nobody else\'s are shown', async (context) => {
  const page = await world.page(await world.context(context), 'none');
  flags((user) => (user.user_id === 'ann' ? mine(user) : { status: 503 }));
  const seen = await page.evaluate(async () => {
    globalThis.client.identify('ann');
    const ofAnn = await globalThis.client.feature('of ann');
    globalThis.client.identify('bob');
    return [ofAnn, await globalThis.client.feature('of ann'), await globalThis.client.features()];
  });
  assert.deepEqual(seen, [true, false, {}]);
});

test('20 times the same user ask once; other properties ask again', async (context) => {
  const page = await world.page(await world.context(context), 'once');
  const asked = flags(mine);
  await page.evaluate(async () => {
    for (let time = 0; time < 20; time += 1) {
      globalThis.client.identify('ann', { plan: 'pro' });
      await globalThis.client.feature('of ann');
    }
  });
  assert.equal(asked.length, 1);
  await page.evaluate(async () => {
    globalThis.client.identify('ann', { plan: 'free' });
    await globalThis.client.feature('of ann');
  });
  assert.deepEqual(asked, [{ plan: 'pro', user_id: 'ann' }, { plan: 'free', user_id: 'ann' }]);
});

for (const [what, hold] of [['flags', false], ['the parts', true]]) {
  test(`${what} that never come: the fallback, within featuresTimeoutMs`, async (context) => {
    const browser = await world.context(context);
    const never = new Promise(() => {});
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    if (hold) world.state.hold = held;
    const page = await world.page(browser, 'never', { featuresTimeoutMs: 400 });
    flags(() => never);
    const [isOn, took] = await page.evaluate(async () => {
      const began = performance.now();
      const answer = await globalThis.client.feature('any', true);
      return [answer, performance.now() - began];
    });
    assert.equal(isOn, true);
    assert.ok(took >= 390 && took < 2_000, `${took} ms`);
    assert.deepEqual(await codes(page), ['unavailable']);
    release();
  });
}

test('half an emoji in a property costs no flag, and in a name no event', async (context) => {
  const page = await world.page(await world.context(context), 'halves');
  const spec = { name: 'for-all', boolean: true };
  (await world.server.post('/v0/featureSpecs', spec, world.authorized)).expect(204);
  const seen = await page.evaluate(async () => {
    globalThis.client.identify('ann \ud83d', { name: 'Zoë \ud83d' });
    globalThis.client.track('Half \ud83d');
    return [await globalThis.client.feature('for-all'), await globalThis.client.flush()];
  });
  assert.deepEqual(seen, [true, true]);
  assert.deepEqual(await codes(page), []);
  assert.deepEqual(await world.counts('halves'), { 'Half \ufffd': 1 });
});

/** What a page has asked for, and stored, behind the shell. */
async function traces(page) {
  const loaded = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  const databases = await page.evaluate(async () => (await indexedDB.databases()).length);
  return { loaded: loaded.filter((name) => /parts|wasm|aggregator|\/v0\//.test(name)), databases };
}

const GPC = "Object.defineProperty(navigator, 'globalPrivacyControl', { get: () => true })";
for (const [what, init, options, state] of [
  ['Global Privacy Control', GPC, {}, 'signalled'],
  ['optedOut: true', '', { optedOut: true }, 'opted-out'],
  ['optedOut: true with blind ids', '', { optedOut: true, blind: true }, 'opted-out'],
]) {
  test(`${what}: nothing is loaded, stored or asked for`, async (context) => {
    const browser = await world.context(context, init || undefined);
    const page = await world.page(browser, 'quiet', options);
    const answers = await page.evaluate(async () => {
      const { client } = globalThis;
      client.onChange(() => {});
      await client.identify('ann');
      await client.track('Landing');
      return [client.state(), await client.flush(), await client.feature('any', true), await client.features()];
    });
    assert.deepEqual(answers, [state, true, true, {}]);
    assert.deepEqual(await traces(page), { loaded: [], databases: 0 });
    assert.deepEqual(await codes(page), []);
  });
}

test('who has opted out loads nothing on the next page; the choice can be read, is stronger than optedOut, and is known to other tabs', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'choice', { batchMs: 60_000 });
  const other = await world.page(browser, 'choice', { batchMs: 60_000 });
  const state = (tab) => tab.evaluate(() => globalThis.client.state());
  await track(page, ['Before']);
  assert.equal(await state(page), 'counting');
  await page.evaluate(() => globalThis.client.optOut());
  assert.deepEqual([await state(page), await state(other)], ['opted-out', 'opted-out']);
  await world.restart(page, 'choice');
  await track(page, ['Out']);
  assert.deepEqual((await traces(page)).loaded, []);
  assert.equal(world.posts.length, 0);
  await page.evaluate(() => globalThis.client.optIn());
  assert.deepEqual([await state(page), await state(other)], ['counting', 'counting']);
  await world.restart(page, 'choice', { optedOut: true });
  assert.equal(await state(page), 'counting');
  await track(page, ['In']);
  assert.equal(await flush(page), true);
  assert.deepEqual(await world.counts('choice'), ones(['In']));
});

test('a page that is open while the visitor clears its storage stays silent', async (context) => {
  const browser = await world.context(context);
  const page = await world.page(browser, 'cleared');
  await page.evaluate(() => globalThis.client.optOut());
  await page.evaluate(() => localStorage.clear());
  await track(page, ['a']);
  await flush(page);
  assert.equal(await page.evaluate(() => globalThis.client.state()), 'opted-out');
  assert.equal(world.posts.length, 0);
});

test('what can be no user is reported, counted for nobody, and goes out with who comes next', async (context) => {
  const page = await world.page(await world.context(context), 'strange', { batchMs: 60_000 });
  await page.evaluate(async () => {
    globalThis.client.identify('ann');
    globalThis.client.track('a');
    for (const id of [{}, NaN, true, [], Symbol('s'), () => {}, Infinity]) globalThis.client.identify(id);
    globalThis.client.track('b');
    await globalThis.client.identify(7, 'no properties');
  });
  await until('it is sent', () => flush(page));
  const sent = world.sent().map(({ event_name: name, user_id: user }) => `${name} ${user}`);
  assert.deepEqual(sent, ['a ann', 'b 7']);
  assert.deepEqual([...new Set(await codes(page))], ['invalid']);
  assert.equal((await codes(page)).length, 8);
});

test('who is named while opted out, and is to be blind, is so behind optIn', async (context) => {
  const page = await world.page(await world.context(context), 'blind-later', { optedOut: true, blind: true, salt: 's' });
  const isSent = await page.evaluate(async () => {
    await globalThis.client.identify('ann');
    await globalThis.client.optIn();
    await globalThis.client.track('Landing');
    return globalThis.client.flush();
  });
  assert.equal(isSent, true);
  assert.match(world.sent()[0].user_id, /^[0-9a-f]{64}$/);
});
