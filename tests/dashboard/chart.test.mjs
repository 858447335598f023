// The chart of the overview beside what GET /v0/series answers: points, gaps, dashes and dots, what is told in words, and its table.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { FAULTS } from '../http/harness/server.mjs';
import { seeded } from '../http/harness/random.mjs';
import { onEveryScreen } from './harness/looks.mjs';
import { cells, createWorld, download, number } from './harness/world.mjs';

const DAY_MS = 86_400_000;
const DAYS = 40;
const QUIET = 17;
const noon = Math.floor(Date.now() / DAY_MS) * DAY_MS + DAY_MS / 2;
const day = (days) => new Date(noon + days * DAY_MS).toISOString().slice(0, 10);
const words = (text) => new Date(`${text}T00:00:00Z`).toLocaleDateString('en-US', { month: 'short', day: 'numeric', timeZone: 'UTC' });

const world = await createWorld({ after }, { empty: true, build: FAULTS, env: { SERIES_EVENTS_MAX: '2' } });
/** The server's clock: noon of the n-th day from today. */
const to = async (days) => {
  (await world.server.post(`/faults/clock?offset_ms=${Math.round(noon + days * DAY_MS - Date.now())}`)).expect(204);
};
const { below } = seeded(11);
const did = (event_name, user_id, more = {}) => ({ event_name, user_id, ...more });
for (let now = -DAYS; now <= 0; now += 1) {
  await to(now);
  const users = now === -QUIET ? [] : Array.from({ length: 40 + below(80) }, () => below(400));
  const bought = users.filter((user) => user % 3 === 0).map((user) => did('Buy', user, { value: 2 }));
  // Of the day before counting began, and of yesterday.
  const late = now === -DAYS || now === 0 ? [did('Login', 'late', { datetime: `${day(now - 1)}T12:00:00Z` })] : [];
  await world.server.ingest([...users.map((user) => did('Login', user)), ...bought, ...late, ...(now === 0 ? [did('Third', 'ann')] : [])]);
}
await world.api('/v0/namespaces', { method: 'POST', body: { namespace: 'small', group_users_min: 5 } });
await world.server.ingest([...Array.from({ length: 9 }, (_, user) => did('Login', user, { namespace: 'small' })), did('Buy', 1, { namespace: 'small' })]);
await world.server.ingest([did('Login', 'ann', { namespace: 'old', datetime: '2020-01-01T00:00:00Z' })]);
const LONG = `<b>${'W'.repeat(240)}</b>`;
await world.server.ingest(['Anybody', LONG].flatMap((name) => [1, 2].map((user) => did(name, user, { namespace: 'names' }))));

const series = (fields) => world.api(`/v0/series?${new URLSearchParams({ compare: 'previous', ...fields })}`);
const hash = (fields) => `#/overview?${new URLSearchParams(fields)}`;
const chart = (page) => page.getByRole('region', { name: /^Unique users by (day|week|month)$/ });
const plot = (page) => chart(page).getByRole('group', { name: /arrow keys/ });
const said = (page) => chart(page).locator('.said');
const remarks = (page) => chart(page).getByRole('list', { name: 'What to know of these numbers' });

/** What a path goes through: the numbers at its points by their index, and where it begins anew. */
async function drawn(page, path, length) {
  const { d, left, right, levels } = await plot(page).evaluate((element, selector) => {
    const lines = [...element.querySelectorAll('.grid')];
    const at = (line, name) => Number(line.getAttribute(name));
    return {
      d: element.querySelector(selector).getAttribute('d'),
      left: at(lines[0], 'x1'),
      right: at(lines[0], 'x2'),
      levels: lines.map((line, index) => [Number(element.querySelectorAll('.level')[index].textContent), at(line, 'y1')]),
    };
  }, path);
  const [[zero, bottom], [top, y]] = [levels[0], levels.at(-1)];
  assert.equal(zero, 0);
  const found = [...d.matchAll(/([ML])(-?[\d.]+),(-?[\d.]+)/g)].map(([, command, atX, atY]) => {
    const [index, users] = [((atX - left) / (right - left)) * (length - 1), ((bottom - atY) / (bottom - y)) * top];
    for (const exact of [index, users]) assert.ok(Math.abs(exact - Math.round(exact)) < 0.02, `${path}: ${exact}`);
    return { command, index: Math.round(index), users: Math.round(users) };
  });
  return { points: found.map(({ index, users }) => [index, users]), begins: found.filter(({ command }) => command === 'M').map(({ index }) => index) };
}
const known = (points, is = () => true) => points.flatMap((point, index) => (point.users !== null && is(point) ? [[index, point.users]] : []));
const dash = (page, path) => plot(page).locator(path).evaluate((element) => getComputedStyle(element).strokeDasharray);
/** The table, once it is open. */
async function table(page, act) {
  await act(chart(page).getByText('The numbers as a table'));
  await chart(page).getByRole('table').waitFor();
  return cells(chart(page).getByRole('table'));
}
const rings = (page, kind) => plot(page).locator(`.${kind} circle.late`).count();

