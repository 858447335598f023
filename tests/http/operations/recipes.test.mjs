// The recipes of selfhost/: the systemd unit, the container file, and what README.md says of a proxy in front. No container
// engine is needed: what the image would hold is laid out by its COPY lines and run as its user on a read-only root.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { Client } from '../harness/client.mjs';
import { until, within } from '../harness/deadline.mjs';
import { launch } from '../harness/process.mjs';
import { ROOT, temporaryDirectory } from '../harness/server.mjs';

const END_DEADLINE_MS = 30_000;
const IS_ROOT = process.getuid() === 0;
const SILENT = 600;

const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const has = (program, ...args) => spawnSync(program, args).status === 0;

/** The instructions of a container file, a list of `[name, rest]` for each stage. */
function stages(text) {
  const found = [];
  for (const line of text.replace(/^#.*\n/gm, '').replace(/\\\n/g, ' ').split('\n').filter((part) => part.trim())) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line);
    if (name === 'FROM') found.push([]);
    found.at(-1).push([name, rest]);
  }
  return found;
}

const IMAGE = stages(read('selfhost/Containerfile')).at(-1);
const given = (name) => IMAGE.filter(([instruction]) => instruction === name).map(([, rest]) => rest);
const environment = (text) => Object.fromEntries(text.split(/\s+/).map((pair) => pair.split('=')));

/** What the image would hold, in a directory: what it copies from the build, and what it installs beside that. */
function layOut(directory) {
  execFileSync(process.execPath, [join(ROOT, 'scripts/build/server.mjs')], { stdio: 'ignore' });
  for (const rest of given('COPY')) {
    const [, source, target] = /^--from=build \/kimball-edge\/(\S+) (\S+)$/.exec(rest);
    cpSync(join(ROOT, source), join(directory, target), { recursive: true });
  }
  const [, installation] = given('RUN');
  execFileSync('/bin/sh', ['-c', installation], { cwd: directory, stdio: 'ignore' });
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Runs a command as the image would: as its user, first in its process namespace, with one writable directory. */
function contained(t, directory, stateDir, command, env) {
  const isolation = IS_ROOT && has('unshare', '--mount', '--pid', '--fork', '--mount-proc', 'true')
    ? ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '/bin/sh', '-c', `
      mount --make-rprivate / && mount --bind '${stateDir}' '${stateDir}' && mount -o remount,ro,bind / &&
      exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all "$@"`, 'sh']
    : [];
  const [program, ...args] = [...isolation, ...command];
  const child = spawn(program, args, { cwd: directory, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { output += text; });
  const ended = once(child, 'exit');
  const inner = () => {
    if (isolation.length === 0) return child.pid;
    return Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
  };
  t.after(() => {
    if (child.exitCode === null) process.kill(inner(), 'SIGKILL');
  });
  return { ended, inner, output: () => output, isIsolated: isolation.length > 0 };
}

test('the unit is accepted by systemd, starts what is there, and lets it write nothing but its state', (t) => {
  const unit = read('selfhost/kimball-edge.service');
  const value = (key) => unit.match(new RegExp(`^${key}=(.*)$`, 'm'))?.[1];
  const [node, script, command] = value('ExecStart').split(' ');
  assert.deepEqual([node, command], ['/usr/bin/node', 'start']);
  assert.ok(existsSync(join(ROOT, script.replace('/opt/kimball-edge/node_modules/kimball-edge-server/', ''))));
  assert.deepEqual(
    ['Restart', 'NoNewPrivileges', 'ProtectSystem', 'DynamicUser', 'StateDirectory', 'CapabilityBoundingSet'].map(value),
    ['always', 'yes', 'strict', 'yes', 'kimball-edge', ''],
  );
  const { STATE_DIR, API_AUTH } = environment(value('Environment'));
  assert.deepEqual([STATE_DIR, API_AUTH], ['/var/lib/kimball-edge', 'enable']);
  assert.ok(Number(value('LimitNOFILE')) >= 4_096);
  if (!has('systemd-analyze', '--version') || !existsSync(node)) {
    t.skip(`systemd-analyze or ${node} is missing: the unit is not verified`);
    return;
  }
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', join(ROOT, 'selfhost/kimball-edge.service')], { encoding: 'utf8' });
  assert.equal(`${stdout}${stderr}`, '');
  assert.equal(status, 0);
});

test('what the container file copies is enough, as its user on a read-only root; its health check tells, and it ends when told', async (t) => {
  const root = await temporaryDirectory(t);
  const [directory, stateDir] = [join(root, 'kimball-edge'), join(root, 'state')];
  chmodSync(root, 0o755);
  layOut(directory);
  mkdirSync(stateDir, { mode: 0o700 });
  const [user] = given('USER');
  assert.equal(user, '65532:65532');
  if (IS_ROOT) chownSync(stateDir, 65_532, 65_532);

  const PORT = String(await freePort());
  const declared = environment(given('ENV')[0]);
  assert.deepEqual([given('VOLUME')[0], declared.HOST, declared.API_AUTH], [declared.STATE_DIR, '0.0.0.0', 'enable']);
  // A test listens on this machine only.
  const env = { ...declared, HOST: '127.0.0.1', PORT, STATE_DIR: stateDir, API_TOKENS: 'secret' };
  const healthcheck = JSON.parse(/CMD (\[.*\])$/.exec(given('HEALTHCHECK')[0])[1]);
  const health = () => spawnSync(healthcheck[0], healthcheck.slice(1), { cwd: directory, env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' });
  assert.equal(health().status, 1);

  const client = new Client(`http://127.0.0.1:${PORT}`, 'secret');
  for (let round = 1; round <= 2; round += 1) {
    const server = contained(t, directory, stateDir, JSON.parse(given('CMD')[0]), env);
    await until('it serves', () => {
      assert.doesNotMatch(server.output(), /kimball-edge start: /);
      return server.output().includes('Ctrl-C');
    });
    if (server.isIsolated) assert.match(readFileSync(`/proc/${server.inner()}/status`, 'utf8'), /^Uid:\s+65532[\s\S]*^NSpid:\s+\d+\s+1$/m);
    const { status, stdout } = health();
    assert.equal(status, 0, stdout);
    assert.match(stdout, /"status":\s*"ok"/);
    await client.ingest({ event_name: 'A', user_id: `u${round}` });
    assert.equal((await client.analytics()).users, round);
    (await client.get('/')).expect(200);
    process.kill(server.inner(), 'SIGTERM');
    assert.deepEqual(await within('it ends', server.ended, END_DEADLINE_MS), [0, null], server.output());
    assert.equal(health().status, 1);
  }
});

test('nothing is copied into the image or run by a recipe that is not there, and nobody is root', () => {
  const [node, build, image] = stages(read('selfhost/Containerfile'));
  for (const [from] of [node, build, image].map((stage) => stage.filter(([name]) => name === 'FROM').map(([, rest]) => rest))) {
    assert.doesNotMatch(from, /latest/);
  }
  assert.ok(build.some(([name, rest]) => name === 'RUN' && rest === 'make pkg-server'));
  assert.doesNotMatch(given('USER')[0], /^(root|0)\b/);
  for (const name of ['CMD', 'HEALTHCHECK']) {
    const [, script] = JSON.parse(/(\[.*\])$/.exec(given(name)[0])[1]);
    assert.ok(existsSync(join(ROOT, script)), script);
  }
  const ignored = read('.dockerignore').split('\n');
  for (const path of ['.git', '.state', '.tools', 'build', 'node_modules', 'target']) assert.ok(ignored.includes(path), path);
});

/** The `nginx` block of the README, before this server. */
async function nginx(t, server, connections) {
  const directory = await temporaryDirectory(t);
  const port = await freePort();
  const block = /```nginx\n([\s\S]*?)```/.exec(read('README.md'))[1];
  const http1 = block
    .replace(/server 127\.0\.0\.1:8787 max_conns=\d+/, `server 127.0.0.1:${server.port} max_conns=${connections}`)
    .replace(/listen .*;/, `listen 127.0.0.1:${port};`).replace(/^ *(ssl_certificate|ssl_certificate_key|server_name) .*\n/gm, '');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`).join(' ');
  writeFileSync(join(directory, 'nginx.conf'), `
    daemon off; ${IS_ROOT ? 'user root;' : ''} pid ${directory}/pid; error_log ${directory}/error.log;
    events { worker_connections 2048; }
    http { access_log off; ${temporary}\n${http1}\n}`);
  const child = spawn('nginx', ['-p', directory, '-c', join(directory, 'nginx.conf')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGTERM');
    await within('nginx ends', ended, END_DEADLINE_MS);
  });
  const client = new Client(`http://127.0.0.1:${port}`);
  await until('nginx answers', () => client.get('/alive').then(({ status }) => status === 200, () => {
    if (child.exitCode !== null) throw new Error(readFileSync(join(directory, 'error.log'), 'utf8'));
  }));
  return client;
}

/** Posts a body as curl posts a large one, and answers the status and whether the server asked for the body first. */
function expecting(url, body) {
  return new Promise((resolve, reject) => {
    let isAsked = false;
    const request = http.request(new URL('/v0/analytics', url), {
      method: 'POST', agent: false, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), expect: '100-continue' },
    });
    request.on('continue', () => { isAsked = true; });
    request.on('information', ({ statusCode }) => { if (statusCode === 100) request.end(body); });
    request.on('error', reject);
    request.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode, isAsked }));
    });
    request.flushHeaders();
    if (url.isSilent) request.end(body);
  });
}

