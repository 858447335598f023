// A real nginx in front of a server, under paths of its own.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { ROOT, temporaryDirectory } from '../../http/harness/server.mjs';

const DEADLINE_MS = 15_000;
const TRIES = 5;
const POLL_MS = 20;

/** The path of nginx, or why there is none. */
export function findNginx() {
  try {
    return { path: execFileSync(join(ROOT, 'scripts/tools/nginx.sh'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim() };
  } catch (error) {
    return { missing: `no nginx: ${error.stderr.trim()}` };
  }
}

/**
 * nginx with these `locations` (the inside of a `server`) and `maps` (before it), on a free port of 127.0.0.1 until the scope
 * ends. Whatever no location takes is answered with 418. Resolves to its address.
 */
export async function proxy(scope, path, locations, maps = '') {
  const directory = await temporaryDirectory(scope);
  for (let tries = 1; ; tries += 1) {
    const port = await freePort();
    const config = join(directory, 'nginx.conf');
    writeFileSync(config, `pid ${directory}/pid; error_log stderr error; daemon off; master_process off;
      events {}
      http {
        access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
        gzip on; gzip_min_length 1; gzip_proxied any; gzip_types *;
        ${maps}
        server { listen 127.0.0.1:${port}; location / { return 418; } ${locations} }
      }`);
    const child = spawn(path, ['-p', directory, '-e', 'stderr', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    scope.after(() => child.kill('SIGKILL'));
    let said = '';
    child.stderr.on('data', (chunk) => { said += chunk; });
    const isUp = await listens(port, child);
    if (isUp) return `http://127.0.0.1:${port}`;
    assert.ok(tries < TRIES && said.includes('Address already in use'), `nginx does not serve: ${said}`);
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** Whether it listens; not, where it has ended before. */
async function listens(port, child) {
  const deadline = Date.now() + DEADLINE_MS;
  while (child.exitCode === null && Date.now() < deadline) {
    const isOpen = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (isOpen && child.exitCode === null) return true;
    await delay(POLL_MS);
  }
  return false;
}
