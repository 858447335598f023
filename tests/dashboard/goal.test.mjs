// A goal's page: conversion, the UpSet plot, filters with their totals, lift, tables and files, against the API's own answer.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { cells, createWorld, download, number } from './harness/world.mjs';

const world = await createWorld({ after });
const report = await world.api('/v0/analytics');
const goal = report.counts.find(({ name }) => name === world.goals[0]);

const hash = (extra = {}) => `#/goal?${new URLSearchParams({ goal: world.goals[0], ...extra })}`;
const total = (list) => list.reduce((sum, { count }) => sum + count, 0);
const users = (count) => `${number(count)} ${count === 1 ? 'user' : 'users'}`;
const summary = (page) => page.getByRole('status').filter({ hasText: 'combination' });
const fitting = (include, exclude) => goal.event_counts.filter(({ events }) => include.every((name) => events.includes(name)) && !exclude.some((name) => events.includes(name)));

async function expectTotal(page, include, exclude) {
  const found = fitting(include, exclude);
  const text = `${users(total(found))} in ${number(found.length)} combination${found.length === 1 ? '' : 's'}`;
  await summary(page).filter({ hasText: text }).waitFor();
}

test('completions, conversion and value are those of the API', async (t) => {
  const page = await world.page(t, hash());
  await page.getByRole('heading', { level: 1, name: goal.name }).waitFor();
  const facts = Object.fromEntries((await page.locator('dl .card').allInnerTexts()).map((text) => text.split(/\n+/)));
  assert.equal(facts['Completed'], number(goal.count));
  assert.ok(Math.abs(Number.parseFloat(facts.Conversion) - (100 * goal.count) / report.users) <= 0.051, facts.Conversion);
  assert.equal(facts.Value, goal.value.sum.toLocaleString('en-US', { maximumFractionDigits: 2 }));
  await expectTotal(page, [], []);
});

test('the plot has a column for each combination, by size, and arrow keys tell each', async (t) => {
  const page = await world.page(t, hash());
  const plot = page.getByRole('group', { name: /^Combinations, most users first/ });
  await plot.focus();
  const said = page.locator('.said');
  for (const { events, count } of goal.event_counts.slice(0, 12)) {
    await said.filter({ hasText: users(count) }).filter({ hasText: events.length > 0 ? events.join(', ') : 'nothing else' }).waitFor();
    const dots = await plot.locator('g').filter({ has: page.locator('title', { hasText: (await said.innerText()).trim() }) }).first().locator('circle').count();
    assert.ok(events.length === 0 ? dots === 0 : dots >= 1 && dots <= events.length, `${events}: ${dots} dots`);
    await page.keyboard.press('ArrowRight');
  }
  await page.keyboard.press('End');
  await said.filter({ hasText: goal.event_counts.at(-1).events.join(', ') }).waitFor();
  await page.keyboard.press('Home');
  await said.filter({ hasText: users(goal.event_counts[0].count) }).waitFor();
});

test('filters change the totals, the plot, the table and the address, alone and together', async (t) => {
  const page = await world.page(t, hash());
  const [first, second, third] = goal.single_event_counts.map(({ name }) => name);
  const include = page.getByLabel('Containing all of', { exact: true });
  const exclude = page.getByLabel('Containing none of', { exact: true });
  await include.fill(first);
  await expectTotal(page, [first], []);
  await exclude.fill(second);
  await expectTotal(page, [first], [second]);
  await include.fill(third);
  await expectTotal(page, [first, third], [second]);
  const rows = await cells(page.getByRole('region', { name: 'Combinations before the goal' }).getByRole('table'));
  const found = fitting([first, third], [second]);
  assert.equal(rows.filter(([text]) => text !== '').length > 0, found.length > 0);
  for (const [index, [names, count]] of rows.slice(0, Math.min(8, found.length)).entries()) {
    assert.equal(names, found[index].events.join(' · '));
    assert.equal(count, number(found[index].count));
  }
  const other = await world.page(t, new URL(page.url()).hash);
  await expectTotal(other, [first, third], [second]);
  // What is to be contained cannot be left out as well: the later choice holds.
  await page.getByRole('button', { name: `Remove ${third}` }).click();
  await exclude.fill(first);
  await expectTotal(page, [], [first, second]);
  await page.getByRole('button', { name: 'Show all' }).first().click();
  await expectTotal(page, [], []);
});

test('lift is the conversion after an event against that of all users', async (t) => {
  const page = await world.page(t, hash());
  const base = (total(goal.event_counts) + goal.event_counts_other) / report.users;
  const region = page.getByRole('region', { name: 'Events before the goal' });
  await region.waitFor();
  const rows = await cells(region.getByRole('table'));
  assert.equal(rows.length, goal.single_event_counts.length);
  const predictions = (await world.api('/v0/predictions')).goals[goal.name].events;
  let before = Infinity;
  for (const [name, count, conversion, lift] of rows) {
    const single = goal.single_event_counts.find((entry) => entry.name === name);
    assert.equal(count, number(single.count), name);
    assert.ok(Math.abs(Number.parseFloat(conversion) - 100 * predictions[name].bayes) <= 0.051, `${name}: ${conversion}`);
    const exact = predictions[name].bayes / base;
    assert.ok(Math.abs(Number.parseFloat(lift) - exact) <= 0.0051, `${name}: ${lift}, exactly ${exact}`);
    assert.ok(exact <= before + 1e-9, 'most lift first');
    before = exact;
  }
});

