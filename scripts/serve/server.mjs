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
//   log       path of a file to append workerd's output to, or a function that gets it in pieces (Buffer, then 'stdout'
//             or 'stderr')
//   detached  true keeps workerd out of this terminal's process group, so that Ctrl-C does not reach it directly
//   lock      of stateDir, where the caller has acquired it; it is then not released when workerd ends
// What it resolves to:
//   url       http://ADDRESS:PORT
//   pid       of workerd
//   stop(signal = 'SIGTERM')  SIGTERM answers what is in flight first, for DRAIN_MS at most; resolves like `exited`
//   exited    resolves to { code, signal, reason } when workerd has ended; the reason is one line, made from its output
//
// workerd never outlives this process, however that ends: see LAUNCH.

import { spawn } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { acquireLock, prepareStateDir } from './lock.mjs';
import { printable } from './log.mjs';
import { limits } from './machine.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const DRAIN_MS = 10_000;

const START_DEADLINE_MS = 30_000;
const POLL_MS = 20;
// A port of a server that has just been killed is free again a moment later.
const PORT_FREE_MS = 1_000;
const PORT_POLL_MS = 100;
const OUTPUT_TAIL_CHARS = 4_096;
const ASSETS = join(ROOT, 'build/assets');
// Becomes workerd, beside a shell that waits for the end of descriptor 4: this process holds the other side of it, and the
// kernel closes that whatever ends this process, SIGKILL included. A line on it says that workerd has ended by itself.
// The shell is there before workerd is, so that there is no moment in which nobody watches.
const LAUNCH = `
(trap '' HUP INT TERM; exec >/dev/null 2>&1 3>&-; read -r ended <&4 || kill -9 $$) &
exec "$@" 4<&-`;
const CONFIGS = { build: 'selfhost/workerd.capnp', 'build/faults': 'tests/http/harness/faults.capnp' };

const running = new Set();
process.on('exit', () => {
  for (const end of running) end();
});

export async function startServer({
  port = 0, host = '127.0.0.1', stateDir, env = {}, build = 'build', log, detached = false, lock,
}) {
  const directory = resolve(stateDir);
  const config = resolve(ROOT, CONFIGS[build] ?? build);
  if (!existsSync(config)) throw new Error(`${config} does not exist`);
  const binary = await workerdPath();

  let held = lock;
  if (!held) {
    prepareStateDir(directory);
    held = await acquireLock(directory);
  }
  const address = isIPv6(host) ? `[${host}]` : host;
  const args = [
    'serve', config, `--socket-addr=http=${address}:${port}`, `--directory-path=state=${directory}`,
    `--directory-path=files=${ASSETS}`, '--control-fd=3',
  ];
  const release = () => { if (!lock) held.release(); };
  const deadline = Date.now() + PORT_FREE_MS;
  for (;;) {
    try {
      return await startOnce({ binary, args, env, detached, log, lock: held, release, host, address, port });
    } catch (error) {
      if (!error.isPortTaken || Date.now() > deadline) {
        release();
        throw error;
      }
      await delay(PORT_POLL_MS);
    }
  }
}

async function startOnce({ binary, args, env, detached, log, lock, release, host, address, port }) {
  const child = spawn('/bin/sh', ['-c', LAUNCH, 'workerd', binary, ...args], {
    env, detached, stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
  });
  if (child.pid) lock.names(child.pid);

  const output = collectOutput(child, log);
  const ended = untilExit(child);
  const failed = ended.then(({ error }) => {
    if (error) throw new Error(`workerd cannot run here: ${error.message}`);
    const isPortTaken = output.tail().includes('Address already in use');
    throw Object.assign(new Error(explainStart(output.tail(), host, port)), { isPortTaken });
  });
  failed.catch(() => {}); // Only the races below look at it.

  let url;
  try {
    const listening = await Promise.race([listeningPort(child), failed]);
    url = `http://${reachable(address)}:${listening}`;
    await Promise.race([untilAnswering(url), failed]);
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    throw error;
  }

  const exited = ended.then(({ code, signal }) => {
    release();
    return { code, signal, reason: explainEnd(output.tail(), code, signal) };
  });
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
  for (const name of ['stdout', 'stderr']) {
    child[name].on('data', (chunk) => {
      tail = (tail + chunk).slice(-OUTPUT_TAIL_CHARS);
      write(chunk, name);
    });
  }
  return { tail: () => tail };
}

function untilExit(child) {
  const end = () => child.kill('SIGKILL');
  running.add(end);
  const watch = child.stdio[4];
  // Who watches may be gone before the line is written.
  watch.on('error', () => {});
  child.on('exit', () => {
    watch.end('ended\n');
    watch.destroySoon();
  });
  return new Promise((settle) => {
    let error;
    child.on('error', (cause) => { error = cause; });
    // `close` rather than `exit`: by then all output has been read.
    child.on('close', (code, signal) => {
      running.delete(end);
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

/** One line about why workerd did not start, made from the last that it wrote. */
function explainStart(output, host, port) {
  if (output.includes('Address already in use')) return `PORT: ${port} on ${host} is in use; choose another one`;
  if (output.includes('Cannot assign requested address')) return `HOST: ${host} is not an address of this machine`;
  if (output.includes('::bind') && output.includes('Permission denied')) return `PORT: no permission to listen on ${port}`;
  return explainMemory(output) ?? `workerd ended at once: ${lastWords(output) ?? 'it gave no reason'}`;
}

/** One line about why it ended later. */
function explainEnd(output, code, signal) {
  if (output.includes('Too many open files')) {
    return `it had more connections and files open than the ${limits().descriptors} that ulimit -n allows`;
  }
  const how = signal ?? `exit status ${code}`;
  const words = explainMemory(output) ?? (signal ? undefined : lastWords(output));
  return words ? `${how}: ${words}` : how;
}

/** A crash for want of address space comes with pages of statistics. */
function explainMemory(output) {
  if (!/out of memory|Unable to allocate|allocation failed|MmapAligned/i.test(output)) return undefined;
  const { addressSpaceKib } = limits();
  return addressSpaceKib < Infinity ? describeAddressSpace(addressSpaceKib) : undefined;
}

/** What is wrong with a limit on address space that is too low for workerd. */
export function describeAddressSpace(kib) {
  return `the limit on address space (ulimit -v) of ${kib} KiB is too low for workerd, which reserves far more than it uses;`
    + ' lift it (ulimit -v unlimited) and bound the memory itself, as MemoryMax= of systemd does';
}

function lastWords(output) {
  const lines = output.split('\n').filter((text) => text.trim() !== '' && !text.startsWith('stack:'));
  const line = lines.find((text) => text.includes('Fatal uncaught')) ?? lines[0];
  return line && printable(line.replace('*** Fatal uncaught kj::Exception: ', '').trim());
}