test('lines go through the numbers of the API: solid what is over, dotted what is not, dashed before, ringed what is late', async (t) => {
  const page = await world.page(t, hash({ event: 'Buy' }));
  await plot(page).locator('.event .over').waitFor({ state: 'attached' });
  for (const [kind, found] of [['anybody', await series({})], ['event', await series({ event: 'Buy' })]]) {
    assert.deepEqual([found.points.length, found.points.at(-1).state, found.points.at(-2).state], [30, 'open', 'late']);
    assert.deepEqual((await drawn(page, `.${kind} .over`, 30)).points, known(found.points, ({ state }) => state !== 'open'));
    assert.deepEqual((await drawn(page, `.${kind} .open`, 30)).points, known(found.points.slice(-2)).map(([index, users]) => [index + 28, users]));
    const before = known(found.previous.points);
    assert.ok(before.length > 5 && before.length < 15, 'it begins where counting began');
    assert.deepEqual((await drawn(page, `.${kind} .was`, 30)).points, before);
    assert.equal(await rings(page, kind), found.points.filter(({ state }) => state === 'late').length);
    assert.equal(await dash(page, `.${kind} .over`), 'none');
    assert.notEqual(await dash(page, `.${kind} .was`), 'none');
    assert.notEqual(await dash(page, `.${kind} .open`), await dash(page, `.${kind} .was`));
  }
  assert.match(await chart(page).innerText(), /UTC/);
  assert.match(await remarks(page).innerText(), new RegExp(`Events that come late still count: ${words(day(-2))} and ${words(day(-1))}\\.`));
});

test('a day on which nobody came is 0, one that was not counted is a gap, and both are told', async (t) => {
  const page = await world.page(t, hash({ last: 90 }));
  await plot(page).waitFor();
  const { points, since } = await series({ from: day(-89) });
  const { points: found, begins } = await drawn(page, '.anybody .over', 90);
  assert.deepEqual(found, known(points, ({ state }) => state !== 'open'));
  assert.deepEqual(begins, [points.findIndex(({ users }) => users !== null)]);
  assert.deepEqual(found.filter(([, users]) => users === 0), [[89 - QUIET, 0]]);
  assert.equal(since, day(-DAYS));
  const text = await remarks(page).innerText();
  assert.match(text, new RegExp(`Counting by day began on ${words(since)}, \\d{4}: there is nothing before`));
  // Somebody came late, of the day before.
  assert.match(text, new RegExp(`Users may be missing: ${words(day(-DAYS - 1))}\\.`));
  assert.match(text, /no room for all of them, or counting began within the period/);
  await plot(page).focus();
  await page.keyboard.press('Home');
  await said(page).filter({ hasText: 'Anybody: not counted' }).waitFor();
});

test('unit, range and event are in the address, and another page with it shows the same', async (t) => {
  const page = await world.page(t);
  await plot(page).waitFor();
  await page.getByLabel('By', { exact: true }).selectOption('week');
  await page.getByLabel('Range', { exact: true }).selectOption('26');
  await page.getByLabel('Beside it, an event').fill('Buy');
  await page.waitForURL(/event=Buy/);
  const fields = new URLSearchParams(new URL(page.url()).hash.split('?')[1]);
  assert.deepEqual(Object.fromEntries(fields), { unit: 'week', last: '26', event: 'Buy' });
  const other = await world.page(t, new URL(page.url()).hash);
  for (const each of [page, other]) {
    await plot(each).locator('.event .over').waitFor({ state: 'attached' });
    const { points } = await series({ unit: 'week', event: 'Buy', from: day(-25 * 7) });
    assert.equal(points.length, 26);
    assert.deepEqual((await drawn(each, '.event .over', 26)).points, known(points, ({ state }) => state !== 'open'));
  }
  await page.getByLabel('By', { exact: true }).selectOption('day');
  await page.getByRole('button', { name: 'Remove Buy' }).click();
  await page.waitForURL(({ hash: now }) => now === '#/overview');
  assert.deepEqual(await page.getByLabel('Range', { exact: true }).locator('option').allInnerTexts(), ['last 7 days', 'last 30 days', 'last 90 days']);
  await page.getByLabel('By', { exact: true }).selectOption('month');
  await plot(page).and(page.getByLabel(/by month/)).waitFor();
  const { points } = await series({ unit: 'month' });
  assert.deepEqual((await drawn(page, '.anybody .over', 12)).points, known(points, ({ state }) => state !== 'open'));
});

