// Key-value pairs that outlive the page, shared by the tabs of an origin: IndexedDB, else localStorage, else memory.
//
// A store has `read()`, all pairs in the order of their keys, and `write(changes)`, pairs of which undefined deletes. Both answer promises,
// and neither fails: a storage that was cleared, or goes away under the page, is opened anew and gets what the page knows; until that
// succeeds it goes on in memory.

import { openDatabase } from './database.js';
import { REOPEN_FIRST_MS, REOPEN_MAX_MS } from './limits.js';
import { MARK, openTexts } from './texts.js';

/** `forgets` is called whenever something is written that does not outlive the page, where others may find what was written before. */
export async function openStore(name, kind, forgets, report) {
  /** All pairs as this page knows them; what it has deleted in memory is undefined. */
  const known = new Map();
  /** Undefined while it goes on in memory. */
  let storage;
  let mark;
  let hasWorked = false;
  let hasSaid = false;
  let failures = 0;
  let reopenAt = 0;

  const pairs = () => [...known].filter(([, value]) => value !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));

  function learn(changes) {
    for (const [key, value] of changes) known.set(key, value);
  }

  async function readFrom(from) {
    const read = await from.read();
    const stored = read.filter(([key]) => key !== MARK);
    const markNow = read.find(([key]) => key === MARK)?.[1];
    return { stored, markNow };
  }

  /** Opens the storage, and writes what the page knows. */
  async function reopen() {
    if (kind === 'memory' || performance.now() < reopenAt) return;
    try {
      const opened = await firstThatWorks(name);
      await opened.write([...known]);
      mark = (await readFrom(opened)).markNow;
      storage = opened;
      hasWorked = true;
    } catch (error) {
      fail(error);
    }
  }

  /** At once it is tried again, and then after longer and longer pauses. */
  function fail(error) {
    storage?.close();
    storage = undefined;
    reopenAt = performance.now() + (failures && Math.min(REOPEN_MAX_MS, REOPEN_FIRST_MS * 2 ** failures));
    failures += 1;
    if (hasWorked && !hasSaid) report('storage', error);
    hasSaid ||= hasWorked;
  }

  /** Does a step with the storage, opened anew if need be; answers whether it is done. */
  async function attempt(step) {
    for (let tries = 0; tries < 2; tries += 1) {
      if (!storage) await reopen();
      if (!storage) return false;
      try {
        await step();
        failures = 0;
        return true;
      } catch (error) {
        fail(error);
      }
    }
    return false;
  }

  async function readOnce() {
    const { stored, markNow } = await readFrom(storage);
    if (markNow !== mark) throw new Error('the storage of the page was cleared');
    known.clear();
    learn(stored);
  }

  const store = {
    async read() {
      await attempt(readOnce);
      return pairs();
    },

    async write(changes) {
      learn(changes);
      const isWritten = await attempt(() => storage.write(changes));
      if (!isWritten) forgets();
    },

    /** For a page that goes: does not wait, and nobody would be there to hear of a failure. */
    writeAndGo(changes) {
      learn(changes);
      storage?.write(changes).catch(() => {});
    },
  };

  await reopen();
  return store;
}

/** What was kept in localStorage while there was no database moves. */
async function firstThatWorks(name) {
  const prefix = `${name} `;
  try {
    const database = await openDatabase(name);
    await move(prefix, database).catch(() => {});
    return database;
  } catch {
    return openTexts(localStorage, prefix);
  }
}

async function move(prefix, database) {
  const names = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  if (!names.length) return;
  const kept = (await openTexts(localStorage, prefix).read()).filter(([key]) => key !== MARK);
  await database.write(kept);
  for (const key of names) delete localStorage[key];
}
