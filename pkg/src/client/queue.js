// The events of this browser that the server has not acknowledged, and what was passed on before: shared by all tabs.

import { createSeen, loadAggregator } from './seen.js';
import { memory, openStore } from './store.js';

// What the store holds, by the first letter of the key: events to be sent, events whose user is not known yet, what was
// passed on already, the wish not to be counted, and the greatest epoch that the server has named.
const OUT = 'e';
const HELD = 'h';
const SEEN = 's';
const OPTED_OUT = 'o';
const EPOCH = 'n';
const BLANK = /^[\s\p{Default_Ignorable_Code_Point}]*$/u;
const rowsOf = (rows, kind) => rows.filter(([key]) => key[0] === kind);

/**
 * Opens the queue of a server's events. `isMuted(optedOut)` says that nothing may be kept or sent, and is told when another
 * tab has opted out.
 */
export async function openQueue({ url, storage, queueEventsMax, preAggregate, memory: limits }, isMuted, report) {
  const name = `kimball:${url}`;
  /** Rows of this page that are not in the store yet, and rows of it that are not acknowledged yet. */
  const unsaved = new Map();
  const unsent = new Map();
  let store = storage === 'memory' ? memory() : await openStore(name);
  let aggregator; // null where there is no wasm
  let seen;
  let saved; // what was last stored of it
  let hasLost;
  let epoch;
  let last = 0;

  /** Keeps other tabs out meanwhile, where the browser can do that. */
  async function alone(what, use) {
    let used;
    try {
      return await navigator.locks.request(name + what, () => used = use());
    } catch (error) {
      if (used) throw error;
      return use(); // No locks here, or none for this page.
    }
  }

  /** Storage may fail at any time: what it still answers goes on in memory. */
  async function write(changes) {
    try {
      await store.write(changes);
    } catch (error) {
      report('storage', error);
      const rows = await store.read().catch(() => []);
      store = memory();
      await store.write([...rows, ...changes]);
    }
  }

  function isNews(event) {
    try {
      // A server refuses the batch of such an event.
      if (BLANK.test(event.event_name) || BLANK.test(event.namespace ?? 'default')) throw new Error('a name must have a visible character');
      return !seen || seen.isNews(event);
    } catch (error) {
      report('invalid', error);
    }
  }

  /** Forgets what was passed on. */
  function reset() {
    seen?.free();
    seen = saved = undefined;
  }

  const remember = (stored) => aggregator && createSeen(aggregator, limits, stored, report);

  const queue = {
    /** Waits for the wasm, if it can be had. */
    async load() {
      if (aggregator === undefined) aggregator = preAggregate === false ? null : await loadAggregator(report);
    },

    alone,

    /** Takes events in that are news. Those without a user are held back. */
    admit(events) {
      seen ??= remember();
      for (const event of events) {
        last = Math.max(last + 1, Date.now() * 1_000);
        const key = (event.user_id ? OUT : HELD) + last.toString(36) + Math.random();
        if (isNews(event)) unsaved.set(key, event);
      }
    },

    /** Stores what was admitted and, for a user who has just become known, what was held. Answers how many rows wait. */
    store: (userId) => alone('queue', async () => {
      const rows = await store.read();
      if (isMuted(rowsOf(rows, OPTED_OUT)[0])) return queue.forget();
      const changes = [];
      const stored = rowsOf(rows, SEEN)[0]?.[1];
      if (aggregator && stored && stored.bytes !== saved?.bytes) {
        // Another page has passed events on, now or earlier: what it knows counts, and learns what is new here.
        reset();
        seen = remember(stored);
        for (const [key, event] of unsaved) if (!isNews(event)) unsaved.delete(key);
      }
      seen ??= remember();
      if (userId) {
        for (const [key, held] of rowsOf(rows, HELD)) {
          changes.push([key]);
          const event = { ...held, user_id: userId };
          if (isNews(event)) unsaved.set(OUT + key.slice(1), event);
        }
      }
      if (!unsaved.size && !changes.length) return 0;
      const waiting = [...rowsOf(rows, OUT), ...(userId ? [] : rowsOf(rows, HELD)), ...unsaved].map(([key]) => key)
        .sort((a, b) => (a.slice(1) < b.slice(1) ? -1 : 1));
      const excess = waiting.length - queueEventsMax;
      if (excess > 0) {
        report('evicted', 'the queue is full: its oldest events are lost', excess);
        hasLost = true;
        for (const key of waiting.splice(0, excess)) {
          unsaved.delete(key);
          changes.push([key]);
        }
      }
      if (seen) changes.push([SEEN, saved = seen.save()]);
      const added = [...unsaved];
      await write([...changes, ...added]);
      for (const [key, event] of added) {
        unsaved.delete(key);
        unsent.set(key, event);
      }
      return waiting.length;
    }),

    /** What is to be sent, oldest first, whichever page it is from. */
    async next() {
      const rows = await store.read();
      if (isMuted(rowsOf(rows, OPTED_OUT)[0])) return [];
      const out = rowsOf(rows, OUT);
      epoch ??= rowsOf(rows, EPOCH)[0]?.[1];
      const left = new Map(out);
      for (const key of unsent.keys()) if (!left.has(key)) unsent.delete(key);
      if (!left.size && hasLost) {
        // What was lost may come again, and is news then.
        hasLost = false;
        reset();
        await write([[SEEN]]);
      }
      return out;
    },

    remove(keys, isLost, named) {
      const changes = keys.map((key) => [key]);
      hasLost ||= isLost;
      if (!(named <= epoch)) {
        // Something was deleted there: what was passed on before may count again.
        hasLost ||= epoch !== undefined;
        changes.push([EPOCH, epoch = named]);
      }
      for (const key of keys) {
        unsaved.delete(key);
        unsent.delete(key);
      }
      return write(changes);
    },

    /** Without waiting for anything: has stored what is not yet, and answers what this page has not sent. */
    leave() {
      store.write([...unsaved]).catch(() => {});
      return rowsOf([...unsent, ...unsaved], OUT);
    },

    /** Forgets everything. With true or false, keeps or takes back the wish not to be counted. */
    async forget(optOut) {
      unsaved.clear();
      unsent.clear();
      reset();
      const changes = (await store.read()).map(([key]) => [key]).filter(([key]) => key !== OPTED_OUT);
      if (optOut !== undefined) changes.push([OPTED_OUT, optOut || undefined]);
      await write(changes);
    },

    forgetAnonymous: () => seen?.forgetAnonymous(),
    close: reset,
  };
  return queue;
}
