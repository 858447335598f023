// Key-value pairs that outlive the page, shared by the tabs of an origin: IndexedDB, else localStorage, else memory.
//
// A store has `read()`, all pairs in the order of their keys, and `write(changes)`, pairs of which undefined deletes.
// Both answer promises. In IndexedDB one write is all or nothing.

/** The first that works here. */
export async function openStore(name) {
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
export const memory = () => keyed({}, '');

async function database(name) {
  const open = indexedDB.open(name);
  open.onupgradeneeded = () => open.result.createObjectStore(name);
  await settled(open);
  // The page must not stand in the way of one that deletes the database.
  open.result.onversionchange = () => open.result.close();
  return {
    async read() {
      const table = open.result.transaction(name).objectStore(name);
      const [keys, values] = [table.getAllKeys(), table.getAll()];
      await settled(values);
      return keys.result.map((key, index) => [key, values.result[index]]);
    },
    write(changes) {
      const transaction = open.result.transaction(name, 'readwrite');
      const table = transaction.objectStore(name);
      for (const [key, value] of changes) value === undefined ? table.delete(key) : table.put(value, key);
      return settled(transaction);
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
    return Object.keys(texts).filter((key) => key.startsWith(prefix)).sort()
      .map((key) => [key.slice(prefix.length), parse(texts[key])]);
  },
  async write(changes) {
    for (const [key, value] of changes) {
      value === undefined ? delete texts[prefix + key] : texts[prefix + key] = JSON.stringify(value);
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
