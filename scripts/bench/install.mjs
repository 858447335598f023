// How long it takes from an empty folder to the first event counted, with the packed server: `make bench-install`.
//
// npm's cache may have the dependencies; what the network takes beside that is not ours.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Client } from '../lib/client.mjs';
import { ROOT } from '../serve/server.mjs';

const ROUNDS = 5;
const tarball = join(ROOT, 'build', readdirSync(join(ROOT, 'build')).find((name) => /^kimball-edge-server-.*\.tgz$/.test(name)));
console.log(`the packed server: ${statSync(tarball).size.toLocaleString('en-US')} bytes`);
const rounds = [];
for (let round = 0; round < ROUNDS; round += 1) rounds.push(await measure());
for (const what of ['install', 'serve', 'count']) {
  const times = rounds.map((each) => each[what]).sort((a, b) => a - b);
  console.log(`${what.padEnd(8)} ${(times[ROUNDS >> 1] / 1_000).toFixed(2)} s (median of ${ROUNDS}; ${(times[0] / 1_000).toFixed(2)} to ${(times.at(-1) / 1_000).toFixed(2)})`);
}

async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'kimball-edge-install-'));
  writeFileSync(join(directory, 'package.json'), '{"private": true}\n');
  const began = performance.now();
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], { cwd: directory, stdio: 'ignore' });
  const installed = performance.now();
  const child = spawn(process.execPath, [join(directory, 'node_modules/kimball-edge-server/scripts/kimball-edge.mjs'), 'start', '--port', '0'], {
    cwd: directory, stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH },
  });
  try {
    const url = await address(child.stdout);
    const serves = performance.now();
    const client = new Client(url);
    await client.postEvents([{ event_name: 'A', user_id: 'u' }]);
    if ((await client.report('default')).users !== 1) throw new Error('it does not count');
    return { install: installed - began, serve: serves - installed, count: performance.now() - serves };
  } finally {
    const ended = new Promise((resolve) => { child.on('exit', resolve); });
    child.kill('SIGTERM');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  }
}

async function address(stdout) {
  let printed = '';
  for await (const text of stdout) {
    printed += text;
    const [, url] = /(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/.exec(printed) ?? [];
    if (url) return url;
  }
  throw new Error(`it ended: ${printed}`);
}
