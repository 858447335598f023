// Pairs in IndexedDB. One write is all or nothing.

import { STORAGE_MS } from './limits.js';
import { within } from './deadline.js';
import { MARK } from './texts.js';

const settled = (request) => within(STORAGE_MS, new Promise((resolve, reject) => {
  request.onsuccess = request.oncomplete = resolve;
  request.onerror = request.onabort = request.onblocked = () => reject(request.error ?? new Error('the database has failed'));
}), 'a database');

export async function openDatabase(name) {
  const open = indexedDB.open(name);
  open.onupgradeneeded = () => open.result.createObjectStore(name).put(Math.random(), MARK);
  await settled(open).catch((error) => {
    // Should it open after all, nobody needs it any more.
    open.onsuccess = () => open.result.close();
    throw error;
  });
  const database = open.result;
  // The page must not stand in the way of one that deletes the database.
  database.onversionchange = () => database.close();

  return {
    close: () => database.close(),

    async read() {
      const table = database.transaction(name).objectStore(name);
      const keys = table.getAllKeys();
      const values = table.getAll();
      await settled(values);
      return keys.result.map((key, index) => [key, values.result[index]]);
    },

    // Asynchronous, so that a database that is closed fails like one that is full.
    async write(changes) {
      const transaction = database.transaction(name, 'readwrite');
      const table = transaction.objectStore(name);
      for (const [key, value] of changes) {
        if (value === undefined) table.delete(key);
        else table.put(value, key);
      }
      await settled(transaction);
    },
  };
}
