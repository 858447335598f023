// The overview shows what GET /v0/analytics answers, sorted, searched and saved as asked.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { cells, createWorld, download, number } from './harness/world.mjs';

const world = await createWorld({ after });
const report = await world.api('/v0/analytics');

const named = () => report.counts.filter(({ type }) => type === 'named');
const table = (page) => page.getByRole('table');
const firsts = async (page) => (await cells(table(page))).map(([name]) => name.split('\n')[0]);

test('every event with its users, share, value and mean, the goals marked', async (t) => {
  const page = await world.page(t);
  await table(page).waitFor();
  const rows = await cells(table(page));
  const heads = await table(page).locator('thead th').allInnerTexts();
  const at = (name) => heads.findIndex((head) => head.replace(/[↑↓]/, '').trim() === name);
  assert.equal(rows.length, named().length);
  for (const { name, count, value, event_counts_other: other } of named()) {
    const row = rows.find(([first]) => first.split('\n')[0] === name);
    assert.ok(row, name);
    assert.equal(row[0].includes('goal'), other !== undefined, name);
    assert.equal(row[at('Users')], number(count), name);
    const share = (100 * count) / report.users;
    assert.ok(Math.abs(Number.parseFloat(row[at('Of all users')]) - share) <= 0.051, `${name}: ${row[at('Of all users')]}, exactly ${share}`);
    const two = { maximumFractionDigits: 2 };
    assert.equal(row[at('Value')], value.sum === undefined ? '' : value.sum.toLocaleString('en-US', two), name);
    assert.equal(row[at('Mean')], value.sum === undefined ? '' : (value.sum / count).toLocaleString('en-US', two), name);
  }
  const facts = await page.locator('dl .card').allInnerTexts();
  assert.deepEqual(facts.map((text) => text.split(/\n+/)), [
    ['Users', number(report.users)], ['Events', number(named().length)], ['Goals', number(world.goals.length)],
  ]);
});

test('weekly cohorts are drawn within the row of their event, and said in words', async (t) => {
  const page = await world.page(t);
  const row = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: world.weekly, exact: true }) });
  const said = await row.getByRole('img').getAttribute('aria-label');
  const weeks = report.counts.filter(({ type }) => type === 'weekly');
  assert.ok(weeks.length > 0);
  const inOrder = weeks.map(({ name, count }) => {
    const [, year, week] = /(\d{4})(\d+)$/.exec(name);
    return { label: `${year}-W${week.padStart(2, '0')}`, count };
  }).sort((a, b) => (a.label < b.label ? -1 : 1));
  assert.ok(said.includes(inOrder.slice(-52).map(({ count }) => number(count)).join(', ')), said);
  assert.ok(said.includes(inOrder.at(-1).label), said);
  assert.equal(await table(page).getByRole('img').count(), 1);
});

test('sorting and searching are in the address, and another page with it shows the same', async (t) => {
  const page = await world.page(t);
  await table(page).waitFor();
  const by = (compare) => named().sort(compare).map(({ name }) => name);
  assert.deepEqual(await firsts(page), by((a, b) => b.count - a.count || a.name.localeCompare(b.name)));
  await page.getByRole('button', { name: 'Users' }).click();
  assert.deepEqual(await firsts(page), by((a, b) => a.count - b.count || a.name.localeCompare(b.name)));
  assert.equal(await page.getByRole('columnheader', { name: 'Users', exact: true }).getAttribute('aria-sort'), 'ascending');
  await page.getByRole('button', { name: 'Event', exact: true }).click();
  assert.deepEqual(await firsts(page), by((a, b) => a.name.localeCompare(b.name)));

  const word = named()[0].name.slice(0, 3).toUpperCase();
  await page.getByRole('searchbox').fill(word);
  const fitting = by((a, b) => a.name.localeCompare(b.name)).filter((name) => name.toUpperCase().includes(word));
  await page.getByRole('status').filter({ hasText: `${fitting.length} of` }).waitFor();
  assert.deepEqual(await firsts(page), fitting);
  const other = await world.page(t, new URL(page.url()).hash);
  await table(other).waitFor();
  assert.deepEqual(await firsts(other), fitting);

  await page.getByRole('searchbox').fill('no event has this');
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByRole('checkbox', { name: 'Goals only' }).check();
  await page.getByRole('status').filter({ hasText: `${world.goals.length} of` }).waitFor();
  assert.deepEqual((await firsts(page)).sort(), [...world.goals].sort());
});

