// Serves Kimball Edge until Ctrl-C or SIGTERM: `kimball-edge start`, which `make start` runs after the build.
//
// PORT (8787), HOST (127.0.0.1) and STATE_DIR (.state, in the present directory) say where; every other variable is the
// Worker's own. Where workerd ends by itself it is started again (supervise.mjs).

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { acquireLock, prepareStateDir } from './lock.mjs';
import { lineFilter } from './log.mjs';
import { ADDRESS_SPACE_KIB_MIN, DESCRIPTORS_ADVISED, DESCRIPTORS_MIN, limits, shareOut } from './machine.mjs';
import { DRAIN_MS, describeAddressSpace, startServer } from './server.mjs';
import { supervise } from './supervise.mjs';

const PORT_DEFAULT = 8787;
const HOST_DEFAULT = '127.0.0.1';
const PORT_MAX = 65_535;
const HEALTH_DEADLINE_MS = 5_000;
const HEALTH_POLL_MS = 100;
const PARENT_POLL_MS = 200;
const AUTH_VARIABLES = ['API_AUTH', 'API_TOKENS', 'READ_TOKENS', 'INGEST_TOKENS'];
// Waiting mends neither.
const FATAL_CODES = ['configuration_invalid', 'hash_key_changed'];

const STATE_DIR_DEFAULT = '.state';
const NAME = 'kimball-edge start';

const output = heldOutput();
let service = null;
let stopping = false;

/**
 * Serves until a signal ends it, and resolves to the status that the process is to end with.
 * @param {Record<string, string>} variables
 * @param {number} [parent] a process id: everything ends once that is not the parent any more. make names itself, because
 *   nobody else would stop the server after make was killed
 * @throws {Error} of one line, where it cannot start
 */
export async function start(variables, parent) {
  // Who reads the output may go (`make start | head`); the server goes on without.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  if (parent !== undefined) watchParent(parent);
  return serve(variables);
}

function stop() {
  if (service === null) process.exit(0); // Nothing is in flight yet; the exit ends workerd.
  if (stopping) {
    if (!service.stop('SIGKILL')) process.exit(0);
    return;
  }
  stopping = true;
  console.log('\nStopping: requests in flight are answered first. Once more to stop at once.');
  service.stop('SIGTERM');
}

function watchParent(parent) {
  setInterval(() => {
    if (process.ppid === parent) return;
    console.error(`${NAME}: the process that started this one is gone; so is the server`);
    process.exit(1); // The exit ends workerd.
  }, PARENT_POLL_MS).unref();
}

async function serve(variables) {
  const port = parsePort(variables.PORT);
  const host = await parseHost(variables.HOST);
  const stateDir = resolve(variables.STATE_DIR || STATE_DIR_DEFAULT);
  const machine = limits();
  if (machine.addressSpaceKib < ADDRESS_SPACE_KIB_MIN) throw new Error(describeAddressSpace(machine.addressSpaceKib));
  if (machine.descriptors < DESCRIPTORS_MIN) {
    throw new Error(`the limit on open files (ulimit -n) of ${machine.descriptors} is too low; it must be ${DESCRIPTORS_MIN} or more`);
  }
  const { openShardsMax } = shareOut(machine.descriptors);
  const authByDefault = AUTH_VARIABLES.every((name) => !variables[name]);
  const env = { ...variables, ALLOWED_HOSTS: allowedHosts(variables), OPEN_SHARDS_MAX: variables.OPEN_SHARDS_MAX || String(openShardsMax) };
  if (authByDefault) env.API_AUTH = 'disable';

  prepareStateDir(stateDir);
  const lock = await acquireLock(stateDir);
  process.on('exit', () => lock.release());
  const started = await startServer({ port, host, stateDir, env, detached: true, log: output.write, lock });
  const { version } = await untilHealthy(started);
  const { url } = started;
  const restart = () => startServer({ port: Number(new URL(url).port), host, stateDir, env, detached: true, log: output.write, lock });
  service = supervise(started, restart, (line) => console.error(`${NAME}: ${line}`));
  output.release();
  printSummary({ url, version, host, stateDir, env, authByDefault, descriptors: machine.descriptors });

  const { signal } = await service.ended;
  output.flush();
  console.log(signal === 'SIGKILL' ? `Stopped without answering all requests (waited ${DRAIN_MS / 1000} s at most).` : 'Stopped.');
  return 0;
}

