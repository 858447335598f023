// Events, goals and namespaces deleted in the page: what it says before, what the API says after, and nothing claimed that did not happen.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { onEveryScreen } from './harness/looks.mjs';
import { TOKENS, cells, createWorld } from './harness/world.mjs';

const ODD = '=1+1 & <b>/?#%  é';
const world = await createWorld({ after }, { empty: true, env: { COUNTERS: JSON.stringify([{ pattern: '^View$', date_cohort: 'weekly' }]) } });
const users = (count) => Array.from({ length: count }, (_, index) => `u${index}`);

async function shop(namespace, more = []) {
  const did = (event_name, who, rest = {}) => who.map((user_id) => ({ event_name, user_id, namespace, ...rest }));
  await world.server.goal('Buy', namespace);
  await world.server.ingest([
    ...did('View', users(40), { datetime: '2026-01-05T00:00:00Z' }), ...did('Cart', users(20)), ...more.flatMap((name) => did(name, users(1))), ...did('Buy', users(10), { value: 2 }),
  ]);
}

const hash = (view, namespace, extra = {}) => `#/${view}?${new URLSearchParams({ namespace, ...extra })}`;
const report = (namespace) => world.api(`/v0/analytics?${new URLSearchParams({ namespace })}`);
const names = async (namespace) => (await report(namespace)).counts.filter(({ type }) => type === 'named').map(({ name }) => name).sort();
const namespaces = async () => (await world.api('/v0/namespaces')).namespaces;
const button = (page, name) => page.getByRole('button', { name, exact: true });
const question = (page, what) => page.getByRole('dialog', { name: `Delete the ${what}?` });
const told = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const deletes = (page) => {
  const found = [];
  page.on('request', (request) => { if (request.method() === 'DELETE') found.push(request.url()); });
  return found;
};
const press = async (page, ...keys) => { for (const key of keys) await page.keyboard.press(key); };
const isFocused = (locator) => locator.and(locator.page().locator(':focus')).waitFor();

test('an event, by keyboard: Escape and "Keep it" keep it, then it is gone and its users are not', async (t) => {
  await shop('one');
  const page = await world.page(t, hash('overview', 'one'));
  const sent = deletes(page);
  const dialog = question(page, 'event Cart');
  for (const key of ['Escape', 'Enter']) {
    await button(page, 'Delete Cart').focus();
    await press(page, 'Enter');
    await isFocused(button(dialog, 'Keep it'));
    await press(page, key);
    await dialog.waitFor({ state: 'hidden' });
    await isFocused(button(page, 'Delete Cart'));
  }
  assert.deepEqual(sent, []);

  await press(page, 'Enter');
  const text = await dialog.innerText();
  for (const part of [/all that was counted of it: 20 users\./, /combinations that differed in nothing else become one/, /still counted among the users/, /Pages forget/, /can come back as a new one/, /cannot be undone/]) {
    assert.match(text, part);
  }
  assert.doesNotMatch(text, /values|weeks|as a goal/);
  await press(page, 'Shift+Tab', 'Enter');
  await told(page, 'Cart is deleted.');
  await isFocused(page.getByRole('main'));
  await button(page, 'Delete Cart').waitFor({ state: 'detached' });
  assert.deepEqual((await cells(page.getByRole('table'))).map(([name]) => name.split('\n')[0]), ['View', 'Buy']);
  const { counts, users: all } = await report('one');
  assert.equal(all, 40);
  assert.deepEqual(counts.find(({ name }) => name === 'Buy').event_counts, [{ events: ['View'], count: 10 }]);
  assert.equal(sent.length, 1);
});

test('what goes is said of each event as it is: values, weeks, a goal', async (t) => {
  await shop('each');
  const page = await world.page(t, hash('overview', 'each'));
  for (const [name, what] of [['View', /: 40 users, their weeks\. It is also/], ['Buy', /: 10 users, their values\. What was recorded about it as a goal\. It is also/]]) {
    await button(page, `Delete ${name}`).click();
    assert.match(await question(page, `event ${name}`).innerText(), what);
    await button(page, 'Keep it').click();
  }
});

test('a goal: its event stays', async (t) => {
  await shop('two');
  const page = await world.page(t, hash('goal', 'two', { goal: 'Buy', include: 'Cart' }));
  await button(page, 'Delete this goal').click();
  const dialog = question(page, 'goal Buy');
  assert.match(await dialog.innerText(), /Stays\s+The event with all that was counted of it: 10 users, their values\./);
  await button(dialog, 'Delete it').click();
  await told(page, 'Buy is no goal any more.');
  await page.getByRole('heading', { name: 'No goals yet' }).waitFor();
  assert.equal(new URL(page.url()).hash, '#/goal?namespace=two');
  const buy = (await report('two')).counts.find(({ name }) => name === 'Buy');
  assert.deepEqual([buy.count, 'event_counts_other' in buy], [10, false]);
});

