// A Worker that imports the installed package, put together by wrangler and by esbuild, under real workerd.

import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { startServer } from '../../scripts/serve/server.mjs';
import { ROOT, serve, temporaryDirectory } from '../http/harness/server.mjs';
import { MODULES, OUTCOME } from './harness/outcome.mjs';
import { project, run, start } from './harness/project.mjs';

// The README's Worker, and beside it everything that the package does.
const MAIN = `import worker from './worker.js';
import exercise from './exercise.js';
import track from './track.js';
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== '/exercise') return worker.fetch(request);
    return Response.json({ ...await exercise(), troubles: await track(searchParams.get('url')) });
  },
};
`;

const BUNDLERS = {
  async wrangler({ directory, write }) {
    const config = (await start('wrangler.toml')).replace('worker.js', 'main.js');
    await write({ 'wrangler.toml': config });
    const env = { CI: 'true', WRANGLER_SEND_METRICS: 'false', WRANGLER_LOG_PATH: join(directory, 'logs') };
    await run(directory, process.execPath, [join(ROOT, 'node_modules/wrangler/bin/wrangler.js'), 'deploy', '--dry-run', '--outdir', 'out'], env);
  },
  async esbuild({ directory }) {
    await run(directory, join(ROOT, 'node_modules/.bin/esbuild'), ['main.js', '--bundle', '--format=esm', '--outdir=out', '--loader:.wasm=copy',
      '--conditions=workerd,worker,browser']);
  },
};

/** A configuration for all modules in a directory. The two disks are what `startServer` names. */
async function workerdConfig(directory) {
  const names = (await readdir(join(directory, 'out'))).filter((name) => /\.(js|wasm)$/.test(name));
  assert.deepEqual(names.map((name) => name.split('.').pop()).sort(), ['js', 'wasm', 'wasm'], 'one script, and a wasm for each of aggregator and client');
  const modules = names.sort((name) => (name.endsWith('.js') ? -1 : 1))
    .map((name) => `(name = "${name}", ${name.endsWith('.js') ? 'esModule' : 'wasm'} = embed "out/${name}")`);
  await writeFile(join(directory, 'config.capnp'), `@0xa1b2c3d4e5f60718;
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (compatibilityDate = "2026-04-01", modules = [${modules.join(', ')}])),
    (name = "internet", network = (allow = ["private"])),
    (name = "state", disk = (path = ".")),
    (name = "files", disk = (path = ".")),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`);
  return join(directory, 'config.capnp');
}

for (const [bundler, build] of Object.entries(BUNDLERS)) {
  test(`a Worker, by ${bundler}`, async (context) => {
    const made = await project(context, { 'worker.js': await start('worker.js'), 'main.js': MAIN, ...MODULES });
    await build(made);
    const api = await serve(context);
    const server = await startServer({ stateDir: await temporaryDirectory(context), build: await workerdConfig(made.directory) });
    context.after(() => server.stop('SIGKILL'));
    const get = async (path) => (await fetch(`${server.url}${path}`)).json();
    const { pending: before } = await get('/ann');
    assert.equal((await get('/ann')).pending, before, 'a repeat');
    const { pending, report } = await get('/bob');
    assert.equal(pending, before + 1);
    assert.deepEqual(report.counts.map(({ name, count }) => [name, count]), [['Visit', pending]]);
    assert.deepEqual(await get(`/exercise?url=${api.url.origin}`), OUTCOME);
    assert.deepEqual((await api.analytics()).counts.map(({ name, count }) => [name, count]), [['Login', 1]]);
  });
}
