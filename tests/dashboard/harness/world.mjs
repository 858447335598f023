// A real server with the numbers of an online store, and Chromium with the dashboard that it serves.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { GOAL, storeEvents } from '../../../demo/store.mjs';
import { ROOT, serve } from '../../http/harness/server.mjs';
import { browse } from '../../pkg/harness/page.mjs';

export const TOKENS = { admin: 'may-all', read: 'may-read', ingest: 'may-send' };
const CLICKSTREAM = join(ROOT, '../shared/data/ecom.csv.gz');
const BATCH = 1_000;
const DEADLINE_MS = 15_000;

/** The shared clickstream by session, with weeks of `home`; without that file the demo's store. */
function store() {
  if (!existsSync(CLICKSTREAM)) return { goals: [GOAL], weekly: 'Login', events: storeEvents('default') };
  const [, ...lines] = gunzipSync(readFileSync(CLICKSTREAM)).toString('utf8').trimEnd().split(/\r?\n/);
  const events = lines.map((line) => {
    const [, user_id, event_name, timestamp] = line.split(',');
    const value = event_name === 'purchase' ? { value: 10 + (line.length % 7) } : {};
    return { user_id, event_name, datetime: `${timestamp.replace(' ', 'T')}Z`, ...value };
  });
  return { goals: ['purchase', 'add_to_cart'], weekly: 'home', events };
}

/** With `empty`, a server without events; with `build`, another one than that which is deployed. */
export async function createWorld(scope, { env = {}, empty = false, build } = {}) {
  const { goals, weekly, events } = store();
  // Hooks run in the order in which they were added: pages that still ask are gone before their server is.
  const contexts = new Set();
  const close = async (context) => {
    if (contexts.delete(context)) await context.close();
  };
  scope.after(() => Promise.all([...contexts].map(close)));
  const server = await serve(scope, {
    token: TOKENS.admin,
    build,
    env: {
      API_AUTH: '',
      API_TOKENS: TOKENS.admin,
      READ_TOKENS: TOKENS.read,
      INGEST_TOKENS: TOKENS.ingest,
      COUNTERS: JSON.stringify([{ pattern: `^${weekly}$`, date_cohort: 'weekly' }]),
      ...env,
    },
  });
  const browser = await browse(scope);
  if (!empty) {
    for (const goal of goals) await server.goal(goal);
    for (let from = 0; from < events.length; from += BATCH) await server.ingest(events.slice(from, from + BATCH));
  }

  return {
    server,
    goals,
    weekly,
    /** What the server answers an admin; `undefined` for an answer without a body. */
    async api(path, { method = 'GET', body } = {}) {
      const answer = await server.request(method, path, body === undefined ? {} : { json: body });
      assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text}`);
      return answer.status === 204 ? undefined : answer.json();
    },
    /**
     * A page at `hash` (below `at`, where a proxy is in front), with a token kept for its tab (none with `token: null`). Whatever is logged as an error or thrown in it
     * fails the test at its end, but for what `page.allow` (a pattern) was told to expect.
     */
    async page(test, hash = '', { token = TOKENS.admin, at = server.url.href, ...options } = {}) {
      const { pathname } = new URL(at);
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: 'en-US', timezoneId: 'Europe/Zurich', ...options });
      contexts.add(context);
      await context.addInitScript(([key, value]) => {
        if (value && sessionStorage.getItem(key) === null && sessionStorage.getItem('visited') === null) sessionStorage.setItem(key, value);
        sessionStorage.setItem('visited', 'yes');
      }, [pathname === '/' ? 'kimball-token' : `kimball-token ${pathname}`, token]);
      const page = await context.newPage();
      page.setDefaultTimeout(DEADLINE_MS);
      const troubles = [];
      const allowed = [];
      page.allow = (pattern) => allowed.push(pattern);
      page.on('pageerror', (error) => troubles.push(error.message));
      page.on('console', (message) => { if (message.type() === 'error') troubles.push(`${message.text()} ${message.location().url}`); });
      test.after(async () => {
        await close(context);
        assert.deepEqual(troubles.filter((trouble) => !allowed.some((pattern) => pattern.test(trouble))), []);
      });
      await page.goto(`${at}${hash}`);
      return page;
    },
  };
}

/** The file that a click leads to, as text. */
export async function download(page, locator) {
  const [file] = await Promise.all([page.waitForEvent('download'), locator.click()]);
  const chunks = [];
  for await (const chunk of await file.createReadStream()) chunks.push(chunk);
  return { name: file.suggestedFilename(), text: Buffer.concat(chunks).toString() };
}

/** The texts of the cells of a table, row by row, as long as it is short enough to be whole. */
export const cells = (table) => table.locator('tbody tr').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.innerText.trim())));

export const number = (value) => value.toLocaleString('en-US');
