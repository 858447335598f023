// Tokens: asked for where the server wants one, kept for the tab or not at all, and their scopes respected.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { TOKENS, createWorld } from './harness/world.mjs';

const world = await createWorld({ after });

const field = (page) => page.getByLabel('Token', { exact: true });
async function give(page, token) {
  await field(page).fill(token);
  await page.getByRole('button', { name: 'Continue' }).click();
}
const stored = (page) => page.evaluate(() => JSON.stringify([{ ...localStorage }, sessionStorage.getItem('kimball-token')]));

test('a token is asked for, a wrong one refused with the reason, and a read token shows the numbers', async (t) => {
  const page = await world.page(t, '#/goal', { token: null });
  await give(page, 'nobody knows this');
  await page.getByRole('alert').filter({ hasText: 'The server does not know this token.' }).waitFor();
  await give(page, TOKENS.ingest);
  await page.getByRole('alert').filter({ hasText: 'may send events, but not read' }).waitFor();
  await give(page, '');
  await page.getByRole('alert').filter({ hasText: 'Enter a token.' }).waitFor();
  assert.equal(await stored(page), JSON.stringify([{}, null]));
  await give(page, TOKENS.read);
  await page.getByRole('heading', { name: 'What they had done before' }).waitFor();
  await page.getByText('read only', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add goal' }).count(), 0);
});

test('a token is kept for its tab: over a reload, not in another tab, and not after signing out', async (t) => {
  const page = await world.page(t, '', { token: null });
  await give(page, TOKENS.admin);
  await page.getByRole('table').waitFor();
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes(TOKENS.admin));
  await page.reload();
  await page.getByRole('table').waitFor();
  const other = await page.context().newPage();
  await other.goto(page.url());
  await field(other).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await field(page).waitFor();
  await page.reload();
  await field(page).waitFor();
});

test('a token that is not to be kept is forgotten at a reload', async (t) => {
  const page = await world.page(t, '', { token: null });
  await page.getByRole('checkbox', { name: 'Keep it until this tab is closed' }).uncheck();
  await give(page, TOKENS.read);
  await page.getByRole('table').waitFor();
  assert.ok(!(await stored(page)).includes(TOKENS.read));
  await page.reload();
  await field(page).waitFor();
});

test('a token that the server no longer takes is asked for again', async (t) => {
  const page = await world.page(t);
  page.allow(/401/);
  await page.getByRole('table').waitFor();
  await page.route('**/v0/analytics**', (route) => route.fulfill({ status: 401, json: { error: { what: 'no', code: 'unauthorized' } } }));
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByRole('alert').filter({ hasText: 'The server no longer takes the token' }).waitFor();
  await page.unroute('**/v0/analytics**');
  await give(page, TOKENS.read);
  await page.getByRole('table').waitFor();
});

test('tokens are in no address and no request but for the header', async (t) => {
  const page = await world.page(t);
  const requests = [];
  page.on('request', (request) => requests.push(request));
  await page.getByRole('table').waitFor();
  for (const view of ['Goals', 'Predictions', 'Flags', 'Live demo', 'Status']) {
    await page.getByRole('navigation').getByRole('link', { name: view }).click();
    await page.getByRole('heading', { level: 1 }).first().waitFor();
  }
  assert.ok(requests.length > 5);
  for (const request of requests) {
    assert.ok(!request.url().includes(TOKENS.admin), request.url());
    assert.ok(request.url().startsWith(world.server.url.origin), request.url());
  }
});

test('without authentication nothing is asked', async (t) => {
  const open = await createWorld(t, { env: { API_AUTH: 'disable', API_TOKENS: '', READ_TOKENS: '', INGEST_TOKENS: '' }, empty: true });
  const page = await open.page(t, '', { token: null });
  await page.getByRole('heading', { level: 1 }).waitFor();
  assert.equal(await field(page).count(), 0);
  assert.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
});
