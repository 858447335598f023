// Serves Kimball Edge until Ctrl-C or SIGTERM; what `make start` runs after the build.
//
// PORT (8787), HOST (127.0.0.1) and STATE_DIR (.state) say where; every other variable is the Worker's own.

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { DRAIN_MS, ROOT, startServer } from './server.mjs';

const PORT_DEFAULT = 8787;
const HOST_DEFAULT = '127.0.0.1';
const PORT_MAX = 65_535;
const HEALTH_DEADLINE_MS = 5_000;
const HEALTH_POLL_MS = 100;
const AUTH_VARIABLES = ['API_AUTH', 'API_TOKENS', 'READ_TOKENS', 'INGEST_TOKENS'];
// Waiting mends neither.
const FATAL_CODES = ['configuration_invalid', 'hash_key_changed'];

let server = null;
let stopping = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (server === null) process.exit(0); // Nothing is in flight yet; the exit ends workerd.
    if (stopping) {
      server.stop('SIGKILL');
      return;
    }
    stopping = true;
    console.log('\nStopping: requests in flight are answered first. Once more to stop at once.');
    server.stop();
  });
}

try {
  process.exitCode = await serve(process.env);
} catch (error) {
  console.error(`make start: ${error.message}`);
  process.exit(1);
}

async function serve(variables) {
  const port = parsePort(variables.PORT);
  const host = await parseHost(variables.HOST);
  const stateDir = variables.STATE_DIR ? resolve(variables.STATE_DIR) : join(ROOT, '.state');
  const authByDefault = AUTH_VARIABLES.every((name) => !variables[name]);
  const env = authByDefault ? { ...variables, API_AUTH: 'disable' } : variables;

  const output = heldOutput(process.stderr);
  const started = await startServer({ port, host, stateDir, env, detached: true, log: output.write });
  const { version } = await untilHealthy(started);
  server = started;
  output.release();
  printSummary({ url: server.url, version, host, stateDir, env, authByDefault });

  const { code, signal } = await server.exited;
  if (stopping) {
    console.log(signal === 'SIGKILL' ? `Stopped without answering all requests (waited ${DRAIN_MS / 1000} s at most).` : 'Stopped.');
    return 0;
  }
  throw new Error(`workerd ended unexpectedly (${signal ?? `exit status ${code}`})`);
}

/** Keeps what workerd prints back until it serves: where it cannot, one line of ours says why. */
function heldOutput(stream) {
  let held = [];
  return {
    write: (chunk) => (held ? held.push(chunk) : stream.write(chunk)),
    release() {
      for (const chunk of held) stream.write(chunk);
      held = null;
    },
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

/** Waits until the Worker can serve; ends it where its configuration will never let it. */
async function untilHealthy({ url, stop }) {
  const deadline = Date.now() + HEALTH_DEADLINE_MS;
  for (;;) {
    const response = await fetch(`${url}/healthz`);
    const body = await response.json();
    if (response.ok) return body;
    const { code, what } = body.error;
    if (FATAL_CODES.includes(code) || Date.now() > deadline) {
      await stop();
      throw new Error(what);
    }
    await delay(HEALTH_POLL_MS);
  }
}

function printSummary({ url, version, host, stateDir, env, authByDefault }) {
  const local = host === '::1' || host.startsWith('127.');
  const lines = [
    ['state', stateDir],
    ['authentication', describeAuthentication(env, authByDefault)],
    ['hash key', env.HASH_KEY ? 'from HASH_KEY' : 'HASH_KEY is not set: a generated key lies beside the data'],
  ];
  if (env.API_AUTH === 'disable' && !local) lines.push(['warning', `anyone who reaches ${host} can read and write`]);
  console.log(`Kimball Edge ${version} serves ${url}`);
  for (const [name, value] of lines) console.log(`  ${name.padEnd(16)}${value}`);
  console.log('  Ctrl-C stops it.');
}

function describeAuthentication(env, authByDefault) {
  if (authByDefault) return 'off for this local run; API_TOKENS=… turns it on';
  if (env.API_AUTH === 'disable') return 'off (API_AUTH=disable)';
  const tokens = ['API_TOKENS', 'READ_TOKENS', 'INGEST_TOKENS'].filter((name) => env[name]);
  return tokens.length > 0 ? `on (${tokens.join(', ')})` : 'on, but no tokens are set: every /v0 request is refused';
}
