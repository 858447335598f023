// A namespace without events shows how to send the first one, and plays the demo.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

import { GOAL, combinationKey, expectedGoal } from '../../demo/store.mjs';
import { TOKENS, createWorld } from './harness/world.mjs';

const world = await createWorld({ after }, { empty: true });
const run = promisify(execFile);

test('the command, as it is shown, records the first event, and the page becomes the overview', async (t) => {
  const namespace = "it's $HOME, `first`";
  const page = await world.page(t, `#/overview?${new URLSearchParams({ namespace })}`);
  const command = await page.locator('pre', { hasText: 'curl' }).innerText();
  assert.ok(command.includes('Bearer TOKEN'), command);
  await run('sh', ['-c', command.replace('TOKEN', TOKENS.ingest)]);
  assert.equal((await world.api(`/v0/analytics?${new URLSearchParams({ namespace })}`)).users, 1);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByRole('rowheader', { name: 'Sign up' }).waitFor();
});

test('the lines for a page do what they say', async (t) => {
  const page = await world.page(t, '#/overview?namespace=lines');
  const script = await page.locator('pre', { hasText: 'KimballClient' }).innerText();
  await page.evaluate((source) => {
    const [head, ...rest] = source.replace('AN INGEST TOKEN', 'may-send').split('\n');
    const url = /'(.*)'/.exec(head)[1];
    // The policy of this page allows no evaluated text: the calls are made as they are read.
    return import(url).then(({ KimballClient }) => {
      const options = Object.fromEntries([...rest.join('\n').matchAll(/(\w+): ['"]([^'"]*)['"]/g)].map(([, name, value]) => [name, value]));
      const client = new KimballClient({ ...options, batchMs: 10 });
      for (const [, call, argument] of rest.join('\n').matchAll(/client\.(\w+)\('([^']*)'\)/g)) client[call](argument);
    });
  }, script);
  await page.getByRole('button', { name: 'Refresh now' }).waitFor();
  await page.waitForResponse((response) => response.request().method() === 'POST' && response.status() === 204);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByRole('rowheader', { name: 'Sign up' }).waitFor();
});

test('the demo is played, twice without a change, and leads to its numbers', async (t) => {
  for (let round = 0; round < 2; round += 1) {
    const page = await world.page(t);
    await page.getByRole('button', { name: 'Play the demo' }).click();
    await page.getByRole('rowheader', { name: GOAL }).waitFor();
    assert.ok(page.url().endsWith('#/overview?namespace=demo'));
    const { counts } = await world.api('/v0/analytics?namespace=demo');
    const { count, event_counts: combinations } = counts.find(({ name }) => name === GOAL);
    const expected = expectedGoal();
    assert.equal(count, expected.count);
    assert.deepEqual(new Map(combinations.map(({ events, count: users }) => [combinationKey(events), users])), expected.combinations);
    await page.getByRole('link', { name: GOAL }).click();
    await page.getByRole('heading', { level: 1, name: GOAL }).waitFor();
  }
});

test('a read token is told that the demo needs an admin', async (t) => {
  const page = await world.page(t, '', { token: TOKENS.read });
  await page.getByText('Playing it needs an admin token').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Play the demo' }).count(), 0);
});

test('both can be copied', async (t) => {
  const page = await world.page(t);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin: world.server.url.origin });
  await page.getByRole('button', { name: 'Copy' }).first().click();
  await page.getByRole('status').filter({ hasText: 'The command copied.' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await page.locator('pre', { hasText: 'curl' }).innerText());
});
