// Flags: made, changed, deleted and tried in the page, and each time what the API then says.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { TOKENS, createWorld } from './harness/world.mjs';

const world = await createWorld({ after }, { empty: true });
const specs = async () => (await world.api('/v0/featureSpecs')).featureSpecs;
const spec = async (name) => (await specs()).find((each) => each.name === name);
const put = (body) => world.api('/v0/featureSpecs', { method: 'POST', body });
const HOUR_MS = 3_600_000;
const iso = (ms) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
const flagHash = (name) => `#/flags?${new URLSearchParams({ flag: name })}`;
const said = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();

async function fillCondition(page, index, { property, comparator, kind, value }) {
  const group = page.getByRole('group', { name: `Condition ${index}` });
  await group.getByLabel('Property of the user').fill(property);
  await group.getByLabel('Must be').selectOption({ label: comparator });
  await group.getByLabel('Kind').selectOption({ label: kind });
  await group.getByLabel(/^Value/).fill(value);
}

test('a flag with conditions and a rollout is made, and stands in the list in words', async (t) => {
  const page = await world.page(t, '#/flags');
  await page.getByRole('button', { name: 'New flag' }).click();
  await page.getByLabel('Name', { exact: true }).fill('new/checkout "é" %');
  for (const [index, condition] of [
    { property: 'plan', comparator: 'exactly', kind: 'text', value: 'pro' },
    { property: 'country', comparator: 'one of', kind: 'text', value: 'CH\nAT, or so' },
    { property: 'company', comparator: 'one of', kind: 'whole number', value: '9007199254740993\n-7' },
  ].entries()) {
    await page.getByRole('button', { name: 'Add a condition' }).click();
    await fillCondition(page, index + 1, condition);
  }
  await page.getByLabel('Roll out over time').check();
  // The viewer is in Zurich: two hours ahead in summer.
  await page.getByLabel(/Starts with nobody \(Europe\/Zurich\)/).fill('2026-07-01T10:00:05');
  await page.getByLabel(/Ends with everybody/).fill('2099-07-01T10:00:00');
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'is saved.');
  const { text } = await world.server.get('/v0/featureSpecs');
  assert.ok(text.includes('[9007199254740993,-7]'), text);
  const { user: [plan, country], ...rest } = await spec('new/checkout "é" %');
  assert.deepEqual(plan, { property: 'plan', comparator: '=', value: 'pro' });
  assert.deepEqual(country, { property: 'country', comparator: 'in', value: ['CH', 'AT, or so'] });
  assert.deepEqual([rest.rollout_start, rest.rollout_end, rest.boolean], ['2026-07-01T08:00:05Z', '2099-07-01T08:00:00Z', false]);
  await page.getByRole('row').filter({ hasText: 'On where plan is pro, or country is one of CH, "AT, or so"' }).waitFor();
});

test('an edit that touches nothing sends back what was there, to the last digit', async (t) => {
  const body = '{"name":"exact","boolean":false,"rollout_start":"2026-10-25T00:30:00Z","rollout_end":"2098-01-01T00:00:00Z",'
    + '"user":[{"property":"id","comparator":"in","value":[18446744073709551615,-9223372036854775808]},{"property":"note","comparator":"in","value":["","two\\nlines"]}]}';
  (await world.server.post('/v0/featureSpecs', undefined, { body, headers: { 'content-type': 'application/json' } })).expect(204);
  const before = (await world.server.get('/v0/featureSpecs')).text;
  const page = await world.page(t, flagHash('exact'));
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'exact is saved.');
  assert.equal((await world.server.get('/v0/featureSpecs')).text, before);
});

