// One server per state directory: a file with the id of the process that holds it.
//
// Two workerd processes over the same databases would each keep their own memory of them, so the second is
// refused. A holder that was killed leaves its file behind; whether it still lives decides, not the file alone.

import {
  accessSync, constants, existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';

const LOCK_FILE = 'server.pid';

/**
 * Makes the directory where it is missing, readable for its owner only.
 * @throws {Error} when it cannot be made or written to
 */
export function prepareStateDir(stateDir) {
  try {
    makeDirectory(stateDir);
    if (!statSync(stateDir).isDirectory()) throw new Error('it is not a directory');
    accessSync(stateDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Error(`STATE_DIR: cannot write to ${stateDir} (${error.code ?? error.message})`);
  }
}

/** One level at a time: with `recursive: true` Node never returns for a path below /proc. */
function makeDirectory(path) {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/**
 * Takes the lock for this process.
 * @returns {{handOver(pid: number): void, release(): void}} `handOver` names the process that lives as long as the
 *   databases are open
 * @throws {Error} when a living process holds it
 */
export function acquireLock(stateDir) {
  const path = join(stateDir, LOCK_FILE);
  const own = `${path}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    // A link appears with its content or not at all, so nobody reads a half-written holder.
    linkOrNull(own, path) ?? replaceStale(own, path, stateDir);
  } finally {
    rmSync(own, { force: true });
  }

  let holder = process.pid;
  return {
    handOver(pid) {
      writeFileSync(own, String(pid));
      renameSync(own, path);
      holder = pid;
    },
    release() {
      if (readHolder(path) === holder) rmSync(path, { force: true });
    },
  };
}

function replaceStale(own, path, stateDir) {
  const holder = readHolder(path);
  if (isServing(holder)) throw inUse(stateDir, holder);
  // Of several that find the same stale file one takes it away; whoever took a fresh one puts it back.
  const taken = `${own}.stale`;
  try {
    renameSync(path, taken);
    if (!Object.is(readHolder(taken), holder)) linkOrNull(taken, path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  } finally {
    rmSync(taken, { force: true });
  }
  if (linkOrNull(own, path) === null) throw inUse(stateDir, readHolder(path));
}

function linkOrNull(from, to) {
  try {
    linkSync(from, to);
    return to;
  } catch (error) {
    if (error.code === 'EEXIST') return null;
    throw error;
  }
}

function readHolder(path) {
  try {
    return Number.parseInt(readFileSync(path, 'utf8'), 10);
  } catch (error) {
    if (error.code === 'ENOENT') return NaN;
    throw error;
  }
}

function isServing(pid) {
  if (!Number.isInteger(pid) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  // The id may belong to some other program by now.
  const command = commandOf(pid);
  return command === null || /workerd|node/.test(command);
}

/** The command line of a process, or null where this system does not tell. */
function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    const { status, stdout } = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return status === 0 ? stdout : null;
  }
}

function inUse(stateDir, pid) {
  return new Error(`STATE_DIR: ${stateDir} is in use by process ${pid}; stop it first or choose another directory`);
}
