// What a server has written, and the files that it leaves: for the benchmarks.

import { lstatSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

// The runtime closes what was idle for 10 s, and looks for it every 10 s; an alarm comes 10 s after the last write.
const QUIET_MS = 25_000;
const QUIET_POLL_MS = 500;

/** The files under a directory, each with the bytes that it takes on the disk. */
export function files(directory) {
  return readdirSync(directory, { recursive: true }).flatMap((name) => {
    const status = lstatSync(join(directory, name), { throwIfNoEntry: false });
    return status?.isFile() ? [{ name, bytes: status.blocks * 512 }] : [];
  });
}

export const total = (found) => found.reduce((sum, { bytes }) => sum + bytes, 0);

/** The bytes that a process has handed over to be written so far: to files, and as answers. */
export const writtenBytes = (pid) => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))[1]);

/** Waits until a process has written nothing for a while; the default is one after which the runtime has closed its databases. */
export async function untilQuiet(pid, quietMs = QUIET_MS, pollMs = QUIET_POLL_MS) {
  let [last, since] = [writtenBytes(pid), Date.now()];
  while (Date.now() - since < quietMs) {
    await delay(pollMs);
    const now = writtenBytes(pid);
    if (now !== last) [last, since] = [now, Date.now()];
  }
}
