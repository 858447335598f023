// Predictions: the heat map, "what if" and nudges show what the API answers.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { cells, createWorld, download, number } from './harness/world.mjs';

const world = await createWorld({ after });
const { goals } = await world.api('/v0/predictions');

const near = (text, share, what) => assert.ok(Math.abs(Number.parseFloat(text.replace(/[<>]/, '')) - 100 * share) <= 0.1, `${what}: ${text}, exactly ${share}`);

test('a cell for each event and goal: probability and support', async (t) => {
  const page = await world.page(t, '#/predictions');
  const region = page.getByRole('region', { name: 'Probability of goals after events' });
  await region.waitFor();
  const names = Object.keys(goals).sort();
  const rows = await cells(region.getByRole('table'));
  const events = [...new Set(Object.values(goals).flatMap(({ events: each }) => Object.keys(each)))].sort();
  assert.deepEqual(rows.map(([name]) => name), events);
  for (const [event, ...row] of rows) {
    assert.equal(row.length, names.length);
    for (const [index, text] of row.entries()) {
      const cell = goals[names[index]].events[event];
      if (!cell) {
        assert.equal(text, '–');
        continue;
      }
      const [probability, support] = text.split(/\n+/);
      near(probability, cell.probability, `${event} to ${names[index]}`);
      assert.equal(support.replace(/\D+$/, ''), number(cell.support));
    }
  }
  await page.getByRole('button', { name: names[0] }).click();
  const sorted = (await cells(region.getByRole('table'))).map(([name]) => name).filter((name) => goals[names[0]].events[name]);
  const exact = Object.entries(goals[names[0]].events).sort(([a, x], [b, y]) => y.probability - x.probability || a.localeCompare(b)).map(([name]) => name);
  assert.deepEqual(sorted, exact);
  const json = JSON.parse((await download(page, page.getByRole('button', { name: 'Download JSON' }))).text);
  assert.equal(json.length, Object.values(goals).reduce((sum, { events: each }) => sum + Object.keys(each).length, 0));
  for (const { event, goal, ...cell } of json) assert.deepEqual(cell, goals[goal].events[event]);
});

test('what if: the goals after the chosen events, shared by the address', async (t) => {
  const page = await world.page(t, '#/predictions');
  const [goal] = Object.keys(goals);
  const [first, second] = Object.keys(goals[goal].events).filter((name) => !(name in goals));
  const picker = page.getByRole('combobox', { name: 'A user has done these, and nothing else' });
  await picker.fill(first);
  await page.getByRole('button', { name: `Remove ${first}` }).waitFor();
  await picker.fill(second);
  await page.getByRole('button', { name: `Remove ${second}` }).waitFor();
  const query = new URLSearchParams([['event', first], ['event', second]]);
  const answer = (await world.api(`/v0/predictions?${query}`)).goals;
  for (const shown of [page, await world.page(t, new URL(page.url()).hash)]) {
    for (const [name, { probability, support }] of Object.entries(answer)) {
      const row = shown.locator('.result').filter({ hasText: name }).filter({ hasText: `from ${number(support)} user` });
      near(await row.locator('b').innerText(), probability, name);
    }
    assert.equal(await shown.locator('.result').count(), Object.keys(answer).length);
  }
  // A goal that is given needs no prediction, and says so.
  await picker.fill(goal);
  await page.locator('.result').filter({ hasText: 'one of the given events' }).waitFor();
});

test('nudges for a user by id, which is in no address and no storage', async (t) => {
  const page = await world.page(t, '#/predictions');
  const [goal] = Object.keys(goals).sort();
  const [event] = Object.keys(goals[goal].events);
  const user = 'a very particular person';
  await world.api('/v0/analytics', { method: 'POST', body: { event_name: event, user_id: user } });
  await page.getByLabel('Goal', { exact: true }).selectOption(goal);
  await page.getByLabel('User id').fill(user);
  await page.getByRole('button', { name: 'Show next steps' }).click();
  const region = page.getByRole('region', { name: 'Next steps' });
  await region.waitFor();
  const { nudges } = await world.api(`/v0/nudges?${new URLSearchParams({ goal, user_id: user })}`);
  assert.ok(nudges.length > 0 && !nudges.some(({ event_name: name }) => name === event));
  const rows = await cells(region.getByRole('table'));
  assert.deepEqual(rows.map(([name]) => name), nudges.map(({ event_name: name }) => name));
  for (const [index, [name, prediction, probability, support]] of rows.entries()) {
    near(prediction, nudges[index].prediction, name);
    near(probability, nudges[index].probability, name);
    assert.equal(support, `${number(nudges[index].support)} users`);
  }
  assert.ok(!decodeURIComponent(page.url()).includes(user));
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(!stored.includes(user), stored);
  // The answer is of that user only.
  await page.getByLabel('User id').fill('another');
  await region.waitFor({ state: 'detached' });
});

test('a namespace without goals says what is needed', async (t) => {
  const page = await world.page(t, '#/predictions?namespace=nothing');
  await page.getByRole('heading', { name: 'Nothing to predict yet' }).waitFor();
});