test('what is shown can be saved as CSV and as JSON', async (t) => {
  const page = await world.page(t, '#/overview?only=goals');
  const csv = await download(page, page.getByRole('button', { name: 'Download CSV' }));
  assert.equal(csv.name, 'events-default.csv');
  const [head, ...lines] = csv.text.trimEnd().split('\n');
  assert.equal(head, '\ufeffevent,goal,users,share,value_sum,value_mean');
  const goals = named().filter(({ name }) => world.goals.includes(name)).sort((a, b) => b.count - a.count);
  assert.deepEqual(lines, goals.map(({ name, count, value: { sum } }) => [name, 'true', count, count / report.users, sum ?? '', sum === undefined ? '' : sum / count].join(',')));
  const json = await download(page, page.getByRole('button', { name: 'Download JSON' }));
  assert.equal(json.name, 'events-default.json');
  assert.deepEqual(JSON.parse(json.text).map(({ name, users }) => [name, users]), goals.map(({ name, count }) => [name, count]));
});

test('the file has a column for every week', async (t) => {
  const page = await world.page(t, `#/overview?search=${world.weekly}`);
  const csv = await download(page, page.getByRole('button', { name: 'Download CSV' }));
  const [head, ...lines] = csv.text.trimEnd().split('\n').map((line) => line.split(','));
  const weekly = report.counts.filter(({ type, name }) => type === 'weekly' && name.startsWith(`${world.weekly} `));
  const labels = weekly.map(({ name }) => name.slice(world.weekly.length + 1)).map((week) => `${week.slice(0, 4)}-W${week.slice(4).padStart(2, '0')}`);
  assert.ok(labels.length > 0);
  assert.deepEqual(head.slice(6), [...labels].sort());
  const users = lines.find(([name]) => name === world.weekly).slice(6);
  assert.deepEqual(users, head.slice(6).map((label) => String(weekly[labels.indexOf(label)].count)));
  for (const line of lines.filter(([name]) => name !== world.weekly)) assert.deepEqual(line.slice(6), labels.map(() => ''), 'an event without weeks has none');
});

test('nothing in a file becomes a formula, and numbers stay numbers', async (t) => {
  const namespace = 'formulas';
  const inert = {
    '=1+1': "'=1+1", '+1': "'+1", '-1': "'-1", '@SUM(A1)': "'@SUM(A1)", ' =1': "' =1", '\u00a0\u3000-1': "'\u00a0\u3000-1", '\u200b@x': "'\u200b@x",
    '＝1': "'＝1", '＋1': "'＋1", '－1': "'－1", '＠x': "'＠x", ' ＝1': "' ＝1", 'a;=1': "a;'=1", 'a; -b': "a;' -b", 'a - b = c': 'a - b = c', 'a;b': 'a;b', plain: 'plain',
  };
  const events = Object.keys(inert).map((event_name) => ({ event_name, user_id: 'u', namespace, value: -5 }));
  await world.api('/v0/analytics', { method: 'POST', body: events });
  const page = await world.page(t, `#/overview?namespace=${namespace}`);
  const csv = await download(page, page.getByRole('button', { name: 'Download CSV' }));
  const lines = csv.text.trimEnd().split('\n').slice(1);
  assert.deepEqual(new Set(lines), new Set(Object.values(inert).map((name) => `${name},false,1,1,-5,-5`)));
});