test('a namespace: only once its name is typed; others and flags stay', async (t) => {
  for (const name of [ODD, 'three']) await shop(name);
  await world.api('/v0/featureSpecs', { method: 'POST', body: { name: 'stays' } });
  const page = await world.page(t, hash('overview', ODD, { search: 'a' }));
  const sent = deletes(page);
  await button(page, 'Delete this namespace').click();
  const dialog = page.getByRole('dialog', { name: 'Delete the namespace' });
  const field = dialog.getByLabel('Type its name');
  await isFocused(field);
  assert.match(await dialog.innerText(), /40 users, 3 events, 1 goal, with values and weeks/);
  for (const wrong of ['', 'three', ODD.toUpperCase(), `${ODD} `]) {
    await field.fill(wrong);
    assert.ok(await button(dialog, 'Delete it').isDisabled(), wrong);
    await press(page, 'Enter');
  }
  await press(page, 'Escape');
  await dialog.waitFor({ state: 'hidden' });
  assert.deepEqual(sent, []);

  await button(page, 'Delete this namespace').click();
  assert.equal(await field.inputValue(), '');
  await field.fill(ODD);
  await press(page, 'Enter');
  await told(page, `${ODD} is deleted.`);
  assert.equal(new URL(page.url()).hash, '#/overview');
  const choice = page.getByRole('combobox', { name: 'Namespace' });
  await choice.getByRole('option', { name: ODD }).waitFor({ state: 'detached' });
  assert.equal(await choice.inputValue(), 'default');
  const left = await namespaces();
  assert.ok(!left.includes(ODD) && left.includes('three'), left.join());
  assert.deepEqual(await names('three'), ['Buy', 'Cart', 'View']);
  assert.ok((await world.api('/v0/featureSpecs')).featureSpecs.some(({ name }) => name === 'stays'));
  // What was told is of where it was told.
  await choice.selectOption('three');
  await page.getByRole('heading', { name: 'three' }).waitFor();
  assert.equal(await page.getByText('is deleted.').count(), 0);
});

test('names that a path cannot hold', async (t) => {
  await shop('..', ['.', '..', 'a/b']);
  const page = await world.page(t, hash('overview', '..'));
  for (const name of ['.', '..', 'a/b']) {
    await button(page, `Delete ${name}`).click();
    await button(page, 'Delete it').click();
    await told(page, `${name} is deleted.`);
  }
  assert.deepEqual(await names('..'), ['Buy', 'Cart', 'View']);
  await button(page, 'Delete this namespace').click();
  await page.getByLabel('Type its name').fill('..');
  await button(page, 'Delete it').click();
  await told(page, '.. is deleted.');
  assert.ok(!(await namespaces()).includes('..'));
});

test('an empty default namespace is not offered; a full one is emptied, and stays in the list', async (t) => {
  const page = await world.page(t);
  await page.getByRole('heading', { name: 'Send the first event' }).waitFor();
  assert.equal(await button(page, 'Delete this namespace').count(), 0);
  await shop('default');
  await button(page, 'Refresh now').click();
  await button(page, 'Delete this namespace').click();
  assert.match(await question(page, 'namespace default').innerText(), /This name, which is always in the list/);
  await page.getByLabel('Type its name').fill('default');
  await button(page, 'Delete it').click();
  await told(page, 'default is deleted.');
  await page.getByRole('heading', { name: 'Send the first event' }).waitFor();
  assert.deepEqual([await names('default'), (await report('default')).users], [[], 0]);
});

test('while it is deleted the button is busy, once and to the end; a 503 is shown, nothing is claimed, and trying again ends it', async (t) => {
  await shop('four');
  const page = await world.page(t, hash('overview', 'four'));
  page.allow(/503/);
  let go;
  const held = new Promise((resolve) => { go = resolve; });
  const sent = deletes(page);
  // As where a shard cannot be reached: the deletion is noted, and the event in no answer any more.
  await page.route('**/v0/events?**', async (route) => {
    await held;
    await route.fetch();
    await route.fulfill({ status: 503, json: { error: { what: 'a shard cannot be reached', code: 'unavailable' } } });
  });
  await button(page, 'Delete Cart').click();
  const dialog = question(page, 'event Cart');
  await button(dialog, 'Delete it').click();
  const busy = button(dialog, 'Deleting …');
  await isFocused(busy);
  await press(page, 'Enter', 'Escape');
  assert.ok(await button(dialog, 'Keep it').isDisabled());
  assert.ok(await dialog.isVisible());
  go();
  const fault = dialog.getByRole('alert').filter({ hasText: 'a shard cannot be reached' });
  await fault.filter({ hasText: 'It may be gone all the same.' }).waitFor();
  await button(page, 'Delete Cart').waitFor({ state: 'detached' });
  await isFocused(button(dialog, 'Delete it'));
  assert.equal(sent.length, 1);
  assert.equal(await page.getByText('is deleted.').count(), 0);
  await page.unroute('**/v0/events?**');
  await button(dialog, 'Delete it').click();
  await told(page, 'Cart is deleted.');
});

