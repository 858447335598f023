// The live demo, as it is served: what it shows is what happened, and the server gets what it says.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { TOKENS, createWorld } from './harness/world.mjs';

const world = await createWorld({ after }, { empty: true, env: { COUNTERS: '' } });

async function demo(t, { hash = '#/demo', ...options } = {}) {
  const page = await world.page(t, hash, options);
  const button = (name) => page.getByRole('button', { name });
  await page.locator('button:enabled', { hasText: 'Start over' }).waitFor();
  return {
    page,
    button,
    number: async (id) => Number((await page.locator(`#${id}`).textContent()).replaceAll(',', '')),
    lines: (id) => page.locator(`#${id} > *`).allInnerTexts(),
    says: (text) => page.getByRole('status').filter({ hasText: text }).waitFor(),
    /** Presses a button and waits until all can be pressed again, which they cannot before it is done. */
    press: async (name) => {
      await button(name).click();
      await page.locator('button:enabled', { hasText: 'Start over' }).waitFor();
    },
  };
}

test('one user, and a storm of repeats: only the first 12 go out', async (t) => {
  const { number, lines, press } = await demo(t);
  await press('One user, 12 events');
  assert.deepEqual([await number('raw-events'), await number('sent-events')], [12, 12]);
  const bytes = await number('sent-bytes');
  assert.equal(await number('raw-bytes'), bytes);
  await press('Storm');
  assert.deepEqual([await number('raw-events'), await number('sent-events')], [10_012, 12]);
  assert.equal(await number('sent-bytes'), bytes);
  assert.ok(await number('raw-bytes') > 800 * bytes);

  const out = (await lines('out')).map((line) => JSON.parse(line));
  assert.equal(out.length, 12);
  assert.equal(out.reduce((sum, event) => sum + JSON.stringify(event).length + 1, 0), bytes);
  assert.ok(out.every(({ user_id: user, datetime }) => user === 'ann' && datetime.endsWith('T00:00:00Z')));
  assert.equal(new Set(out.map(({ event_name: name }) => name)).size, 12);
  assert.match((await lines('in')).at(-1), /^and 9,952 /);
});

test('many users: the report is the truth, and so is the server after sending', async (t) => {
  const { page, number, lines, press, says } = await demo(t, { hash: '#/demo?namespace=tried', token: null });
  page.allow(/401/);
  await press('100 users');
  // User n does the first 1 + n mod 12 events, twice.
  const depth = (user) => 1 + (user % 12);
  const users = Array.from({ length: 100 }, (_, index) => index + 1);
  const firsts = users.reduce((sum, user) => sum + depth(user), 0);
  assert.deepEqual([await number('raw-events'), await number('sent-events'), await number('users')], [2 * firsts, firsts, 100]);
  const rows = await page.locator('#report tr').evaluateAll((items) => items.map((item) => [...item.children].map((cell) => cell.textContent)));
  assert.equal(rows.length, 12);
  const shown = Object.fromEntries(rows.map(([name, count]) => [name, Number(count)]));
  const deepest = users.filter((user) => depth(user) >= 11).length;
  assert.equal(shown.Landing, 100);
  assert.equal(shown.Purchase, deepest);
  assert.equal(rows.find(([name]) => name === 'Purchase')[2], String(19.5 * deepest));
  assert.match((await lines('out')).at(-1), new RegExp(`^and ${firsts - 60} `));

  const token = page.getByLabel('An ingest token');
  await token.fill('wrong');
  await press('Send what goes out');
  await says('token');
  await token.fill(TOKENS.ingest);
  await token.press('Enter');
  await says(`The server has stored ${firsts} events.`);
  const { counts, users: stored } = await world.api('/v0/analytics?namespace=tried');
  assert.equal(stored, 100);
  assert.deepEqual(Object.fromEntries(counts.map(({ name, count }) => [name, count])), shown);
  await press('Send what goes out');
  await says('Nothing is waiting');
  assert.equal(await number('sent-events'), firsts);
});

test('start over forgets everything, by keyboard as well', async (t) => {
  const { page, button, number, lines } = await demo(t);
  await button('One user, 12 events').focus();
  await page.keyboard.press('Enter');
  await page.locator('#raw-events', { hasText: '12' }).waitFor();
  await page.locator('button:enabled', { hasText: 'Start over' }).focus();
  await page.keyboard.press('Space');
  await page.locator('#raw-events', { hasText: /^0$/ }).waitFor();
  assert.deepEqual([await number('raw-events'), await number('sent-events'), (await lines('out')).length], [0, 0, 0]);
});

test('where the aggregator is not served, the page says so', async (t) => {
  const page = await world.page(t, '#/overview');
  page.allow(/404|ERR_/);
  await page.route('**/sdk/**', (route) => route.fulfill({ status: 404 }));
  await page.getByRole('link', { name: 'Live demo' }).click();
  await page.getByRole('alert').filter({ hasText: 'The aggregator could not be loaded' }).waitFor();
});