test('a name cannot become a formula, an element or a namespace of its own', async (t) => {
  const evil = '=HYPERLINK("http://x"),"a"\u2028<img src=x onerror=alert(1)>';
  const namespace = '=1+1 & <b>/?#% é';
  await world.api('/v0/analytics', { method: 'POST', body: { event_name: evil, user_id: 'u', namespace } });
  const page = await world.page(t);
  await page.getByRole('combobox', { name: 'Namespace' }).selectOption(namespace);
  await page.getByRole('rowheader', { name: evil }).waitFor();
  assert.equal(await page.locator('main img').count(), 0);
  const csv = await download(page, page.getByRole('button', { name: 'Download CSV' }));
  assert.match(csv.text.split('\n')[1], /^"'=HYPERLINK\(""http:\/\/x""\)/);
  const other = await world.page(t, new URL(page.url()).hash);
  await other.getByRole('rowheader', { name: evil }).waitFor();
});

test('new numbers come by themselves, at the chosen interval and at once by the button', async (t) => {
  const page = await world.page(t, '#/overview?namespace=growing');
  const record = (event_name, user_id) => world.api('/v0/analytics', { method: 'POST', body: { event_name, user_id, namespace: 'growing' } });
  await page.getByRole('heading', { level: 1 }).waitFor();
  await record('Opened', 1);
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByRole('row').filter({ hasText: 'Opened' }).waitFor();
  await page.clock.install();
  await page.getByRole('combobox', { name: 'Refresh' }).selectOption('10');
  await record('Closed', 1);
  await page.clock.runFor(10_500);
  await page.getByRole('row').filter({ hasText: 'Closed' }).waitFor();
  assert.match(await page.getByRole('status').filter({ hasText: 'Last update' }).innerText(), /\d:\d\d:\d\d/);
});

test('numbers and times are those of the viewer', async (t) => {
  const page = await world.page(t, '', { locale: 'de-DE', timezoneId: 'Asia/Tokyo' });
  await table(page).waitFor();
  const { count, name } = named().reduce((most, each) => (each.count > most.count ? each : most));
  const row = page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });
  await row.getByRole('cell', { name: count.toLocaleString('de-DE'), exact: true }).waitFor();
  const said = await page.getByRole('status').filter({ hasText: 'Last update' }).innerText();
  const hours = [0, 60_000].map((ago) => new Date(Date.now() - ago).toLocaleTimeString('de-DE', { timeZone: 'Asia/Tokyo', hour: '2-digit', minute: '2-digit' }));
  assert.ok(hours.some((time) => said.includes(time)), `${said}, now ${hours[0]}`);
});

test('a slow server is waited for: no tick gives up what is being loaded', async (t) => {
  const page = await world.page(t);
  await table(page).waitFor();
  await page.clock.install();
  await page.getByRole('combobox', { name: 'Refresh' }).selectOption('10');
  let asked = 0;
  let go;
  const held = new Promise((resolve) => { go = resolve; });
  await page.route('**/v0/analytics**', async (route) => {
    asked += 1;
    await held;
    await route.continue();
  });
  const first = page.waitForRequest('**/v0/analytics**');
  await page.clock.runFor(10_500);
  await first;
  await page.clock.runFor(15_000);
  // What the page had asked before this is known here by now.
  await page.evaluate(() => fetch('alive').then((answer) => answer.text()));
  assert.equal(asked, 1);
  const answered = page.waitForResponse('**/v0/analytics**');
  go();
  await answered;
});

test('while the server cannot be reached, what was loaded stays and the page says so', async (t) => {
  const page = await world.page(t);
  page.allow(/ERR_FAILED/);
  await table(page).waitFor();
  await page.route('**/v0/**', (route) => route.abort());
  await page.getByRole('button', { name: 'Refresh now' }).click();
  await page.getByRole('alert').filter({ hasText: 'The server cannot be reached' }).waitFor();
  assert.equal((await cells(table(page))).length, named().length);
  await page.unroute('**/v0/**');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('alert').waitFor({ state: 'detached' });
});
