// The packed server, installed by npm into an empty folder: it serves, counts, plays the store, and would be deployed.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

import { Client } from '../http/harness/client.mjs';
import { ROOT, temporaryDirectory } from '../http/harness/server.mjs';

const run = promisify(execFile);
const [tarball] = readdirSync(join(ROOT, 'build')).filter((name) => /^kimball-edge-server-.*\.tgz$/.test(name));
const directory = await temporaryDirectory({ after });
writeFileSync(join(directory, 'package.json'), '{"private": true}\n');
// workerd finds its binary without the scripts of its installation.
await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', join(ROOT, 'build', tarball)], { cwd: directory });
const installed = join(directory, 'node_modules/kimball-edge-server');
const env = { PATH: process.env.PATH, HOME: process.env.HOME };

/** Starts it as the README does, by npx; resolves to its address. */
async function start(t, args = []) {
  const child = spawn('npx', ['kimball-edge-server', 'start', '--port', '0', ...args], { cwd: directory, env, stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const ended = once(child, 'exit');
  t.after(async () => {
    process.kill(-child.pid, 'SIGTERM');
    await ended;
  });
  let printed = '';
  for await (const text of child.stdout) {
    printed += text;
    const [, url] = /(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/.exec(printed) ?? [];
    if (url) return url;
  }
  throw new Error(`it ended: ${printed}`);
}

test('in an empty folder it serves dashboard, client and API, and the demo plays in it', async (t) => {
  const url = await start(t);
  assert.ok(existsSync(join(directory, '.state')));
  const client = new Client(url);
  await client.ingest({ event_name: 'A', user_id: 'u' });
  assert.equal((await client.analytics()).users, 1);
  for (const path of ['/', '/api-docs/index.html', '/api-docs/openapi.json', '/sdk/index.js']) {
    (await client.get(path)).expect(200);
  }
  const { stdout } = await run(join(directory, 'node_modules/.bin/kimball-edge'), ['demo', '--url', url], { cwd: directory, env });
  assert.match(stdout, /Exactly what was sent/);
});

test('it holds what it needs: nothing that builds, and the licences of all that is in its wasm', () => {
  const files = readdirSync(installed, { recursive: true }).map(String);
  for (const name of ['README.md', 'LICENSE', 'THIRD-PARTY.txt', 'wrangler.toml', 'build/index_bg.wasm', 'build/assets/index.html']) assert.ok(files.includes(name), name);
  assert.ok(!files.some((name) => /^(src\/core|tests|www|target|scripts\/(build|bench|checks|tools))/.test(name)));
  assert.match(readFileSync(join(installed, 'THIRD-PARTY.txt'), 'utf8'), /^worker \d/m);
  const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  const workspace = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).dependencies;
  for (const [name, version] of Object.entries(manifest.dependencies)) assert.equal(version, workspace[name], name);
});

test('what it would deploy is its own build', async () => {
  const path = `${join(ROOT, 'node_modules/.bin')}:${env.PATH}`;
  const wrangler = join(directory, 'node_modules/.bin/wrangler');
  writeFileSync(wrangler, `#!/bin/sh\nexec '${join(ROOT, 'node_modules/.bin/wrangler')}' "$@"\n`, { mode: 0o755 });
  const { stdout } = await run(join(directory, 'node_modules/.bin/kimball-edge'), ['deploy', '--dry-run', '--shards', '8'], {
    cwd: directory, env: { ...env, PATH: path, WRANGLER_LOG_PATH: join(directory, 'logs') },
  });
  assert.match(stdout, /env\.SHARDS[\s\S]*byte for byte/);
});