test('the proxy of the README: silent connections end at it, and it asks for bodies that wait to be asked for', async (t) => {
  if (!has('nginx', '-v')) {
    t.skip('nginx is missing (on Debian the package nginx-light)');
    return;
  }
  const stateDir = await temporaryDirectory(t);
  const script = launch(t, 'start', { shell: 'ulimit -n 256', env: { PORT: '0', STATE_DIR: stateDir } });
  const [, url] = await script.printed(/(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/);
  const [, connections] = /(\d+) connections/.exec(script.output.stdout);
  const proxy = await nginx(t, new URL(url), connections);

  const silent = Array.from({ length: SILENT }, () => net.connect(proxy.url.port, '127.0.0.1').on('error', () => {}));
  t.after(() => silent.forEach((socket) => socket.destroy()));
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  await proxy.ingest({ event_name: 'A', user_id: 'u' });
  assert.equal((await proxy.analytics()).users, 1);

  const body = JSON.stringify([{ event_name: 'A', user_id: 'v', ignored: 'x'.repeat(2 << 20) }]);
  assert.deepEqual(await expecting(proxy.url, body), { status: 204, isAsked: true });
  assert.deepEqual(await expecting(Object.assign(new URL(url), { isSilent: true }), body), { status: 204, isAsked: false });
  assert.equal((await proxy.analytics()).users, 2);
  assert.equal(script.output.stderr, '');
});
