// What this machine allows a process, and what the server makes of it.

import { spawnSync } from 'node:child_process';

/** Descriptors that an open shard holds: its database, the write-ahead log, and the index of that. */
const SHARD_DESCRIPTORS = 3;
/** Descriptors for everything else: the runtime's own, the registry, files that are served. */
const OTHER_DESCRIPTORS = 64;
/** Bounds of OPEN_SHARDS_MAX here; `src/core/settings/limits.rs` has those of the Worker. */
const OPEN_SHARDS_MIN = 4;
/**
 * All databases of a process share the 512 MiB that workerd gives SQLite, and beyond that everything fails for want of memory. An open
 * shard of a few hundred users takes some 220 KiB of it, a larger one up to 2 MiB more for pages; half is left to what alarms open.
 */
const OPEN_SHARDS_MAX = 1_000;
/** Below this nothing starts: there would be none for connections. */
export const DESCRIPTORS_MIN = 128;
/** Below this the start warns. */
export const DESCRIPTORS_ADVISED = 4_096;
/** Address space that workerd reserves at its start, in KiB; what it uses is a small part of it. */
export const ADDRESS_SPACE_KIB_MIN = 16 << 20;

/** The limits that a child of this process has: `Infinity` for none. Node raises its own soft limit of descriptors to the hard one. */
export function limits() {
  const { stdout } = spawnSync('/bin/sh', ['-c', 'ulimit -n; ulimit -v'], { encoding: 'utf8' });
  const [descriptors, addressSpaceKib] = (stdout ?? '').split('\n').map((text) => (/^\d+$/.test(text) ? Number(text) : Infinity));
  return { descriptors: descriptors ?? Infinity, addressSpaceKib: addressSpaceKib ?? Infinity };
}

/**
 * How a number of descriptors is shared out: a third is for open shards, as far as there is memory for them, a third for connections,
 * and a third is for what comes beside that, because alarms open shards that nobody asked for.
 */
export function shareOut(descriptors) {
  const third = (Math.min(descriptors, Number.MAX_SAFE_INTEGER) - OTHER_DESCRIPTORS) / 3;
  const shards = Math.floor(third / SHARD_DESCRIPTORS);
  return {
    openShardsMax: Math.min(Math.max(shards, OPEN_SHARDS_MIN), OPEN_SHARDS_MAX),
    connectionsMax: Math.max(Math.floor(third), 0),
  };
}
