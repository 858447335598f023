// Every view: accessible by axe-core's rules, without layout shift, small, and on a screenshot in build/screenshots/,
// light and dark, on a phone and on a wide screen.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { onEveryScreen } from './harness/looks.mjs';
import { createWorld } from './harness/world.mjs';

const FIRST_LOAD_BYTES_MAX = 120 * 1024;
const SHIFT_MAX = 0.02;

const world = await createWorld({ after });
const empty = await createWorld({ after }, { empty: true });
const at = (days) => new Date(Date.now() + days * 86_400_000).toISOString();
for (const spec of [
  { name: 'new-checkout', user: [{ property: 'plan', comparator: '=', value: 'pro' }, { property: 'country', comparator: 'in', value: ['CH', 'AT'] }] },
  { name: 'dark-mode', rollout_start: at(-9), rollout_end: at(12) },
  { name: 'gift-cards', boolean: true },
]) await world.api('/v0/featureSpecs', { method: 'POST', body: spec });

const [goal] = world.goals;
const [first, second] = (await world.api('/v0/analytics')).counts.find(({ name }) => name === goal).single_event_counts.map(({ name }) => name);
const query = (fields) => new URLSearchParams(fields);
const numbers = (page) => page.getByRole('table').first();
// Each with what it shows once it is whole.
const views = [
  ['overview', world, '', numbers],
  ['goal', world, `#/goal?${query({ goal })}`, numbers],
  ['goal-filtered', world, `#/goal?${query({ goal, include: first, exclude: second })}`, numbers],
  ['predictions', world, `#/predictions?${query([['event', first], ['event', second]])}`, (page) => page.locator('.result b').first()],
  ['flags', world, '#/flags', (page) => page.getByText('gift-cards').first()],
  ['flag', world, `#/flags?${query({ flag: 'dark-mode' })}`, (page) => page.getByRole('heading', { name: 'dark-mode' }).first()],
  ['status', world, '#/status', (page) => page.getByRole('heading', { level: 1 })],
  ['demo', world, '#/demo', (page) => page.getByRole('heading', { level: 1 })],
  ['first-run', empty, '', (page) => page.getByText('curl').first()],
  ['no-goals', empty, '#/goal', (page) => page.getByRole('heading', { name: 'No goals yet' })],
  ['no-flags', empty, '#/flags', (page) => page.getByRole('heading', { level: 1 })],
  ['sign-in', world, '', (page) => page.getByLabel('Token', { exact: true }), { token: null }],
];

const WATCH = () => {
  globalThis.shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.shift += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
};

onEveryScreen('views', async (t, screen, look) => {
  for (const [name, of, hash, whole, options = {}] of views) {
    const page = await of.page(t, hash, { ...screen, ...options });
    await whole(page).waitFor();
    await page.waitForLoadState('networkidle');
    await look(page, name, { fullPage: true });
    await page.close();
  }
});

test('nothing moves while a view loads', async (t) => {
  for (const [name, of, hash, whole, options = {}] of views) {
    const page = await of.page(t, 'api-docs/openapi.json', options);
    page.allow(/favicon/);
    await page.addInitScript(WATCH);
    await page.goto(new URL(`/${hash}`, of.server.url).href);
    await whole(page).waitFor();
    await page.waitForLoadState('networkidle');
    const shift = await page.evaluate(() => globalThis.shift);
    assert.ok(shift <= SHIFT_MAX, `${name}: ${shift}`);
    await page.close();
  }
});

test('the first load is small, cached for ever but for the page itself, and of this server only', async (t) => {
  const page = await world.page(t);
  await page.getByRole('table').waitFor();
  const loaded = await page.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map(({ name, encodedBodySize, initiatorType }) => ({ name, bytes: encodedBodySize, initiatorType })));
  const files = loaded.filter(({ name }) => !new URL(name).pathname.startsWith('/v0/'));
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  t.diagnostic(`first load: ${bytes} bytes compressed in ${files.length} files`);
  assert.ok(bytes > 10_000 && bytes <= FIRST_LOAD_BYTES_MAX, `${bytes} bytes`);
  for (const { name } of files) {
    const { pathname, origin } = new URL(name);
    assert.equal(origin, world.server.url.origin);
    const { headers } = await world.server.get(pathname);
    if (pathname === '/') {
      assert.equal(headers['cache-control'], 'no-cache');
      assert.match(headers['content-security-policy'], /default-src 'none'/);
    } else {
      assert.match(pathname, /^\/dashboard\/.*-[\w-]{8}\.\w+$/);
      assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    }
  }
});

test('every view can be reached and left by keyboard', async (t) => {
  const page = await world.page(t);
  await page.getByRole('table').waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the numbers');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  for (const view of ['Goals', 'Predictions', 'Flags', 'Live demo', 'Status', 'Overview']) {
    const link = page.getByRole('navigation').getByRole('link', { name: view });
    await link.focus();
    await page.keyboard.press('Enter');
    await link.and(page.locator('[aria-current=page]')).waitFor();
    await page.getByRole('heading', { level: 1 }).first().waitFor();
  }
  await page.goBack();
  await page.getByRole('navigation').getByRole('link', { name: 'Status' }).and(page.locator('[aria-current=page]')).waitFor();
});

test('5,000 events: as many rows as fit are in the document, and typing finds one at once', async (t) => {
  const big = await createWorld(t, { empty: true, env: { EVENTS_PER_NAMESPACE_MAX: '5000' } });
  const events = Array.from({ length: 5_000 }, (_, index) => ({ event_name: `Event ${index}`, user_id: 1 }));
  await big.api('/v0/analytics', { method: 'POST', body: events });
  const page = await big.page(t, '#/overview?sort=name');
  const region = page.getByRole('region', { name: 'Events' });
  await region.waitFor();
  assert.equal(await page.getByRole('table').getAttribute('aria-rowcount'), '5001');
  assert.ok(await region.locator('tbody tr').count() < 80);
  await region.evaluate((element) => { element.scrollTop = element.scrollHeight; });
  await page.getByRole('rowheader', { name: 'Event 999', exact: true }).waitFor();
  await page.getByRole('searchbox').fill('event 4321');
  await page.getByRole('rowheader', { name: 'Event 4321' }).waitFor();
  assert.equal(await region.locator('tbody tr').count(), 1);
});
