// Starts and stops Kimball Edge on raw workerd. `make start`, the HTTP tests and the benchmarks all go through here.
//
//   const server = await startServer({ port: 0, stateDir: '/tmp/state', env: { API_AUTH: 'disable' } });
//   await fetch(`${server.url}/healthz`);
//   await server.stop();
//
// startServer(options) resolves once GET /alive answers, whatever the status (a Worker whose variables are invalid
// answers 503 and says why on /healthz), or rejects with an Error whose message is one line. Options:
//   port      0 (default) for a free one
//   host      address to listen on, 127.0.0.1 by default
//   stateDir  directory of the databases; made where missing, refused while another server uses it
//   env       the Worker's variables and nothing else of this process's environment
//   build     'build' (default), 'build/faults', or the path of a workerd config
//   log       path of a file to append workerd's output to, or a function that gets it in pieces (Buffer)
//   detached  true keeps workerd out of this terminal's process group, so that Ctrl-C does not reach it directly
// What it resolves to:
//   url       http://ADDRESS:PORT
//   pid       of workerd
//   stop(signal = 'SIGTERM')  SIGTERM answers what is in flight first, for DRAIN_MS at most; resolves like `exited`
//   exited    resolves to { code, signal } when workerd has ended, for whatever reason

import { spawn } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { acquireLock, prepareStateDir } from './lock.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
export const DRAIN_MS = 10_000;

const START_DEADLINE_MS = 30_000;
const POLL_MS = 20;
const OUTPUT_TAIL_CHARS = 4_096;
const ASSETS = join(ROOT, 'build/assets');
const CONFIGS = { build: 'selfhost/workerd.capnp', 'build/faults': 'tests/http/harness/faults.capnp' };

const running = new Set();
process.on('exit', () => {
  for (const end of running) end();
});

export async function startServer({
  port = 0, host = '127.0.0.1', stateDir, env = {}, build = 'build', log, detached = false,
}) {
  const directory = resolve(stateDir);
  const config = resolve(ROOT, CONFIGS[build] ?? build);
  if (!existsSync(config)) throw new Error(`${config} does not exist`);
  const binary = await workerdPath();

  prepareStateDir(directory);
  const lock = acquireLock(directory);
  const address = isIPv6(host) ? `[${host}]` : host;
  const child = spawn(binary, [
    'serve', config, `--socket-addr=http=${address}:${port}`, `--directory-path=state=${directory}`,
    `--directory-path=files=${ASSETS}`, '--control-fd=3',
  ], { env, detached, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  if (child.pid) lock.handOver(child.pid);

  const output = collectOutput(child, log);
  const exited = untilExit(child, lock);
  const failed = exited.then(({ error }) => {
    throw new Error(error ? `workerd cannot run here: ${error.message}` : explain(output.tail(), host, port));
  });
  failed.catch(() => {}); // Only the races below look at it.

  let url;
  try {
    const listening = await Promise.race([listeningPort(child), failed]);
    url = `http://${reachable(address)}:${listening}`;
    await Promise.race([untilAnswering(url), failed]);
  } catch (error) {
    child.kill('SIGKILL');
    await exited;
    throw error;
  }

  return {
    url,
    pid: child.pid,
    exited,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const escalate = setTimeout(() => child.kill('SIGKILL'), DRAIN_MS);
      try {
        return await exited;
      } finally {
        clearTimeout(escalate);
      }
    },
  };
}

async function workerdPath() {
  try {
    const { default: workerd } = await import('workerd');
    return workerd.default;
  } catch (error) {
    throw new Error(`workerd is not installed (${error.message.split('\n')[0]}); run \`make install\``);
  }
}

/** Hands the output on and keeps its end, which says why a start failed. */
function collectOutput(child, log) {
  let tail = '';
  const write = typeof log === 'string' ? (chunk) => appendFileSync(log, chunk) : log ?? (() => {});
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      tail = (tail + chunk).slice(-OUTPUT_TAIL_CHARS);
      write(chunk);
    });
  }
  return { tail: () => tail };
}

function untilExit(child, lock) {
  const end = () => {
    child.kill('SIGKILL');
    lock.release();
  };
  running.add(end);
  return new Promise((settle) => {
    let error;
    child.on('error', (cause) => { error = cause; });
    // `close` rather than `exit`: by then all output has been read.
    child.on('close', (code, signal) => {
      running.delete(end);
      lock.release();
      settle({ code, signal, ...(error && { error }) });
    });
  });
}

/** The port that workerd reports on its control descriptor once it listens. */
async function listeningPort(child) {
  for await (const line of createInterface({ input: child.stdio[3] })) {
    const message = JSON.parse(line);
    if (message.event === 'listen' && message.socket === 'http') return message.port;
  }
  return new Promise(() => {}); // It ended instead; `failed` tells why.
}

async function untilAnswering(url) {
  const deadline = AbortSignal.timeout(START_DEADLINE_MS);
  for (;;) {
    try {
      const response = await fetch(`${url}/alive`, { signal: deadline });
      await response.arrayBuffer();
      return;
    } catch {
      if (deadline.aborted) throw new Error(`workerd did not answer within ${START_DEADLINE_MS / 1000} s`);
      await delay(POLL_MS);
    }
  }
}

/** A wildcard address can be listened on but not connected to everywhere. */
function reachable(address) {
  if (address === '0.0.0.0') return '127.0.0.1';
  return address === '[::]' ? '[::1]' : address;
}

/** One line about why workerd ended, made from the last that it wrote. */
function explain(output, host, port) {
  if (output.includes('Address already in use')) return `PORT: ${port} on ${host} is in use; choose another one`;
  if (output.includes('Cannot assign requested address')) return `HOST: ${host} is not an address of this machine`;
  if (output.includes('::bind') && output.includes('Permission denied')) return `PORT: no permission to listen on ${port}`;
  const line = output.split('\n').find((text) => text.trim() !== '' && !text.startsWith('stack:'));
  return `workerd ended at once: ${line?.replace('*** Fatal uncaught kj::Exception: ', '').trim() ?? 'it gave no reason'}`;
}