test('arrow keys and the pointer go from day to day, and its numbers are said', async (t) => {
  const page = await world.page(t, hash({ event: 'Buy' }));
  await plot(page).locator('.event .over').waitFor({ state: 'attached' });
  const [anybody, buy] = [await series({}), await series({ event: 'Buy' })];
  const expected = (index) => [
    new RegExp(`${words(anybody.points[index].period)}, \\d{4} (not over|takes late events|over)`),
    `Anybody: ${number(anybody.points[index].users)} user`,
    `Buy: ${number(buy.points[index].users)} user`,
  ];
  const says = async (index) => { for (const hasText of expected(index)) await said(page).filter({ hasText }).waitFor(); };
  await says(29);
  await plot(page).focus();
  await page.keyboard.press('ArrowLeft');
  await says(28);
  await page.keyboard.press('Home');
  await says(0);
  await page.keyboard.press('ArrowRight');
  await says(1);
  await page.keyboard.press('PageDown');
  await says(8);
  await page.keyboard.press('End');
  await says(29);
  const box = await plot(page).locator('svg').boundingBox();
  await page.mouse.move(box.x + 46, box.y + 100);
  await says(0);
  const first = buy.points.find(({ first_users: users }) => users > 1);
  await plot(page).focus();
  for (let index = 0; index < buy.points.indexOf(first); index += 1) await page.keyboard.press('ArrowRight');
  await said(page).filter({ hasText: `${number(first.first_users)} for the first time` }).waitFor();
});

test('the same numbers are a table that opens by keyboard, and files', async (t) => {
  const page = await world.page(t, hash({ event: 'Buy' }));
  await plot(page).locator('.event .over').waitFor({ state: 'attached' });
  const rows = await table(page, (summary) => summary.press('Enter'));
  const [anybody, buy] = [await series({}), await series({ event: 'Buy' })];
  const text = (value) => (value === null ? '–' : number(value));
  const three = ({ points, previous }, index) => [text(points[index].users), text(points[index].first_users), text(previous.points[index].users)];
  assert.deepEqual(rows.map((row) => row.slice(1, -1)), anybody.points.map((_, index) => {
    const [users, first, before] = three(buy, index);
    const { value } = buy.points[index];
    return [...three(anybody, index), users, first, value === null ? '' : number(value), before];
  }));
  assert.deepEqual(rows.map(([name]) => name), anybody.points.map(({ period }) => `${words(period)}, ${period.slice(0, 4)}`));
  assert.deepEqual(rows.slice(-3).map((row) => row.at(-1)), ['takes late events', 'takes late events', 'not over']);
  const csv = await download(page, chart(page).getByRole('button', { name: 'Download CSV' }));
  assert.equal(csv.name, 'users-day-Buy-default.csv');
  const [head, ...lines] = csv.text.trimEnd().split('\n');
  assert.match(head, /^\ufeffday,state,users,first_users,value,complete,previous_users,event_users,/);
  assert.deepEqual(lines, anybody.points.map((point, index) => [point.period, point.state, ...[anybody, buy].flatMap(({ points, previous }) =>
    [points[index].users, points[index].first_users, points[index].value, points[index].complete, previous.points[index].users])].map((cell) => cell ?? '').join(',')));
  const json = await download(page, chart(page).getByRole('button', { name: 'Download JSON' }));
  assert.deepEqual(JSON.parse(json.text), { anybody, event: buy });
});

