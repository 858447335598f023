// Key-value pairs that outlive the page, shared by the tabs of an origin: IndexedDB, else localStorage, else memory.
//
// A store has `read()`, all pairs in the order of their keys, and `write(changes)`, pairs of which undefined deletes.
// Both answer promises. In IndexedDB one write is all or nothing.

/**
 * A store that fails over: it may fail at any time, and what it still answers then goes on in memory. `forgets` is called whenever
 * something is written that does not outlive the page, where others may find what was written before.
 */
export async function openStore(name, storage, forgets, report) {
  let store = storage === 'memory' ? memory() : await firstThatWorks(name);
  let hasFailed = false;
  return {
    read: () => store.read(),

    async write(changes) {
      try {
        await store.write(changes);
      } catch (error) {
        report('storage', error);
        const rows = await store.read().catch(() => []);
        store = memory();
        hasFailed = true;
        await store.write([...rows, ...changes]);
      }
      if (hasFailed) forgets();
    },

    /** For a page that goes: does not wait, and nobody would be there to hear of a failure. */
    writeAndGo(changes) {
      store.write(changes).catch(() => {});
    },
  };
}

async function firstThatWorks(name) {
  for (const open of [database, (prefix) => keyed(localStorage, prefix)]) {
    try {
      const store = await open(name);
      await store.write([]);
      return store;
    } catch {
      // Not here, or forbidden: the next one.
    }
  }
  return memory();
}

/** Pairs that live as long as the page does. */
const memory = () => keyed({}, '');

async function database(name) {
  const open = indexedDB.open(name);
  open.onupgradeneeded = () => open.result.createObjectStore(name);
  await settled(open);
  // The page must not stand in the way of one that deletes the database.
  open.result.onversionchange = () => open.result.close();
  return {
    async read() {
      const table = open.result.transaction(name).objectStore(name);
      const keys = table.getAllKeys();
      const values = table.getAll();
      await settled(values);
      return keys.result.map((key, index) => [key, values.result[index]]);
    },
    // Asynchronous, so that a database that is closed fails like one that is full.
    async write(changes) {
      const transaction = open.result.transaction(name, 'readwrite');
      const table = transaction.objectStore(name);
      for (const [key, value] of changes) {
        if (value === undefined) table.delete(key);
        else table.put(value, key);
      }
      await settled(transaction);
    },
  };
}

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = request.oncomplete = resolve;
  request.onerror = request.onabort = request.onblocked = () => reject(request.error);
});

/** Over what has texts by name: localStorage or a plain object. */
const keyed = (texts, prefix) => ({
  async read() {
    const keys = Object.keys(texts).filter((key) => key.startsWith(prefix));
    return keys.sort().map((key) => [key.slice(prefix.length), parse(texts[key])]);
  },
  async write(changes) {
    for (const [key, value] of changes) {
      if (value === undefined) delete texts[prefix + key];
      else texts[prefix + key] = JSON.stringify(value);
    }
  },
});

/** What is damaged is null. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
