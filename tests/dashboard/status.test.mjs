// The status shows what GET /v0/status answers, and says first what is not as it should be.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { flipSnapshotBit } from '../http/harness/damage.mjs';
import { cells, createWorld, number } from './harness/world.mjs';

const world = await createWorld({ after }, { env: { SHARDS: '2', EVENTS_PER_NAMESPACE_MAX: '20' } });

const meter = (scope, name) => scope.getByRole('meter', { name, exact: true });
const now = async (locator) => Number(await locator.getAttribute('aria-valuenow'));

test('limits, shards, events and settings are those of the API', async (t) => {
  const page = await world.page(t, '#/status');
  await page.getByRole('heading', { level: 1, name: 'Status' }).waitFor();
  const status = await world.api('/v0/status');
  const report = await world.api('/v0/analytics');
  const named = report.counts.filter(({ type }) => type === 'named');
  await page.getByText(status.version, { exact: true }).waitFor();
  assert.equal(await now(meter(page, 'Event names')), named.length);
  assert.equal(await meter(page, 'Event names').getAttribute('aria-valuemax'), '20');
  assert.equal(await now(meter(page, 'Users of the largest event')), Math.max(...named.map(({ count }) => count)));
  assert.equal(await now(meter(page, 'Combinations of a goal')), Math.max(...named.map(({ event_counts: list }) => list.length)));
  for (const shard of status.namespace.shards) {
    const card = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: `Shard ${shard.index}` }) });
    assert.equal(await now(meter(card, 'Memory')), shard.memory_bytes);
    assert.equal(await meter(card, 'Memory').getAttribute('aria-valuemax'), String(shard.memory_limit_bytes));
  }
  await page.getByRole('definition').filter({ hasText: number(status.events.accepted) }).first().waitFor();
  const rows = await cells(page.getByRole('region', { name: 'Limits' }).getByRole('table'));
  assert.deepEqual(rows.map(([name, unit, value, usual]) => [name, unit, value.replace('changed', '').trim(), usual]),
    status.configuration.limits.map(({ name, unit, value, default: usual }) => [name, unit, number(value), number(usual)]));
  assert.deepEqual(rows.filter(([, , value]) => value.includes('changed')).map(([name]) => name).sort(), ['EVENTS_PER_NAMESPACE_MAX', 'SHARDS']);
  await page.getByText('1 admin, 1 read, 1 ingest').waitFor();
});

test('a limit that is near is said first', async (t) => {
  const names = Array.from({ length: 17 }, (_, index) => ({ event_name: `Event ${index}`, user_id: 1, namespace: 'crowded' }));
  await world.api('/v0/analytics', { method: 'POST', body: names });
  const page = await world.page(t, '#/status?namespace=crowded');
  await page.getByText('Event names: 17 of 20.').waitFor();
});

test('a namespace without events has no shards yet', async (t) => {
  const page = await world.page(t, '#/status?namespace=later');
  await page.getByText('None yet: they come with the first event.').waitFor();
});

test('a shard that cannot be read is said first, and the rest is still shown', async (t) => {
  const broken = await createWorld(t, { empty: true, env: { JOURNAL_ROWS_MAX: '1', SHARDS: '1' } });
  await broken.api('/v0/analytics', { method: 'POST', body: { event_name: 'Login', user_id: 1 } });
  await broken.server.stop();
  flipSnapshotBit(broken.server.stateDir);
  await broken.server.start();
  const page = await broken.page(t, '#/status');
  page.allow(/503/);
  await page.getByText('Shard 0 cannot be read').first().waitFor();
  await page.getByRole('region', { name: 'Limits' }).waitFor();
  await page.getByRole('link', { name: 'Overview' }).click();
  await page.getByRole('alert').filter({ hasText: 'The numbers could not be loaded' }).waitFor();
});