test('a flag is changed and deleted; what is typed survives a refresh; deleting is asked about first', async (t) => {
  await put({ name: 'short-lived', user: [{ property: 'plan', comparator: '=', value: 'pro' }] });
  const page = await world.page(t, flagHash('short-lived'));
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel('On for everybody').check();
  await page.getByRole('group', { name: 'Condition 1' }).getByLabel('Value').fill('team');
  const answered = page.waitForResponse('**/v0/featureSpecs');
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await answered;
  assert.equal(await page.getByRole('group', { name: 'Condition 1' }).getByLabel('Value').inputValue(), 'team');
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'short-lived is saved.');
  assert.deepEqual(await spec('short-lived'), { name: 'short-lived', boolean: true, user: [{ property: 'plan', comparator: '=', value: 'team' }] });

  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete the flag short-lived?' });
  await dialog.getByRole('button', { name: 'Keep it' }).click();
  assert.ok(await spec('short-lived'));
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await dialog.getByRole('button', { name: 'Delete it' }).click();
  await said(page, 'short-lived is deleted.');
  assert.equal(await spec('short-lived'), undefined);
  assert.ok(!page.url().includes('short-lived'));
});

test('what the API would refuse is said at its field, and nothing is sent', async (t) => {
  const page = await world.page(t, '#/flags');
  const posts = [];
  page.on('request', (request) => { if (request.method() === 'POST') posts.push(request.url()); });
  await page.getByRole('button', { name: 'New flag' }).click();
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await page.getByLabel('Roll out over time').check();
  const save = page.getByRole('button', { name: 'Save' });
  const fault = (label, text) => page.locator('.field').filter({ has: page.getByLabel(label) }).getByText(text).waitFor();
  await save.click();
  await fault('Name', 'A name is needed.');
  await fault('Property of the user', 'A property is needed.');
  await fault(/Ends with everybody/, 'A time is needed');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-invalid')), 'true');

  await page.getByLabel('Name', { exact: true }).fill('checked');
  for (const [value, text] of [['1.5', 'not a whole number'], ['', 'not a whole number'], ['18446744073709551616', 'beyond 64 bits']]) {
    await fillCondition(page, 1, { property: 'n', comparator: 'exactly', kind: 'whole number', value });
    await save.click();
    await fault(/^Value/, text);
  }
  await fillCondition(page, 1, { property: 'n', comparator: 'exactly', kind: 'whole number', value: '18446744073709551615' });
  await page.getByLabel(/Ends with everybody/).fill('2020-01-01T00:00:00');
  await save.click();
  await fault(/Ends with everybody/, 'must not lie in the past');
  await page.getByLabel(/Starts with nobody/).fill('2020-01-02T00:00:00');
  await save.click();
  await fault(/Ends with everybody/, 'must not be before the start');
  assert.deepEqual(posts, []);
});

test('a date typed in part is not taken for now, nor several values for one', async (t) => {
  const page = await world.page(t, '#/flags');
  await page.getByRole('button', { name: 'New flag' }).click();
  await page.getByLabel('Name', { exact: true }).fill('half-typed');
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await fillCondition(page, 1, { property: 'plan', comparator: 'one of', kind: 'text', value: 'pro\nteam' });
  await page.getByLabel('Must be').selectOption({ label: 'exactly' });
  await page.getByLabel('Roll out over time').check();
  await page.getByLabel(/Starts with nobody/).pressSequentially('07');
  await page.getByLabel(/Ends with everybody/).fill('2099-07-01T10:00:00');
  await page.getByRole('button', { name: 'Save' }).click();
  const fault = (label, text) => page.locator('.field').filter({ has: page.getByLabel(label) }).getByText(text).waitFor();
  await fault(/Starts with nobody/, 'not a whole date and time');
  await fault(/^Value/, 'more than one value');
  assert.equal(await spec('half-typed'), undefined);
});

test('texts that are empty or have line breaks survive a change of their list', async (t) => {
  const value = ['', 'two\nlines', '"quoted"', 'plain'];
  await put({ name: 'odd-texts', user: [{ property: 'note', comparator: 'in', value }] });
  const page = await world.page(t, flagHash('odd-texts'));
  await page.getByRole('button', { name: 'Edit' }).click();
  const field = page.getByLabel(/^Value/);
  await page.getByText('Quotes are read as in JSON').waitFor();
  await field.fill(`${await field.inputValue()}\nmore`);
  await page.getByRole('button', { name: 'Save' }).click();
  await said(page, 'odd-texts is saved.');
  assert.deepEqual((await spec('odd-texts')).user[0].value, [...value, 'more']);
});

