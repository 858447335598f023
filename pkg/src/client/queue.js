// The events of this browser that the server has not acknowledged: shared by all tabs.

import { heard, levelNow } from './keep.js';
import { QUIET_EVENTS_MAX } from './limits.js';
import { alone } from './lock.js';
import { EPOCH, HELD, KEEP, OPTED_OUT, OUT, SEEN, keysInOrder, rowsOf, valueOf } from './rows.js';
import { createSeen } from './seen.js';
import { openStore } from './store.js';

/** Digits of the time in a key, until the year 2085. */
const TIME_DIGITS = 10;

const BLANK = /^[\s\p{Default_Ignorable_Code_Point}]*$/u;

/** Whether what was passed on before still counts at the server. */
const HOLDS = 'holds';
/** Not all of it does: it is forgotten as soon as nothing waits to be sent, for what was lost may come again, and is news then. */
const LAPSES = 'lapses';

/** A server refuses the batch of an event with a name that nobody can see. */
function checkNames({ event_name: name, namespace = 'default' }) {
  if (BLANK.test(name) || BLANK.test(namespace)) throw new Error('a name must have a visible character');
}

/** Opens the queue of a server's events; `consent` says whether they may be kept and sent. */
export async function openQueue({ url, storage, queueEventsMax, batchEvents, preAggregate, memory }, consent, departures, report) {
  const name = `kimball:${url}`;
  const store = await openStore(name, storage, departures.note, report);
  const seen = createSeen(preAggregate, memory, report);
  /** Events of this page: first in the order of their calls, then by their keys not in the store yet, then not acknowledged yet. */
  const calls = [];
  const unsaved = new Map();
  const unsent = new Map();
  /** Whether one of those that are not stored yet cannot wait for another. */
  let isUrgent = false;
  /** What the server has said that pages have to keep. */
  let said;
  let past = HOLDS;
  /** The greatest that the server has named; undefined until one is known here. */
  let epoch;
  let lastTime = 0;

  /** Learns from what is stored whether another tab has opted out. */
  function isMuted(rows) {
    if (rowsOf(rows, OPTED_OUT).length) consent.optOut();
    return consent.isMuted();
  }

  function isNews(event) {
    try {
      checkNames(event);
      const news = seen.newsOf(event);
      isUrgent ||= news === 'first';
      return news;
    } catch (error) {
      report('invalid', error);
      return false;
    }
  }

  const kept = () => levelNow(preAggregate, said);

  /** Takes what was called, in order, for what is news in it. Those without a user are held back. */
  function judge() {
    seen.keep(kept());
    for (const event of calls.splice(0)) {
      if (isNews(event)) unsaved.set(newKey(event.user_id ? OUT : HELD), event);
    }
  }

  /** Keys rise with the time, in microseconds, and are of one tab each. */
  function newKey(kind) {
    lastTime = Math.max(lastTime + 1, Date.now() * 1_000);
    return kind + lastTime.toString(36) + Math.random();
  }

  /** Goes on behind these rows: what is judged later is sent later, whatever the clock says. */
  function follow(rows) {
    for (const [key] of rows) lastTime = Math.max(lastTime, parseInt(key.slice(1, TIME_DIGITS + 1), 36) || 0);
  }

  /** Another page has passed events on, now or earlier: what it knows counts, and learns what is new here. */
  function adopt(stored) {
    seen.keep(kept());
    const isOther = seen.adopt(stored);
    // What it knows may be less than was sent.
    if (stored?.left !== departures.latest()) seen.keep('week');
    seen.keep(kept());
    if (!isOther) return;
    for (const [key, event] of unsaved) {
      if (!isNews(event)) unsaved.delete(key);
    }
  }

  /** Events that were held are now this user's; answers the changes that take them out of where they were held. */
  function claim(held, userId) {
    for (const [, event] of held) {
      const claimed = { ...event, user_id: userId };
      if (isNews(claimed)) unsaved.set(newKey(OUT), claimed);
    }
    return deletions(held);
  }

  /** What was passed on, to be stored. */
  function passedOn() {
    const saved = seen.save();
    return saved ? [[SEEN, { ...saved, left: departures.latest() }]] : [];
  }

  /** Takes the oldest keys out of those that wait if they are too many; answers the changes that delete them. */
  function evict(waiting) {
    const excess = waiting.length - queueEventsMax;
    if (excess <= 0) return [];
    report('evicted', 'the queue is full: its oldest events are lost', excess);
    past = LAPSES;
    const evicted = waiting.splice(0, excess);
    for (const key of evicted) unsaved.delete(key);
    return evicted.map((key) => [key]);
  }

  /** Writes changes with all that is not saved yet. */
  async function save(changes) {
    const added = [...unsaved];
    await store.write([...changes, ...added]);
    for (const [key, event] of added) {
      unsaved.delete(key);
      unsent.set(key, event);
    }
  }

  /**
   * Stores what is news of what was called and, for a user who has just become known, what was held. Answers how many rows wait, if one
   * of them cannot wait longer.
   */
  async function storeAdmitted(userId) {
    const rows = await store.read();
    if (isMuted(rows)) return forget();
    const out = rowsOf(rows, OUT);
    follow(out);
    said = valueOf(rows, KEEP) ?? said;
    adopt(valueOf(rows, SEEN));

    const held = rowsOf(rows, HELD);
    const changes = userId ? claim(held, userId) : [];
    judge();
    if (!unsaved.size && !changes.length) return 0;

    const stillHeld = userId ? [] : held;
    const waiting = keysInOrder([...out, ...stillHeld, ...unsaved]);
    changes.push(...evict(waiting), ...passedOn());
    const isDue = isUrgent || waiting.length >= Math.min(QUIET_EVENTS_MAX, batchEvents);
    isUrgent = false;
    await save(changes);
    return isDue ? waiting.length : 0;
  }

  /** Forgets everything but the wish not to be counted; with true or false, keeps that or takes it back. */
  async function forget(optOut) {
    calls.length = 0;
    unsaved.clear();
    unsent.clear();
    seen.forget();
    const rows = await store.read();
    const changes = deletions(rows.filter(([key]) => key !== OPTED_OUT));
    if (optOut === true) changes.push([OPTED_OUT, true]);
    if (optOut === false) changes.push([OPTED_OUT]);
    await store.write(changes);
  }

  return {
    alone: (what, use) => alone(name + what, use),

    /** Waits for the wasm, if it can be had. */
    load: seen.load,

    /** Takes events, to be judged when they are stored, behind what other tabs have stored. */
    admit(events) {
      calls.push(...events);
    },

    kept,

    store: (userId) => alone(`${name}queue`, () => storeAdmitted(userId)),

    /** What is to be sent, oldest first, whichever page it is from. */
    async next() {
      const rows = await store.read();
      if (isMuted(rows)) return [];
      epoch ??= valueOf(rows, EPOCH);
      const out = rowsOf(rows, OUT);

      const keys = new Set(out.map(([key]) => key));
      for (const key of unsent.keys()) {
        if (!keys.has(key)) unsent.delete(key);
      }

      if (!out.length && past === LAPSES) {
        past = HOLDS;
        seen.forget();
        await store.write([[SEEN]]);
      }
      return out;
    },

    /** The server is done with these rows. */
    remove(keys, mayRepeat, epochNow, keep) {
      if (mayRepeat) past = LAPSES;
      const changes = keys.map((key) => [key]);
      for (const key of keys) {
        unsaved.delete(key);
        unsent.delete(key);
      }

      const isKnown = epochNow <= epoch;
      if (!isKnown) {
        // Something was deleted there since: what was passed on before may count again.
        if (epoch !== undefined) past = LAPSES;
        epoch = epochNow;
        changes.push([EPOCH, epoch]);
      }

      const saidNow = heard(keep);
      if (saidNow) {
        said = saidNow;
        changes.push([KEEP, said]);
      }
      return store.write(changes);
    },

    /** Without waiting for anything: has stored what is not yet, and answers what this page has not sent. */
    leave() {
      judge();
      if (unsaved.size) {
        departures.note();
        store.writeAndGo([...unsaved, ...passedOn()]);
      }
      return rowsOf([...unsent, ...unsaved], OUT);
    },

    forget,
    forgetAnonymous: seen.forgetAnonymous,
    close: seen.forget,
  };
}

const deletions = (rows) => rows.map(([key]) => [key]);
