// Chromium, and a server of files for its pages.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream, existsSync, statSync } from 'node:fs';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';

import { chromium } from 'playwright-core';

import { ROOT } from '../../http/harness/server.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
const DEADLINE_MS = 30_000;

/** One Chromium for a file of tests. */
export async function browse(scope) {
  const executablePath = execFileSync(join(ROOT, 'scripts/tools/chromium.sh'), { encoding: 'utf8' }).trim();
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-background-networking'] });
  scope.after(() => browser.close());
  return browser;
}

/** Serves a directory on a free port; resolves to its address. */
export async function files(scope, directory, headers = {}) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://x');
    const path = join(directory, normalize(decodeURIComponent(pathname)));
    if (!existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', ...headers });
    createReadStream(path).pipe(response);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  scope.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

/** Opens a page in a context of its own; whatever goes wrong in it fails the test at its end. */
export async function open(scope, browser, url, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const troubles = [];
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') troubles.push(message.text()); });
  page.on('requestfailed', (request) => troubles.push(`${request.url()}: ${request.failure()?.errorText}`));
  scope.after(async () => {
    await context.close();
    assert.deepEqual(troubles, []);
  });
  await page.goto(url);
  return Object.assign(page, { troubles });
}

/** What the page has put into `globalThis.outcome`. */
export async function outcome(page) {
  try {
    const handle = await page.waitForFunction(() => globalThis.outcome);
    return await handle.jsonValue();
  } catch (error) {
    throw new Error(`${error.message}\n${page.troubles.join('\n')}`);
  }
}
