// The installed package in pages of a real Chromium: without a bundler, and as each bundler puts it together. Every start is
// the README's own; the server's numbers say whether it has worked.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { build } from 'vite';
import webpack from 'webpack';

import { until } from '../http/harness/deadline.mjs';
import { ROOT, serve } from '../http/harness/server.mjs';
import { LOGINS, MODULES, OUTCOME, everything } from './harness/outcome.mjs';
import { browse, files, open, outcome } from './harness/page.mjs';
import { project, run, start } from './harness/project.mjs';

const browser = await browse({ after });
const PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="start.js"></script>\n';

/** A server of its own, and a project with the README's start.js, which then runs everything else, too. */
async function begin(context, more = {}) {
  const server = await serve(context, { env: { ALLOWED_ORIGINS: '*' } });
  const code = await start('start.js', server.url);
  const { directory, write } = await project(context, {
    'start.js': `${code}${everything(server.url)}globalThis.outcome = outcome;\n`,
    ...MODULES,
    ...more,
  });
  return { server, directory, write };
}

async function assertCounted(server, logins) {
  const { counts } = await until('the server has a login', async () => {
    const answer = await server.analytics();
    return answer.counts.length > 0 && answer;
  });
  assert.deepEqual(counts.map(({ name, count }) => [name, count]), [['Login', logins]]);
}

async function assertWorks(context, server, url) {
  const page = await open(context, browser, url);
  assert.deepEqual(await outcome(page), OUTCOME);
  await assertCounted(server, LOGINS);
}

test('a plain page with the files of the server', async (context) => {
  const { server, directory, write } = await begin(context);
  await write({ 'index.html': await start('sdk.html', server.url) });
  await open(context, browser, `${await files(context, directory)}/index.html`);
  await assertCounted(server, 1);
});

test('a plain page with the files of npm', async (context) => {
  const { server, directory } = await begin(context, { 'index.html': await start('npm.html') });
  await assertWorks(context, server, `${await files(context, directory)}/index.html`);
});

test('Vite: build', async (context) => {
  const { server, directory } = await begin(context, { 'vite.config.js': await start('vite.config.js'), 'index.html': PAGE });
  await build({ root: directory, logLevel: 'warn' });
  await assertWorks(context, server, `${await files(context, join(directory, 'dist'))}/index.html`);
});

/**
 * Vite's development server over a project, in a process of its own: within this one, files that it goes on watching after its
 * end would keep the tests from ending.
 */
function develop(directory) {
  const vite = spawn(process.execPath, [join(ROOT, 'node_modules/vite/bin/vite.js'), '--port', '0', '--host', '127.0.0.1'], {
    cwd: directory, env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(vite, 'exit');
  let output = '';
  vite.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
  return {
    url: () => until('Vite listens', () => {
      assert.equal(vite.exitCode, null, output);
      return /http:\/\/127\.0\.0\.1:\d+\//.exec(output)?.[0];
    }),
    async stop() {
      vite.kill();
      await ended;
    },
  };
}

for (const [how, configuration] of [['as the README says', 'vite.config.js'], ['without a configuration', undefined]]) {
  test(`Vite: development server, ${how}`, async (context) => {
    const { server, directory, write } = await begin(context, { 'index.html': PAGE });
    if (configuration) await write({ [configuration]: await start(configuration) });
    const vite = develop(directory);
    try {
      await assertWorks(context, server, await vite.url());
    } finally {
      // Behind the page, which looks for the server as long as it is open.
      context.after(vite.stop);
    }
  });
}

test('webpack', async (context) => {
  const { server, directory } = await begin(context, { 'webpack.config.js': await start('webpack.config.js') });
  const { default: config } = await import(pathToFileURL(join(directory, 'webpack.config.js')));
  const stats = await new Promise((resolve, reject) => {
    webpack({ ...config, context: directory, output: { ...config.output, path: join(directory, 'dist') } }, (error, done) => (error ? reject(error) : resolve(done)));
  });
  assert.ok(!stats.hasErrors() && !stats.hasWarnings(), stats.toString());
  await writeFile(join(directory, 'dist/index.html'), PAGE);
  await assertWorks(context, server, `${await files(context, join(directory, 'dist'))}/index.html`);
});

test('esbuild', async (context) => {
  const { server, directory } = await begin(context, { 'esbuild.sh': await start('esbuild.sh') });
  await mkdir(join(directory, 'node_modules/.bin'), { recursive: true });
  await symlink(join(ROOT, 'node_modules/.bin/esbuild'), join(directory, 'node_modules/.bin/esbuild'));
  await run(directory, 'sh', ['-eu', 'esbuild.sh']);
  await writeFile(join(directory, 'public/index.html'), PAGE);
  await assertWorks(context, server, `${await files(context, join(directory, 'public'))}/index.html`);
});

test('a Web Worker, by Vite', async (context) => {
  const { server, directory } = await begin(context, {
    'vite.config.js': await start('vite.config.js'),
    'index.html': PAGE.replace('start.js', 'page.js'),
    'page.js': (await start('web-worker.js')).replace('new Worker', 'const worker = new Worker')
      + 'worker.onmessage = ({ data }) => { globalThis.outcome = data; };\n',
  });
  await writeFile(join(directory, 'start.js'), `${await start('start.js', server.url)}${everything(server.url)}postMessage(outcome);\n`);
  await build({ root: directory, logLevel: 'warn', worker: { format: 'es' } });
  await assertWorks(context, server, `${await files(context, join(directory, 'dist'))}/index.html`);
});

test('a service worker', async (context) => {
  const { server, directory, write } = await begin(context, { 'index.html': '<!doctype html><link rel="icon" href="data:,">\n' });
  await write({ 'service-worker.js': await start('service-worker.js', server.url) });
  const page = await open(context, browser, `${await files(context, directory)}/index.html`);
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('service-worker.js', { type: 'module' });
    const { active } = await navigator.serviceWorker.ready;
    for (let time = 0; time < 3; time += 1) active.postMessage({ event: 'Login', user: 'ann' });
  });
  await assertCounted(server, 1);
});
