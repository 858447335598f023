// What this browser has passed on already: the wasm knows it, and it is kept as text beside the queue.
//
// There is a base, and rows of what has come since, so that storing costs in proportion to what is new. A row takes those before it in that are not longer, so
// that there are few; all together become a new base once they are as long as it is.

import { within } from './deadline.js';
import { DAY_MS, LEVELS } from './keep.js';
import { CHANGES_BYTES_MIN, SEEN_BYTES_MAX, WASM_MS } from './limits.js';
import { BASE, CHANGES, SEEN, rowsOf, valueOf } from './rows.js';
import { Seen, load } from '../news/index.js';

let loading;

/** How far the wasm is. Where it is not ready, everything is news. */
const UNASKED = 'unasked';
const READY = 'ready';
/** It is not wanted, or cannot be had: forbidden by a policy, not found, too slow. */
const MISSING = 'missing';

/** Who did what is held: somebody, whoever it will be. */
const SOMEBODY = 'somebody';

const MINUTE_MS = 60_000;
/** From the beginning of year 0. */
const DAYS_BEFORE_1970 = 719_528;
/** What the wasm answers, with 4 added where it has forgotten something. */
const NEWS = [false, 'order', 'first'];
const FORGOT = 4;

/** Loads the wasm, once for all clients of a page; answers its state. */
async function loadWasm(report) {
  try {
    loading ??= load();
    await within(WASM_MS, loading, 'the wasm');
    return READY;
  } catch (error) {
    report('wasm', error);
    return MISSING;
  }
}

const encode = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
const decode = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));
/** The key within the text of a base, which what comes behind it has to be of. */
const keyOf = (bytes) => bytes.slice(8, 24);
const random = () => crypto.getRandomValues(new Uint8Array(16));

function record(seen, { event_name: name, user_id: user, namespace = 'default', ensure_goal: goal, datetime }) {
  const names = new TextEncoder().encode([namespace, name, user || SOMEBODY].join('\0'));
  return seen.record(names, !!goal, Date.parse(datetime) / DAY_MS + DAYS_BEFORE_1970, Date.now() / MINUTE_MS);
}

/** Remembers events, within these limits. `isWanted` false has everything be news. */
export function createSeen(isWanted, limits, report) {
  const bytesMax = limits?.memoryBytesMax ?? SEEN_BYTES_MAX;
  let state = UNASKED;
  let level;
  /** What was seen; undefined until needed, and once forgotten. */
  let past;
  /** Of this browser: what traces are made with. */
  let salt;
  /** The text of the base, and behind it the rows that are part of `past`. */
  let base;
  let behind = [];
  /** What of it is not stored yet, as far as this page knows. */
  const unstored = new Map();
  let hasWarned = false;
  /** What is held. */
  let held;

  const place = () => LEVELS.indexOf(level);
  const fresh = () => new Seen(random(), bytesMax, place());

  function begin() {
    past ??= fresh();
    salt ??= encode(random());
  }

  function forget() {
    past?.free();
    past = base = undefined;
    behind = [];
    unstored.clear();
  }

  function forgetHeld() {
    held?.free();
    held = undefined;
  }

  /** Deletes rows that are of no use. */
  function drop(rows) {
    for (const [key] of rows) unstored.set(key);
  }

  /** Applies rows to what was seen; where something is damaged all is forgotten, which costs nothing but that some events go out twice. */
  function add(rows) {
    if (past && rows.every(([, { bytes }]) => past.apply(decode(bytes)))) {
      behind.push(...rows.map(([key, { bytes }]) => [key, bytes]));
      past.keep(place());
      return;
    }
    report('storage', 'what was seen is damaged');
    const damaged = [...behind, ...rows];
    forget();
    drop(damaged);
  }

  /** What an event whose user is not known yet tells: what is held now is all that it is compared with. */
  function newsOfHeld(event) {
    if (state !== READY) return 'first';
    held ??= fresh();
    return NEWS[record(held, event) % FORGOT];
  }

  return {
    /** Waits for the wasm. */
    async load() {
      if (state === UNASKED) state = isWanted === false ? MISSING : await loadWasm(report);
    },

    /** Keeps so much from here on; of what was kept less of nothing is known then. */
    keep(wanted) {
      level = wanted;
      held?.keep(place());
      past?.keep(place());
    },

    /** What the server may still learn from this event: false, 'order' or 'first'. What it may is remembered. */
    newsOf(event) {
      if (state !== READY) return 'first';
      begin();
      const news = record(past, event);
      if (news >= FORGOT && !hasWarned) {
        hasWarned = true;
        report('saturated', 'there is more to remember than fits: what was not done for the longest is forgotten, and may be sent again');
      }
      return NEWS[news % FORGOT];
    },

    newsOfHeld,

    /** These events are held, and no others. */
    hold(events) {
      forgetHeld();
      for (const event of events) {
        try {
          newsOfHeld(event);
        } catch {
          // It is damaged, and reported when it is to be sent.
        }
      }
    },

    /** By which an event is known without its user being named: 64 bits under the salt of this browser. Undefined where nothing is remembered. */
    traceOf(event) {
      if (state !== READY) return undefined;
      begin();
      return hash(JSON.stringify([salt, event.namespace, event.event_name, event.user_id]));
    },

    /** Goes on from what is stored of this era, if that is not from here; answers whether it does. */
    adopt(rows, era) {
      if (state !== READY) return false;
      salt = valueOf(rows, SEEN)?.salt ?? salt;
      const stored = valueOf(rows, BASE);
      const bytes = stored?.era === era && stored?.bytes;
      const isBehind = ([, value]) => bytes && value?.era === era && value.of === keyOf(bytes);
      const all = rowsOf(rows, CHANGES);
      const those = all.filter(isBehind);
      drop(all.filter((row) => !isBehind(row)));
      if (!bytes) return false;
      const goesOn = bytes === base && behind.every(([key], at) => those[at]?.[0] === key);
      if (goesOn && those.length === behind.length) return false;
      if (!goesOn) {
        forget();
        base = bytes;
        past = Seen.decode(decode(bytes), bytesMax);
      }
      add(those.slice(behind.length));
      return true;
    },

    /** The changes that store what is not stored yet, what is new in a row of this key. */
    save(key, left, era) {
      if (state !== READY) return [];
      begin();
      let bytes = encode(past.changes());
      if (bytes || !base) {
        let from = behind.length;
        for (let length = bytes.length; from && behind[from - 1][1].length <= length; length += behind[from][1].length) from -= 1;
        const taken = behind.splice(from);
        drop(taken);
        bytes = taken.map((row) => row[1]).join('') + bytes;
        behind.push([CHANGES + key, bytes]);
        if (!base || behind.reduce((sum, row) => sum + row[1].length, 0) > Math.max(base.length, CHANGES_BYTES_MIN)) {
          drop(behind);
          behind = [];
          base = encode(past.encode());
          unstored.set(BASE, { bytes: base, era });
        } else {
          unstored.set(CHANGES + key, { bytes, of: keyOf(base), era });
        }
      }
      return [[SEEN, { salt, left, era }], ...unstored];
    },

    /** What was saved is stored. */
    stored: () => unstored.clear(),

    forget,

    close() {
      forget();
      forgetHeld();
      salt = undefined;
    },
  };
}

/** FNV-1a in two halves. */
function hash(text) {
  const half = (basis) => {
    let sum = basis;
    for (let at = 0; at < text.length; at += 1) sum = Math.imul(sum ^ text.charCodeAt(at), 16_777_619);
    return (sum >>> 0).toString(36);
  };
  return `${half(-2_128_831_035)}${half(1_732_584_193)}`;
}
