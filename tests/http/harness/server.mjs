// Servers for tests: real workerd on a free port over a directory of its own, stopped and removed after the test.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startServer } from '../../../scripts/serve/server.mjs';
import { Client } from './client.mjs';
import { within } from './deadline.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
export const PRODUCT = 'build';
export const FAULTS = 'build/faults';

/**
 * A fixed key: a user set may take two users for one with a probability below 1e-4, so with a random key a test
 * that compares with exact sets would fail once in a while.
 */
export const HASH_KEY = '4b696d62616c6c20456467652074657374206b657920666f7220616c6c207275';

const STOP_DEADLINE_MS = 15_000;

/** A new empty directory, removed after the test. `scope` is a test context, or `{ after }` of node:test for a file. */
export async function temporaryDirectory(scope) {
  const directory = await makeDirectory();
  scope.after(() => remove(directory));
  return directory;
}

const makeDirectory = () => mkdtemp(join(tmpdir(), 'kimball-edge-test-'));
const remove = (directory) => rm(directory, { recursive: true, force: true, maxRetries: 5 });

/** Starts a server without authentication and with the fixed key, unless `env` says otherwise. */
export async function serve(scope, options = {}) {
  const stateDir = options.stateDir ?? await makeDirectory();
  const server = new Server(stateDir, options);
  // In this order: a server that runs makes new files while its directory is removed.
  scope.after(async () => {
    await server.stop('SIGKILL');
    if (options.stateDir === undefined) await remove(stateDir);
  });
  await server.start();
  return server;
}

export class Server extends Client {
  #running = null;
  #log = [];
  #options;

  constructor(stateDir, { env = {}, build = PRODUCT, token } = {}) {
    super('http://127.0.0.1', token);
    this.stateDir = stateDir;
    this.#options = { build, env: { API_AUTH: 'disable', HASH_KEY, ...env } };
  }

  async start() {
    assert.equal(this.#running, null, 'the server is running already');
    const module = join(ROOT, this.#options.build.endsWith('.capnp') ? PRODUCT : this.#options.build, 'index.js');
    assert.ok(existsSync(module), `${module} is missing: run \`make build build-faults\` first`);
    const { build, env } = this.#options;
    this.#running = await startServer({
      port: 0, host: '127.0.0.1', stateDir: this.stateDir, build, env, log: (bytes) => this.#log.push(bytes),
    });
    this.url = new URL(this.#running.url);
  }

  /** Everything that the server has written to its output, over all its runs. */
  get log() { return Buffer.concat(this.#log).toString(); }

  get pid() { return this.#running.pid; }

  /** Stops the server and waits for its end, which must come in bounded time and, unless it is killed, by itself. */
  async stop(signal = 'SIGTERM') {
    const running = this.#running;
    if (running === null) return undefined;
    this.#running = null;
    await running.stop(signal);
    const outcome = await within(`exit after ${signal}`, running.exited, STOP_DEADLINE_MS);
    this.close();
    if (signal !== 'SIGKILL') assert.notEqual(outcome.signal, 'SIGKILL', `${signal} did not end it: it had to be killed`);
    return outcome;
  }

  /** Starts again over the same directory, with `env` and `build` changed where given. */
  async restart({ signal = 'SIGTERM', env = {}, build } = {}) {
    await this.stop(signal);
    Object.assign(this.#options.env, env);
    if (build) this.#options.build = build;
    await this.start();
  }

  /** What a shard holds; in the faults build only. */
  async shard(namespace = 'default', index = 0) {
    return (await this.get(`/faults/shard?namespace=${encodeURIComponent(namespace)}&index=${index}`)).expect(200).json();
  }
}
