// The demo in Chromium, as it is served: what it shows is what happened, and the server gets what it says.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { serve } from '../http/harness/server.mjs';
import { browse, open } from './harness/page.mjs';

const TOKEN = 'demo-token';
const server = await serve({ after }, { env: { API_AUTH: '', API_TOKENS: TOKEN } });
const browser = await browse({ after });
const authorized = { headers: { authorization: `Bearer ${TOKEN}` } };

async function demo(context, options) {
  const page = await open(context, browser, `${server.url.origin}/demo/index.html`, options);
  const text = (id) => page.locator(`#${id}`).textContent();
  return {
    page,
    number: async (id) => Number((await text(id)).replaceAll(',', '')),
    lines: (id) => page.locator(`#${id} > *`).allTextContents(),
    says: (pattern) => page.waitForFunction((source) => new RegExp(source).test(document.getElementById('status').textContent), pattern.source),
    /** Presses a button and waits until it can be pressed again, which it cannot before it is done. */
    press: async (id) => {
      await page.locator(`#${id}:enabled`).click();
      await page.locator('#reset:enabled').waitFor();
    },
  };
}

test('one user, and a storm of repeats: only the first 12 go out', async (context) => {
  const { number, lines, press } = await demo(context);
  await press('one');
  assert.deepEqual([await number('raw-events'), await number('sent-events')], [12, 12]);
  const bytes = await number('sent-bytes');
  assert.equal(await number('raw-bytes'), bytes);
  await press('storm');
  assert.deepEqual([await number('raw-events'), await number('sent-events')], [10_012, 12]);
  assert.equal(await number('sent-bytes'), bytes);
  assert.ok(await number('raw-bytes') > 800 * bytes);

  const out = (await lines('out')).map((line) => JSON.parse(line));
  assert.equal(out.length, 12);
  assert.equal(out.reduce((sum, event) => sum + JSON.stringify(event).length + 1, 0), bytes);
  assert.ok(out.every(({ user_id: user, datetime }) => user === 'ann' && datetime.endsWith('T00:00:00Z')));
  assert.equal(new Set(out.map(({ event_name: name }) => name)).size, 12);
  assert.match((await lines('in')).at(-1), /^and 9,952 /);
});

test('many users: the report is the truth, and so is the server after sending', async (context) => {
  const { page, number, lines, press, says } = await demo(context);
  await press('many');
  // User n does the first 1 + n mod 12 events, twice.
  const depth = (user) => 1 + (user % 12);
  const users = Array.from({ length: 100 }, (_, index) => index + 1);
  const firsts = users.reduce((sum, user) => sum + depth(user), 0);
  assert.deepEqual([await number('raw-events'), await number('sent-events'), await number('users')], [2 * firsts, firsts, 100]);
  const rows = await page.locator('#report tr').evaluateAll((items) => items.map((item) => [...item.children].map((cell) => cell.textContent)));
  assert.equal(rows.length, 12);
  const shown = Object.fromEntries(rows.map(([name, count]) => [name, Number(count)]));
  const deepest = users.filter((user) => depth(user) >= 11).length;
  assert.equal(shown.Landing, 100);
  assert.equal(shown.Purchase, deepest);
  assert.equal(rows.find(([name]) => name === 'Purchase')[2], String(19.5 * deepest));
  assert.match((await lines('out')).at(-1), new RegExp(`^and ${firsts - 60} `));

  await page.fill('#token', 'wrong');
  await press('submit');
  await says(/^The server refused: /);
  assert.deepEqual(page.troubles.splice(0).filter((trouble) => !trouble.includes('401')), []);
  await page.fill('#token', TOKEN);
  await page.press('#token', 'Enter');
  await says(new RegExp(`^The server has stored ${firsts} events\\.$`));
  const { counts, users: stored } = await server.analytics('default', authorized);
  assert.equal(stored, 100);
  assert.deepEqual(Object.fromEntries(counts.map(({ name, count }) => [name, count])), shown);
  await press('submit');
  await says(/^Nothing is waiting/);
  assert.equal(await number('sent-events'), firsts);
});

test('start over forgets everything; the keyboard reaches every button', async (context) => {
  const { page, number, lines, says } = await demo(context, { colorScheme: 'dark' });
  await says(/^Ready/);
  const reached = [];
  for (let presses = 0; presses < 4; presses += 1) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement.id));
  }
  assert.deepEqual(reached, ['one', 'many', 'storm', 'reset']);
  await page.locator('#one').focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('raw-events').textContent === '12');
  await page.locator('#reset:enabled').focus();
  await page.keyboard.press('Space');
  assert.deepEqual([await number('raw-events'), await number('sent-events'), (await lines('out')).length], [0, 0, 0]);
});