test('an event that is not counted so, or is not there, is told beside the line of anybody', async (t) => {
  for (const [fields, sentence] of [
    [{ event: 'Third' }, 'Third is not counted by day'],
    [{ event: 'Buy', unit: 'month' }, 'by month, only anybody is'],
    [{ event: 'Nothing' }, 'There is no event of the name Nothing here'],
  ]) {
    const page = await world.page(t, hash(fields));
    page.allow(/404/);
    await chart(page).getByRole('status').filter({ hasText: sentence }).waitFor();
    assert.ok((await drawn(page, '.anybody .over', fields.unit ? 12 : 30)).points.length > 0);
    assert.equal(await plot(page).locator('.event').count(), 0);
    assert.equal(await page.getByRole('alert').count(), 0);
  }
});

test('a number that is hidden is a gap, and told as hidden everywhere', async (t) => {
  const page = await world.page(t, hash({ namespace: 'small', event: 'Buy' }));
  await plot(page).locator('.event').waitFor({ state: 'attached' });
  assert.equal(await plot(page).locator('.event .over').getAttribute('d'), '');
  assert.equal(await plot(page).locator('.event .open').getAttribute('d'), '');
  assert.deepEqual((await drawn(page, '.anybody .open', 30)).points, [[29, 9]]);
  await said(page).filter({ hasText: 'Anybody: 9 users' }).filter({ hasText: 'Buy: hidden' }).waitFor();
  assert.match(await remarks(page).innerText(), new RegExp(`Users of Buy are hidden: ${words(day(0))}\\. They are few, or none`));
  const rows = await table(page, (summary) => summary.click());
  assert.deepEqual(rows.at(-1).slice(1, -1), ['9', '9', '–', 'hidden', 'hidden', '–']);
  const csv = await download(page, chart(page).getByRole('button', { name: 'Download CSV' }));
  assert.match(csv.text.trimEnd().split('\n').at(-1), /,open,9,9,,true,,hidden,hidden,hidden,true,$/);
});

test('an event may have any name, also that of the other line', async (t) => {
  for (const event of ['Anybody', LONG]) {
    const page = await world.page(t, hash({ namespace: 'names', event }));
    await plot(page).locator('.event').waitFor({ state: 'attached' });
    assert.deepEqual((await said(page).locator('p').allInnerTexts()).slice(1).map((text) => text.split(';')[0]), ['Anybody', event].map((name) => `${name}: 2 users, 2 for the first time`));
  }
});

test('where nobody was counted the page says so, and why there may be numbers all the same', async (t) => {
  const page = await world.page(t, hash({ namespace: 'old' }));
  await chart(page).getByText('Nobody was counted in the last 30 days.').waitFor();
  assert.match(await chart(page).innerText(), /count in all other numbers of this page/);
  assert.equal(await plot(page).count(), 0);
});

test('what cannot be loaded is told once, and what was loaded stays', async (t) => {
  const page = await world.page(t);
  page.allow(/ERR_FAILED/);
  await plot(page).waitFor();
  await page.route('**/v0/series**', (route) => route.abort());
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await chart(page).getByRole('alert').filter({ hasText: 'The numbers by day could not be loaded' }).filter({ hasText: 'from before' }).waitFor();
  assert.ok((await drawn(page, '.anybody .over', 30)).points.length > 20);
  await page.route('**/v0/analytics**', (route) => route.abort());
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('alert').filter({ hasText: 'The numbers could not be loaded' }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 1);
  await page.unroute('**/v0/**');
  await page.unroute('**/v0/series**');
  await page.unroute('**/v0/analytics**');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('alert').waitFor({ state: 'detached' });
});

onEveryScreen('the chart', async (t, screen, look) => {
  for (const [name, fields, isOpen] of [
    ['chart', { event: 'Buy' }, true], ['chart-week', { unit: 'week', last: 52 }], ['chart-90', { last: 90 }], ['chart-month', { unit: 'month', event: 'Buy' }],
    ['chart-hidden', { namespace: 'small', event: 'Buy' }], ['chart-empty', { namespace: 'old' }],
    ['chart-names', { namespace: 'names', event: LONG }, true],
  ]) {
    const page = await world.page(t, hash(fields), screen);
    await chart(page).getByText('The numbers as a table').waitFor();
    await page.waitForLoadState('networkidle');
    if (isOpen) {
      await table(page, (summary) => summary.click());
      await plot(page).focus();
      await page.keyboard.press('PageUp');
    }
    await look(page, name, { fullPage: true });
    await page.close();
  }
});
