// Commands of the program kimball-edge as child processes, with what they print.

import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { until, within } from './deadline.mjs';
import { ROOT } from './server.mjs';

const EXIT_DEADLINE_MS = 60_000;

/** The program. */
export const PROGRAM = join(ROOT, 'scripts/kimball-edge.mjs');

/**
 * Runs `kimball-edge NAME` with only these variables and the PATH; killed after the test if it still runs. `shell` is what a
 * shell does first: `ulimit -n 256` and the like; `program` another copy of it, `cwd` where it is started.
 */
export function launch(scope, name, { args = [], env = {}, shell, program = PROGRAM, cwd = ROOT } = {}) {
  const command = [process.execPath, program, name, ...args];
  const [first, ...rest] = shell ? ['/bin/sh', '-c', `${shell}; exec "$@"`, 'sh', ...command] : command;
  const child = spawn(first, rest, {
    cwd, env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => { output[stream] += text; });
  }
  const exited = new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, ...output }));
  });
  scope.after(async () => {
    child.kill('SIGTERM');
    await within(`${name} ends`, exited, EXIT_DEADLINE_MS);
  });
  return {
    output,
    pid: child.pid,
    kill: (signal) => child.kill(signal),
    /** Resolves to `{ code, signal, stdout, stderr }` when it has ended. */
    end: () => within(`${name} ends`, exited, EXIT_DEADLINE_MS),
    /** Waits until what it printed matches. */
    printed: (pattern, stream = 'stdout') => until(`${name} prints ${pattern}`, () => {
      if (child.exitCode !== null) throw new Error(`${name} ended: ${output.stdout}${output.stderr}`);
      return output[stream].match(pattern);
    }),
  };
}

/** Runs a command to its end. */
export function run(scope, name, options) {
  return launch(scope, name, options).end();
}
