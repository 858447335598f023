// The events of this browser that the server has not settled: shared by all tabs.

import { DAY_MS, heard, levelNow } from './keep.js';
import { NAME_BYTES_MAX, QUEUE_LOCK_MS, QUIET_EVENTS_MAX, VALUE_MAX } from './limits.js';
import { alone } from './lock.js';
import { createLosses } from './losses.js';
import { CHANGES, EPOCH, HELD, KEEP, OPTED_OUT, OUT, SEEN, deletions, keysInOrder, rowsOf, valueOf } from './rows.js';
import { createSeen } from './seen.js';
import { QUEUED, REFUSED } from './states.js';
import { openStore } from './store.js';

/** Digits of the time in a key, until the year 2085. */
const TIME_DIGITS = 10;

const BLANK = /^[\s\p{Default_Ignorable_Code_Point}]*$/u;

/** A server refuses the batch of an event whose names are like this, or its value. */
function check({ event_name: name, namespace = 'default', user_id: user, value = 0 }, bytesMax) {
  for (const text of [name, namespace]) {
    if (BLANK.test(text) || /\p{Cc}/u.test(text)) throw 'a name must have a visible character, and no control characters';
  }
  for (const text of [name, namespace, user]) {
    if (typeof text !== 'string' || new TextEncoder().encode(text).length > bytesMax) throw `a name or user id must be a text of ${bytesMax} bytes at most`;
  }
  if (Math.abs(value) > VALUE_MAX) throw 'a value must not be greater than 1e300';
}