test('a refusal and a server out of reach are shown, and nothing is deleted', async (t) => {
  await shop('five');
  const page = await world.page(t, hash('goal', 'five'));
  page.allow(/403|ERR_FAILED/);
  // What the server answers a token that may only read.
  await page.route('**/v0/goals?**', (route) => route.continue({ headers: { ...route.request().headers(), authorization: `Bearer ${TOKENS.read}` } }));
  await button(page, 'Delete this goal').click();
  const dialog = question(page, 'goal Buy');
  await button(dialog, 'Delete it').click();
  await dialog.getByRole('alert').filter({ hasText: /admin.*Nothing was deleted\./s }).waitFor();
  await page.route('**/v0/goals?**', (route) => route.abort());
  await button(dialog, 'Delete it').click();
  await dialog.getByRole('alert').filter({ hasText: /cannot be reached.*It may be gone/s }).waitFor();
  await button(dialog, 'Close').click();
  await button(page, 'Delete this goal').click();
  await button(dialog, 'Keep it').waitFor();
  assert.equal(await dialog.getByRole('alert').count(), 0, 'another question begins without the fault of the last');
  assert.deepEqual((await world.api('/v0/goals?namespace=five')).goals, ['Buy']);
});

test('a token that the server no longer takes is asked for again, and nothing is deleted', async (t) => {
  await shop('six');
  const page = await world.page(t, hash('overview', 'six'));
  page.allow(/401/);
  await page.route('**/v0/events?**', (route) => route.continue({ headers: { ...route.request().headers(), authorization: 'Bearer withdrawn' } }));
  await button(page, 'Delete Cart').click();
  await button(page, 'Delete it').click();
  await page.getByRole('alert').filter({ hasText: 'The server no longer takes the token' }).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.deepEqual(await names('six'), ['Buy', 'Cart', 'View']);
});

test('the question is of what it was put for: a refresh changes nothing in it, another address ends it', async (t) => {
  await shop('seven');
  await shop('eight');
  const page = await world.page(t, hash('overview', 'eight'));
  await page.getByRole('combobox', { name: 'Namespace' }).selectOption('seven');
  await page.getByRole('heading', { name: 'seven' }).waitFor();
  await page.clock.install();
  await page.getByRole('combobox', { name: 'Refresh' }).selectOption('10');
  await button(page, 'Delete Cart').click();
  await world.api('/v0/events/Cart?namespace=seven', { method: 'DELETE' });
  await page.clock.runFor(10_500);
  await button(page, 'Delete Cart').waitFor({ state: 'detached' });
  assert.match(await question(page, 'event Cart').innerText(), /20 users/);
  await page.goBack();
  await page.getByRole('heading', { name: 'eight' }).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.deepEqual(await names('eight'), ['Buy', 'Cart', 'View']);
});

test('a read token sees nothing that deletes', async (t) => {
  await shop('nine');
  for (const view of ['overview', 'goal']) {
    const page = await world.page(t, hash(view, 'nine'), { token: TOKENS.read });
    await page.getByRole('table').first().waitFor();
    assert.equal(await page.getByRole('button', { name: 'Delete' }).count(), 0, view);
    assert.equal(await page.getByRole('columnheader', { name: 'Delete' }).count(), 0, view);
  }
});

test('numbers that are hidden are hidden here too', async (t) => {
  await world.api('/v0/namespaces', { method: 'POST', body: { namespace: 'small', group_users_min: 50 } });
  await shop('small');
  const page = await world.page(t, hash('overview', 'small'));
  for (const [open, what] of [['Delete Cart', 'event Cart'], ['Delete View', 'event View'], ['Delete Buy', 'event Buy'], ['Delete this namespace', 'namespace small']]) {
    await button(page, open).click();
    const text = await question(page, what).innerText();
    assert.match(text, /few users/);
    assert.doesNotMatch(text.replace('3 events, 1 goal,', ''), /\d|NaN|null|undefined/);
    await button(page, 'Keep it').click();
  }
  await page.goto(new URL(hash('goal', 'small'), world.server.url).href);
  await button(page, 'Delete this goal').click();
  assert.doesNotMatch(await question(page, 'goal Buy').innerText(), /\d|NaN|null|undefined/);
});

const LONG = `${'A long name without an end '.repeat(4)}${'x'.repeat(140)}`;
await shop('looked at', [LONG]);
onEveryScreen('questions', async (t, screen, look) => {
  for (const [name, view, open] of [['event', 'overview', 'Delete Buy'], ['event-long', 'overview', `Delete ${LONG}`], ['goal', 'goal', 'Delete this goal'], ['namespace', 'overview', 'Delete this namespace']]) {
    const page = await world.page(t, hash(view, 'looked at'), screen);
    await button(page, open).click();
    await look(page, `delete-${name}`);
    if (name === 'namespace') {
      page.allow(/503/);
      await page.route('**/v0/namespaces?**', (route) => route.fulfill({ status: 503, json: { error: { what: 'a shard cannot be reached', code: 'unavailable' } } }));
      await page.getByLabel('Type its name').fill('looked at');
      await button(page, 'Delete it').click();
      await page.getByRole('alert').filter({ hasText: 'It may be gone' }).waitFor();
      await look(page, 'delete-failed');
    }
    await page.close();
  }
});
