// Numbers that the server hides, because they are those of few users: shown as such everywhere, sorted last, in files too.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { cells, createWorld, download } from './harness/world.mjs';

const COUNTERS = JSON.stringify([{ pattern: '^View$', date_cohort: 'weekly' }]);
const world = await createWorld({ after }, { empty: true, env: { COUNTERS } });
const users = (from, to) => Array.from({ length: to - from }, (_, index) => `u${from + index}`);
const did = (event_name, who, more = {}) => who.map((user_id) => ({ event_name, user_id, namespace: 'small', ...more }));
await world.api('/v0/namespaces', { method: 'POST', body: { namespace: 'small', group_users_min: 5 } });
for (const goal of ['Buy', 'Gift']) await world.server.goal(goal, 'small');
await world.server.ingest([
  ...did('View', users(0, 20), { datetime: '2026-01-05T00:00:00Z' }),
  ...did('View', users(0, 2), { datetime: '2026-01-12T00:00:00Z' }),
  ...did('Cart', users(0, 12)),
  ...did('Rare', users(9, 12), { value: 3 }),
  ...did('Buy', users(0, 12), { value: 2 }),
  ...did('Gift', users(0, 3)),
]);

const NOT_A_NUMBER = /NaN|null|undefined|Infinity|Invalid/;
const body = async (page) => {
  const text = await page.locator('main').innerText();
  assert.doesNotMatch(text, NOT_A_NUMBER);
  return text;
};
const hash = (view, extra = {}) => `#/${view}?${new URLSearchParams({ namespace: 'small', ...extra })}`;
const table = (page, name) => page.getByRole('region', { name, exact: true });

test('events: hidden users, shares and values are last in either order, and say so in the file', async (t) => {
  const page = await world.page(t, hash('overview'));
  await page.getByText('or of none, are hidden').waitFor();
  const rows = async () => (await cells(table(page, 'Events'))).map(([name, count]) => [name.split('\n')[0], count]);
  assert.deepEqual(await rows(), [['View', '20'], ['Buy', '12'], ['Cart', '12'], ['Gift', 'hidden'], ['Rare', 'hidden']]);
  await page.getByRole('button', { name: 'Users' }).click();
  await page.waitForURL(/order=up/);
  assert.deepEqual(await rows(), [['Buy', '12'], ['Cart', '12'], ['View', '20'], ['Gift', 'hidden'], ['Rare', 'hidden']]);
  await body(page);
  const { text } = await download(page, page.getByRole('button', { name: 'Download CSV' }));
  assert.doesNotMatch(text, NOT_A_NUMBER);
  assert.match(text, /^Rare,false,hidden,hidden,hidden,hidden,,/m);
  assert.match(text, /^View,false,20,1,,,20,hidden$/m);
});

test('a goal: hidden combinations fold into others, filters and the plot go on, lift sorts what is hidden last', async (t) => {
  const page = await world.page(t, hash('goal', { goal: 'Buy' }));
  const plot = page.getByRole('group', { name: /^Combinations, most users first/ });
  await plot.focus();
  await page.locator('.said').filter({ hasText: '9 users (100%) had done exactly: Cart, View' }).waitFor();
  await page.keyboard.press('End');
  await page.locator('.said').filter({ hasText: 'hidden' }).waitFor();
  for (const bar of await plot.locator('rect.bar').all()) assert.match(await bar.getAttribute('height'), /^[\d.]+$/);
  assert.deepEqual(await cells(table(page, 'Combinations before the goal')), [['Cart · View', '9', '100%'], ['other combinations', 'hidden', 'hidden']]);
  const lift = await cells(table(page, 'Events before the goal'));
  assert.deepEqual(lift.map(([name]) => name), ['Cart', 'View', 'Rare']);
  assert.deepEqual(lift[2], ['Rare', 'hidden', 'hidden', 'hidden']);
  assert.doesNotMatch(await body(page), /before it was a goal/, 'the difference would be a hidden number');
  await page.getByLabel('Containing all of', { exact: true }).fill('Cart');
  await page.getByRole('status').filter({ hasText: '9 users in 1 combination: 100% of the 9' }).waitFor();
  await body(page);
  const files = page.getByRole('button', { name: 'Download CSV' });
  assert.match((await download(page, files.first())).text, /Rare,hidden,hidden,hidden/);
});

test('a goal that few came to says that its numbers are hidden', async (t) => {
  const page = await world.page(t, hash('goal', { goal: 'Gift' }));
  await page.getByText('What users had done before is hidden').waitFor();
  assert.match(await body(page), /Completed\s+hidden/);
});

test('predictions: hidden cells, what-ifs and steps', async (t) => {
  const page = await world.page(t, hash('predictions', { event: 'Rare' }));
  await page.getByText('Hidden: it would rest on few users').first().waitFor();
  const rows = await cells(table(page, 'Probability of goals after events'));
  const [, buy, gift] = rows.find(([name]) => name === 'Rare');
  assert.deepEqual([buy.split('\n')[0], gift], ['hidden', '–']);
  await body(page);
  const { text } = await download(page, page.getByRole('button', { name: 'Download CSV' }).first());
  assert.match(text, /^Rare,Buy,hidden,hidden,hidden$/m);
});

test('the status has no meter of a number that is hidden', async (t) => {
  const page = await world.page(t, hash('status'));
  await page.getByRole('meter', { name: 'Users of the largest event' }).waitFor();
  await body(page);
});