/** Opens the queue of a server's events; `consent` says whether they may be kept and sent. */
export async function openQueue(options, { consent, departures, presence, report }) {
  const { server, storage, queueEventsMax, batchEvents, preAggregate, memory } = options;
  const name = `kimball:${server === globalThis.location?.origin ? '' : server}`;
  const store = await openStore(name, storage, departures.note, report);
  const seen = createSeen(preAggregate, memory, report);
  const losses = createLosses(seen, departures);
  /** Events of this page: first in the order of their calls, then by their keys not in the store yet, then queued there. */
  const calls = [];
  const unsaved = new Map();
  const unsent = new Map();
  /** Whether one of those that are not stored yet cannot wait for another. */
  let isUrgent = false;
  /** The keys of what is held, as `seen` knows it. */
  let heldKeys = '';
  /** What the server has said that pages have to keep. */
  let said;
  /** What it has named as epochs. */
  let epochs = [];
  let lastTime = 0;
  /** The departure after which the order of events was forgotten here. */
  let forgotten = null;

  /** Learns from what is stored whether another tab has opted out. */
  function isMuted(rows) {
    if (rowsOf(rows, OPTED_OUT).length) consent.learnOut();
    return consent.isMuted();
  }

  function isNews(event) {
    try {
      check(event, memory?.nameBytesMax ?? NAME_BYTES_MAX);
      const news = event.user_id ? losses.newsOf(event) : seen.newsOfHeld(event);
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

  function judgeAgain(kind) {
    for (const [key, event] of rowsOf([...unsaved], kind)) {
      if (!isNews(event)) unsaved.delete(key);
    }
  }

  /** Another page has passed events on, now or earlier: what it knows counts, and learns what is new here. */
  function adopt(rows) {
    seen.keep(kept());
    losses.read(rows);
    const isOther = seen.adopt(rows, losses.era());
    const stored = valueOf(rows, SEEN);
    const left = departures.latest();
    // What is known may be less than was sent.
    if ((stored?.era !== losses.era() || stored?.left !== left) && (isOther || forgotten !== left)) {
      seen.keep('week');
      seen.keep(kept());
      forgotten = left;
    }
    if (isOther) judgeAgain(OUT);
  }

  const textOf = (rows) => rows.map(([key]) => key).sort().join();

  /** What another page holds, or holds no longer, counts. */
  function adoptHeld(held) {
    const keys = textOf(held);
    if (keys === heldKeys) return;
    heldKeys = keys;
    seen.hold(held.map(([, event]) => event).filter(Boolean));
    judgeAgain(HELD);
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
  const passedOn = () => seen.save(newKey(''), departures.latest(), losses.era());

  /** Takes the oldest keys out of those that wait if they are too many; answers the changes that delete them. */
  function evict(waiting, rows) {
    const excess = waiting.length - queueEventsMax;
    if (excess <= 0) return [];
    report('evicted', 'the queue is full: its oldest events are lost', excess);
    const evicted = new Set(waiting.splice(0, excess));
    const lost = [...rows, ...unsaved].filter(([key]) => evicted.has(key));
    for (const key of evicted) unsaved.delete(key);
    const events = rowsOf(lost, OUT).map(([, event]) => event);
    return [...deletions(lost), ...losses.lose(events)];
  }

  /** Writes changes with all that is not saved yet. */
  async function save(changes) {
    const added = [...unsaved];
    await store.write([...changes, ...added]);
    seen.stored();
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
    follow([...out, ...rowsOf(rows, CHANGES)]);
    said = valueOf(rows, KEEP) ?? said;
    adopt(rows);

    const held = rowsOf(rows, HELD);
    adoptHeld(held);
    const changes = userId ? claim(held, userId) : [];
    judge();
    if (!unsaved.size && !changes.length) return 0;

    const stillHeld = userId ? [] : held;
    const waiting = keysInOrder([...out, ...stillHeld, ...unsaved]);
    changes.push(...evict(waiting, rows), ...losses.found(), ...passedOn());
    heldKeys = textOf(rowsOf([...stillHeld, ...unsaved], HELD));
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
    seen.close();
    heldKeys = '';
    const rows = await store.read();
    const changes = deletions(rows.filter(([key]) => key !== OPTED_OUT));
    if (optOut === true) changes.push([OPTED_OUT, true]);
    if (optOut === false) changes.push([OPTED_OUT]);
    changes.push(...losses.lapse());
    await store.write(changes);
  }

  /** The server names the epoch of these events' namespaces: where it is another one, something was deleted or restored there. */
  function hearEpoch(events, text, isWhole) {
    if (text === null) return [];
    const names = [...new Set(events.map((event) => event?.namespace))].sort();
    const key = EPOCH + JSON.stringify(names);
    const before = epochs.find(([known]) => known === key)?.[1];
    const epoch = Number(text);
    // A batch that was refused in part may name less.
    if (epoch === before || epoch < before && !isWhole) return [];
    epochs = [...epochs.filter(([known]) => known !== key), [key, epoch]];
    return [[key, epoch], ...(before === undefined ? [] : losses.lapse())];
  }

  const guarded = (what, use, waitMs) => alone(name + what, use, waitMs, presence.going());

  return {
    alone: guarded,

    /** Waits for the wasm, if it can be had. */
    load: seen.load,

    /** Takes events, to be judged when they are stored, behind what other tabs have stored. */
    admit(events) {
      calls.push(...events);
    },

    kept,

    store: (userId) => guarded('queue', () => storeAdmitted(userId), QUEUE_LOCK_MS),

    /** What is to be sent, oldest first, whichever page it is from. */
    async next() {
      const rows = await store.read();
      if (isMuted(rows)) return [];
      epochs = rowsOf(rows, EPOCH);
      const out = rowsOf(rows, OUT);

      const keys = new Set(out.map(([key]) => key));
      for (const key of unsent.keys()) {
        if (!keys.has(key)) unsent.delete(key);
      }
      return out;
    },

    /** The server has settled these rows, but for those that it leaves queued. */
    async settle(rows, states, { epoch, keep, hasLater }) {
      const settled = rows.filter((_, index) => states[index] !== QUEUED);
      for (const [key] of settled) {
        unsaved.delete(key);
        unsent.delete(key);
      }
      const events = rows.map(([, event]) => event);
      const refused = events.filter((_, index) => states[index] === REFUSED);
      // What counted in no week, because its week is too far ahead, may come again when it has come.
      const tomorrow = new Date(Date.now() + DAY_MS).toISOString();
      const later = hasLater ? events.filter((event) => event?.datetime > tomorrow) : [];

      if (refused.length || later.length) {
        await seen.load();
        adopt(await store.read());
      }

      const changes = [
        ...deletions(settled),
        ...losses.refuse([...refused, ...later]),
        ...hearEpoch(events, epoch, settled.length === rows.length && !refused.length),
      ];
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
    close: seen.close,
  };
}