test('what is shown can be saved', async (t) => {
  const [include] = goal.single_event_counts.map(({ name }) => name);
  const page = await world.page(t, hash({ include }));
  const card = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Combinations' }) });
  const json = JSON.parse((await download(page, card.getByRole('button', { name: 'Download JSON' }))).text);
  assert.deepEqual(json, { goal: goal.name, include: [include], exclude: [], event_counts: fitting([include], []), event_counts_other: 0 });
  const csv = await download(page, card.getByRole('button', { name: 'Download CSV' }));
  assert.equal(csv.text.trimEnd().split('\n').length, fitting([include], []).length + 1);
});

test('a combination in a file is its names, however they are made, and no two are the same', async (t) => {
  const namespace = 'combined';
  const done = { u1: ['a', 'b'], u2: ['a + b'], u3: [], u4: ['(nothing else)'], u5: ['a, b', 'c'], u6: ['say "hi"'], u7: ['=1', 'z'], u8: ['a +', 'b'], u9: [' a'] };
  const events = Object.entries(done).flatMap(([user_id, names]) => [...names, 'G'].map((event_name) => ({ event_name, user_id, namespace, ensure_goal: event_name === 'G' })));
  await world.api('/v0/analytics', { method: 'POST', body: events });
  const page = await world.page(t, `#/goal?namespace=${namespace}&goal=G`);
  const card = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Combinations' }) });
  const { text } = await download(page, card.getByRole('button', { name: 'Download CSV' }));
  const [head, ...lines] = text.trimEnd().split('\n');
  assert.equal(head, '\ufeffevents,users,share');
  const field = (line) => line.replace(/,1,0\.1+$/, '').replace(/^"(.*)"$/, (_, inner) => inner.replaceAll('""', '"'));
  assert.deepEqual(lines.map(field).sort(), ['a + b', '"a + b"', '(nothing else)', '"(nothing else)"', 'a, b + c', '"say ""hi"""', "'=1 + z", '"a +" + b', '" a"'].sort());
});

test('an event becomes a goal, with an admin token only, and those who came before are counted apart', async (t) => {
  const post = (body) => world.api('/v0/analytics', { method: 'POST', body: body.map((event) => ({ namespace: 'young', ...event })) });
  await post([{ event_name: 'Paid', user_id: 1 }, { event_name: 'Read', user_id: 2 }]);
  const reader = await world.page(t, '#/goal?namespace=young', { token: 'may-read' });
  await reader.getByRole('heading', { name: 'No goals yet' }).waitFor();
  assert.equal(await reader.getByRole('button', { name: 'Add goal' }).count(), 0);

  const page = await world.page(t, '#/goal?namespace=young');
  await page.getByLabel('Make an event a goal').fill('Paid');
  await page.getByRole('button', { name: 'Add goal' }).click();
  await page.getByRole('heading', { name: 'Nobody has come to this goal since it is one' }).waitFor();
  await post([{ event_name: 'Paid', user_id: 2 }]);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByText('1 user before it was a goal').waitFor();
  await page.locator('.said').filter({ hasText: '1 user (100%) had done exactly: Read' }).waitFor();
});

test('1,000 combinations and those beyond: a few columns at a time, and nobody lost', async (t) => {
  const events = [];
  for (let user = 0; user < 1_300; user += 1) {
    for (let bit = 0; bit < 11; bit += 1) if ((user >> bit) & 1) events.push({ event_name: `Step ${bit}`, user_id: user, namespace: 'many' });
    events.push({ event_name: 'Arrived', user_id: user, namespace: 'many', ensure_goal: true });
    // The largest is the one that has two users.
    if (user === 5) for (const name of ['Step 0', 'Step 2', 'Arrived']) events.push({ event_name: name, user_id: 'twin', namespace: 'many' });
  }
  for (let from = 0; from < events.length; from += 5_000) await world.api('/v0/analytics', { method: 'POST', body: events.slice(from, from + 5_000) });
  const { counts } = await world.api('/v0/analytics?namespace=many');
  const arrived = counts.find(({ name }) => name === 'Arrived');
  assert.equal(arrived.event_counts.length, 1_000);
  assert.equal(total(arrived.event_counts) + arrived.event_counts_other, 1_301);

  const page = await world.page(t, '#/goal?namespace=many');
  const plot = page.getByRole('group', { name: /^Combinations, most users first/ });
  await page.locator('.said').filter({ hasText: '2 users' }).waitFor();
  assert.ok(await plot.locator('g').count() < 100, 'the columns out of sight are not drawn');
  await plot.focus();
  await page.keyboard.press('End');
  await page.locator('.said').filter({ hasText: `${users(arrived.event_counts_other)} (` }).filter({ hasText: 'other combinations' }).waitFor();
  await plot.getByText('other', { exact: true }).waitFor();
  await summary(page).filter({ hasText: `${users(arrived.event_counts_other).replace('user', 'further user')} came by combinations that are not listed` }).waitFor();
  const rows = page.getByRole('region', { name: 'Combinations before the goal' });
  assert.ok(await rows.locator('tbody tr').count() < 60, 'the rows out of sight are not in the document');
  await rows.evaluate((element) => { element.scrollTop = element.scrollHeight; });
  await rows.getByText('other combinations').waitFor();
  assert.equal(await rows.getByRole('table').getAttribute('aria-rowcount'), '1002');
});