test('the form says what becomes of a running rollout', async (t) => {
  const start = Date.now() - 10 * HOUR_MS;
  await put({ name: 'restarted', rollout_start: iso(start), rollout_end: iso(start + 20 * HOUR_MS) });
  const page = await world.page(t, flagHash('restarted'));
  await page.getByRole('button', { name: 'Edit' }).click();
  await said(page, 'It goes on from 50');
  await page.getByLabel(/Starts with nobody/).fill('2026-07-01T10:00:00');
  await said(page, 'This begins a new rollout.');
  await page.getByLabel(/Starts with nobody/).fill('');
  await said(page, 'It goes on from 50');
  await page.getByLabel('Roll out over time').uncheck();
  await said(page, 'This ends the rollout.');
  await page.getByLabel('On for everybody').check();
  await page.getByText('This ends the rollout.').waitFor({ state: 'detached' });
});

test('opening another flag keeps the search, asks for unsaved changes, and moves the focus', async (t) => {
  for (const name of ['way-one', 'way-two']) await put({ name });
  const page = await world.page(t, `#/flags?${new URLSearchParams({ flag: 'way-one', search: 'way-' })}`);
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  await page.getByRole('button', { name: 'Edit' }).click();
  assert.equal(await focused(), 'Change way-one');
  await page.getByRole('button', { name: 'Add a condition' }).click();
  await page.getByLabel('Property of the user').and(page.locator(':focus')).waitFor();
  await page.getByRole('link', { name: 'way-two' }).click();
  await said(page, 'Save or cancel your changes first. Then way-two opens.');
  assert.equal(await page.getByRole('group', { name: 'Condition 1' }).count(), 1);
  await page.getByRole('button', { name: 'Remove condition 1' }).click();
  assert.equal(await focused(), 'Add a condition');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: 'way-two' }).waitFor();
  assert.equal(await page.getByRole('searchbox').inputValue(), 'way-');
  await page.getByRole('button', { name: 'Edit' }).click();
  assert.equal(await page.getByLabel('Name', { exact: true }).getAttribute('readonly'), '');
  await page.getByRole('link', { name: 'way-one' }).click();
  await page.getByRole('heading', { name: 'way-one' }).and(page.locator(':focus')).waitFor();
});

test('what only the server knows is shown at its field or above the buttons', async (t) => {
  const page = await world.page(t, '#/flags');
  page.allow(/400|403/);
  await page.getByRole('button', { name: 'New flag' }).click();
  await page.getByLabel('Name', { exact: true }).fill('é'.repeat(129));
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('.field').filter({ has: page.getByLabel('Name', { exact: true }) }).getByText('256').waitFor();
  await page.getByLabel('Name', { exact: true }).fill('refused');
  await page.route('**/v0/featureSpecs', (route) => (route.request().method() === 'POST'
    ? route.fulfill({ status: 403, json: { error: { what: 'this needs an admin token', code: 'forbidden' } } })
    : route.continue()));
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('alert').filter({ hasText: 'this needs an admin token' }).waitFor();
  assert.equal(await spec('refused'), undefined);
});

test('a name that is taken is warned about before it is replaced', async (t) => {
  await put({ name: 'taken' });
  const page = await world.page(t, '#/flags');
  await page.getByRole('button', { name: 'New flag' }).click();
  await page.getByLabel('Name', { exact: true }).fill('taken');
  await said(page, 'saving replaces it');
});

test('the share of a rollout is that of the formula, also after its end was changed', async (t) => {
  const now = Date.now();
  const [start, end] = [now - 3 * HOUR_MS, now + 7 * HOUR_MS];
  await put({ name: 'growing', rollout_start: iso(start), rollout_end: iso(end) });
  const page = await world.page(t, flagHash('growing'));
  const share = async () => Number.parseFloat(await page.locator('figcaption b').innerText());
  const near = (found, exact) => assert.ok(Math.abs(found - 100 * exact) < 0.2, `${found}, exactly ${100 * exact}`);
  near(await share(), (Date.now() - start) / (end - start));
  await page.getByRole('button', { name: 'Edit' }).click();
  const later = new Date(now + 30 * HOUR_MS).toLocaleString('sv-SE', { timeZone: 'Europe/Zurich' }).replace(' ', 'T');
  await page.getByLabel(/Ends with everybody/).fill(later);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Its end was changed').waitFor();
  const { rollout_reached: reached, rollout_start: kept } = await spec('growing');
  assert.equal(kept, iso(start));
  near(100 * reached.share, (Date.parse(reached.at) - start) / (end - start));
  near(await share(), reached.share);
  await page.getByRole('img', { name: /^Rollout from .* now 30(\.\d)?% of users$/ }).waitFor();
});

