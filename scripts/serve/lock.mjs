// One server per state directory: a file with the processes that hold it.
//
// Two workerd processes over the same databases would each keep their own memory of them, so the second is
// refused. The file names the owner, which started workerd, and workerd, each with the time at which it began: an id
// alone may belong to some other program by now. A workerd whose owner is gone has nobody who could stop or restart
// it; whoever starts next ends it and takes over, at which nothing that was acknowledged is lost.

import {
  accessSync, constants, existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const LOCK_FILE = 'server.pid';
// A holder that was just killed is still there for a moment.
const HOLDER_GOES_MS = 2_000;
const POLL_MS = 20;

/** The directories that this process itself holds. */
const held = new Set();

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
 * Takes the lock for this process. One that was killed a moment ago is waited for, and its workerd is ended.
 * @returns {Promise<{names(pid: number): void, release(): void}>} `names` says which workerd has the databases open
 * @throws {Error} when a living process holds it
 */
export async function acquireLock(stateDir) {
  const path = join(stateDir, LOCK_FILE);
  const deadline = Date.now() + HOLDER_GOES_MS;
  if (held.has(path)) throw inUse(stateDir, process.pid);
  for (;;) {
    const own = `${path}.${process.pid}`;
    writeFileSync(own, entry(process.pid));
    try {
      // A link appears with its content or not at all, so nobody reads a half-written holder.
      const holder = linkOrNull(own, path) ? null : takeOver(own, path, stateDir);
      if (holder === null) break;
      if (Date.now() > deadline) throw inUse(stateDir, holder);
    } finally {
      rmSync(own, { force: true });
    }
    await delay(POLL_MS);
  }

  held.add(path);
  return {
    names(workerd) {
      const own = `${path}.${process.pid}`;
      writeFileSync(own, `${entry(process.pid)}${entry(workerd)}`);
      renameSync(own, path);
    },
    release() {
      held.delete(path);
      if (readText(path).startsWith(entry(process.pid))) rmSync(path, { force: true });
    },
  };
}

/** Takes the place of holders that are gone; `null` when that is done, else the process that is still there. */
function takeOver(own, path, stateDir) {
  const text = readText(path);
  const { owner, workerd } = parse(text, stateDir);
  if (isAlive(owner)) return owner.pid;
  if (isAlive(workerd)) {
    // An orphan. `EPERM`: it is another user's.
    try {
      process.kill(workerd.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw inUse(stateDir, workerd.pid);
    }
    return workerd.pid;
  }

  // Of several that find the same stale file one takes it away; whoever took a fresh one puts it back.
  const taken = `${own}.stale`;
  try {
    renameSync(path, taken);
    if (readText(taken) !== text) linkOrNull(taken, path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  } finally {
    rmSync(taken, { force: true });
  }
  return linkOrNull(own, path) ? null : parse(readText(path), stateDir).owner?.pid ?? NaN;
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

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return '';
    throw error;
  }
}

/** A line of the file: a process, and when it began. */
function entry(pid) {
  return `${pid} ${startOf(pid) ?? ''}\n`;
}

function parse(text, stateDir) {
  const [owner, workerd] = text.split('\n').map((line) => /^(\d+)(?: (.*))?$/.exec(line)).map((match) => (
    match && { pid: Number(match[1]), start: match[2] }));
  if (owner?.start !== undefined) return { owner, workerd };
  // Version 0.1 wrote the id of workerd and nothing else.
  return { workerd: owner && commandOf(owner.pid).includes(`state=${stateDir}`) ? { ...owner, start: startOf(owner.pid) } : null };
}

/** Whether that very process lives; one that has only not been waited for does not. */
function isAlive(holder) {
  if (!holder) return false;
  const start = startOf(holder.pid);
  return start !== null && start === holder.start;
}

/** When a process began, as this system tells it; `null` where there is no such process. */
function startOf(pid) {
  if (existsSync('/proc/self/stat')) {
    try {
      // The name in parentheses may hold anything. Behind it: state, then 18 fields to the start in ticks since boot.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
      return /[ZX]/.test(fields[0]) ? null : `${fields[19]}`;
    } catch {
      return null;
    }
  }
  const { status, stdout } = spawnSync('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  const [, state, start] = /^(\S+)\s+(.*)$/.exec((stdout ?? '').trim()) ?? [];
  return status !== 0 || state === undefined || state.startsWith('Z') ? null : start;
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout ?? '';
  }
}

function inUse(stateDir, pid) {
  return new Error(`STATE_DIR: ${stateDir} is in use by process ${pid}; stop it first or choose another directory`);
}