/** Keeps what workerd prints back until it serves: where it cannot, one line of ours says why. */
function heldOutput() {
  let held = [];
  const filter = lineFilter((line) => console.error(line));
  return {
    write: (chunk, name) => (held ? held.push([chunk, name]) : filter.write(chunk, name)),
    release() {
      for (const [chunk, name] of held) filter.write(chunk, name);
      held = null;
    },
    flush: () => filter.flush(),
  };
}

function parsePort(text) {
  if (!text) return PORT_DEFAULT;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > PORT_MAX) {
    throw new Error(`PORT: must be a whole number from 0 (any free port) to ${PORT_MAX}, got "${text}"`);
  }
  return port;
}

async function parseHost(text) {
  if (!text) return HOST_DEFAULT;
  const host = text.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host)) return host;
  try {
    return (await lookup(host)).address;
  } catch {
    throw new Error(`HOST: must be an address or a name of this machine, got "${text}"`);
  }
}

/** A name that the server listens on is meant to be asked for. */
function allowedHosts({ HOST = '', ALLOWED_HOSTS = '' }) {
  return isIP(HOST.replace(/^\[(.*)\]$/, '$1')) ? ALLOWED_HOSTS : [ALLOWED_HOSTS, HOST].filter(Boolean).join(',');
}

/** Waits until the Worker can serve; ends it where its configuration will never let it. */
async function untilHealthy({ url, exited, stop: end }) {
  const deadline = Date.now() + HEALTH_DEADLINE_MS;
  const gone = exited.then(({ reason }) => { throw new Error(`workerd ended at once: ${reason}`); });
  gone.catch(() => {}); // Only the race looks at it.
  for (;;) {
    const { ok, body } = await Promise.race([health(url), gone]);
    if (ok) return body;
    const { code, what } = body.error;
    if (FATAL_CODES.includes(code) || Date.now() > deadline) {
      await end();
      throw new Error(what);
    }
    await delay(HEALTH_POLL_MS);
  }
}

async function health(url) {
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(HEALTH_DEADLINE_MS) });
    return { ok: response.ok, body: await response.json() };
  } catch (error) {
    return { ok: false, body: { error: { what: `/healthz does not answer (${error.cause?.code ?? error.message})` } } };
  }
}

function printSummary({ url, version, host, stateDir, env, authByDefault, descriptors }) {
  const local = host === '::1' || host.startsWith('127.');
  const { connectionsMax, openShardsMax } = shareOut(descriptors);
  const lines = [
    ['state', stateDir],
    ['authentication', describeAuthentication(env, authByDefault)],
    ['hash key', env.HASH_KEY ? 'from HASH_KEY' : 'HASH_KEY is not set: a generated key lies beside the data'],
  ];
  if (descriptors < Infinity) {
    lines.push(['descriptors', `${descriptors} (ulimit -n): ${env.OPEN_SHARDS_MAX} open shards and ${connectionsMax} connections at most`]);
  }
  if (descriptors < DESCRIPTORS_ADVISED) {
    lines.push(['warning', `more connections end workerd for a moment; ulimit -n should be ${DESCRIPTORS_ADVISED} or more`]);
  }
  if (Number(env.OPEN_SHARDS_MAX) > openShardsMax) {
    lines.push(['warning', `OPEN_SHARDS_MAX is more than ${openShardsMax}, for which there are descriptors and memory`]);
  }
  if (env.API_AUTH === 'disable') lines.splice(2, 0, ['hosts', describeHosts(env)]);
  if (env.API_AUTH === 'disable' && !local) lines.push(['warning', `anyone who reaches ${host} can read and write`]);
  console.log(`Kimball Edge ${version} serves ${url}`);
  for (const [name, value] of lines) console.log(`  ${name.padEnd(16)}${value}`);
  console.log('  Ctrl-C stops it.');
}

function describeHosts({ ALLOWED_HOSTS }) {
  const names = ALLOWED_HOSTS.split(',').map((name) => name.trim()).filter(Boolean);
  if (names.includes('*')) return 'all (ALLOWED_HOSTS=*)';
  return `localhost, IP addresses${names.length > 0 ? `, ${names.join(', ')}` : '; ALLOWED_HOSTS=… names others'}`;
}

function describeAuthentication(env, authByDefault) {
  if (authByDefault) return 'off for this local run; API_TOKENS=… turns it on';
  if (env.API_AUTH === 'disable') return 'off (API_AUTH=disable)';
  const tokens = ['API_TOKENS', 'READ_TOKENS', 'INGEST_TOKENS'].filter((name) => env[name]);
  return tokens.length > 0 ? `on (${tokens.join(', ')})` : 'on, but no tokens are set: every /v0 request is refused';
}