test('the tester says what the API says, and keeps the user to the page', async (t) => {
  await put({ name: 'for-pros', user: [{ property: 'plan', comparator: '=', value: 'pro' }] });
  await put({ name: 'half', rollout_start: iso(Date.now() - 1_000 * HOUR_MS), rollout_end: iso(Date.now() + 1_000 * HOUR_MS) });
  const page = await world.page(t, flagHash('for-pros'));
  const field = page.getByLabel('The user, as your program describes them');
  for (const user of [{ user_id: 'zoë ☃', plan: 'pro' }, { user_id: 'alice' }, { user_id: 7, plan: 'free' }]) {
    await field.fill(JSON.stringify(user));
    await page.getByRole('button', { name: 'Evaluate' }).click();
    const rows = page.getByRole('list', { name: 'Flags of this user' }).getByRole('listitem');
    await rows.first().waitFor();
    const { features } = await world.api(`/v0/features?${new URLSearchParams({ user_obj: Buffer.from(JSON.stringify(user)).toString('base64') })}`);
    const found = Object.fromEntries((await rows.allInnerTexts()).map((text) => text.split(/\n+/)));
    assert.deepEqual(found, Object.fromEntries(Object.entries(features).map(([name, isOn]) => [name, isOn ? 'on' : 'off'])));
  }
  for (const [text, message] of [
    ['{"a"', 'This is not JSON: look at line 1, character 5.'],
    ['{\n "user_id": ann\n}', 'This is not JSON: look at line 2, character 13.'],
    ['', 'This is not JSON'],
    ['[1]', 'must be a JSON object'],
  ]) {
    await field.fill(text);
    await page.getByRole('button', { name: 'Evaluate' }).click();
    await page.getByRole('alert').filter({ hasText: message }).waitFor();
  }
  assert.equal((await world.api('/v0/analytics')).users, 0);
});

test('an answer of the tester stays through a refresh, and follows a change of a flag', async (t) => {
  await put({ name: 'followed', boolean: true });
  const page = await world.page(t, flagHash('followed'));
  await page.getByLabel('The user, as your program describes them').fill('{"user_id": "ann"}');
  await page.getByRole('button', { name: 'Evaluate' }).click();
  const first = page.getByRole('list', { name: 'Flags of this user' }).getByRole('listitem').first();
  await first.filter({ hasText: /followed\s*on$/ }).waitFor();
  const asked = [];
  page.on('request', (request) => { if (request.url().includes('/v0/features?')) asked.push(request.url()); });
  const answered = page.waitForResponse('**/v0/featureSpecs');
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await (await answered).finished();
  await first.filter({ hasText: /followed\s*on$/ }).waitFor();
  assert.deepEqual(asked, []);
  await put({ name: 'followed' });
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await first.filter({ hasText: /followed\s*off$/ }).waitFor();
});

test('without flags the page says what one is for, and leads to the first', async (t) => {
  for (const { name } of await specs()) await world.api(`/v0/featureSpecs/${encodeURIComponent(name)}`, { method: 'DELETE' });
  const page = await world.page(t, '#/flags');
  await page.getByRole('button', { name: 'Make the first flag' }).click();
  await page.getByLabel('Name', { exact: true }).fill('first');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'first', exact: true }).waitFor();
  assert.deepEqual(await specs(), [{ name: 'first', boolean: false, user: [] }]);
});

test('a read token sees flags, and no way to change or try them', async (t) => {
  await put({ name: 'seen' });
  const page = await world.page(t, flagHash('seen'), { token: TOKENS.read });
  await page.getByRole('heading', { name: 'seen' }).waitFor();
  await page.getByText('This needs an ingest or admin token').waitFor();
  for (const name of ['New flag', 'Edit', 'Delete', 'Evaluate']) assert.equal(await page.getByRole('button', { name }).count(), 0, name);
});
