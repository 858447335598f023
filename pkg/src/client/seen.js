// What this browser has passed on already: aggregators of the wasm, kept as text beside the queue.
//
// There are two generations. All is learnt by the younger one; when it is full it becomes the older one, and that is forgotten: what has not
// been done for the longest goes first, closed weeks and days among it.

import { within } from './deadline.js';
import { WASM_MS } from './limits.js';
import * as wasm from '../aggregator.js';

let loading;

/** How far the wasm is. Where it is not ready, everything is news. */
const UNASKED = 'unasked';
const READY = 'ready';
/** It is not wanted, or cannot be had: forbidden by a policy, not found, too slow. */
const MISSING = 'missing';

/** Who did what is held: somebody, whoever it will be. */
const SOMEBODY = 'somebody';

/** Loads the wasm, once for all clients of a page; answers its state. */
async function loadWasm(report) {
  try {
    loading ??= wasm.default();
    await within(WASM_MS, loading, 'the wasm');
    return READY;
  } catch (error) {
    report('wasm', error);
    return MISSING;
  }
}

const encode = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
const decode = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));

function record(aggregator, event) {
  const news = aggregator.record({
    event: event.event_name,
    user: event.user_id || SOMEBODY,
    value: event.value,
    at: event.datetime,
    ensureGoal: event.ensure_goal,
    namespace: event.namespace,
  });
  aggregator.drain();
  return news;
}

/** Remembers events, within these limits. `isWanted` false has everything be news. */
export function createSeen(isWanted, limits, report) {
  let state = UNASKED;
  let level;
  /** `younger`, perhaps `older` with its text, and a `salt` of this browser; undefined until needed, and once forgotten. */
  let past;
  /** The text of the younger one that is stored, as far as this page knows. */
  let savedBytes;
  let hasWarned = false;
  /** What is held. */
  let held;

  const options = () => ({ ...limits, preAggregate: level });
  const fresh = () => new wasm.Aggregator(options());
  const read = (text) => wasm.Aggregator.fromBytes(decode(text), options());
  const begin = () => ({ younger: fresh(), salt: wasm.anonymousId() });

  /** What `save` answered before; where it is damaged it is forgotten, which costs nothing but that some events go out twice. */
  function restore({ bytes, older, anonymous }) {
    try {
      return { younger: read(bytes), older: older && read(older), olderBytes: older, salt: anonymous };
    } catch (error) {
      report('storage', error);
      return begin();
    }
  }

  function forget() {
    past?.younger.free();
    past?.older?.free();
    past = undefined;
    savedBytes = undefined;
  }

  function forgetHeld() {
    held?.free();
    held = undefined;
  }

  function age() {
    past.older?.free();
    past.older = past.younger;
    past.olderBytes = undefined;
    past.younger = fresh();
    if (!hasWarned) report('saturated', 'there is more to remember than fits: what was not done for the longest is forgotten, and may be sent again');
    hasWarned = true;
  }

  /** What an event whose user is not known yet tells: what is held now is all that it is compared with. */
  function newsOfHeld(event) {
    if (state !== READY) return 'first';
    held ??= fresh();
    return record(held, event);
  }

  /** The same with what is kept now. */
  function converted(aggregator) {
    const bytes = aggregator.toBytes();
    aggregator.free();
    return wasm.Aggregator.fromBytes(bytes, options());
  }

  return {
    /** Waits for the wasm. */
    async load() {
      if (state === UNASKED) state = isWanted === false ? MISSING : await loadWasm(report);
    },

    /** Keeps so much from here on; of what was kept less of nothing is known then. */
    keep(wanted) {
      if (level === wanted) return;
      level = wanted;
      if (held) held = converted(held);
      if (!past) return;
      past.younger = converted(past.younger);
      if (past.older) past.older = converted(past.older);
      past.olderBytes = undefined;
    },

    /** What the server may still learn from this event: false, 'order' or 'first'. What it may is remembered. */
    newsOf(event) {
      if (state !== READY) return 'first';
      past ??= begin();
      let news = record(past.younger, event);
      if (news && past.older) {
        const ofOlder = record(past.older, event);
        past.olderBytes = undefined;
        news = ofOlder && (news === 'order' ? news : ofOlder);
      }
      if (past.younger.isSaturated) {
        age();
        record(past.younger, event);
      }
      return news;
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
      past ??= begin();
      return hash(JSON.stringify([past.salt, event.namespace, event.event_name, event.user_id]));
    },

    /** Goes on from what is stored, if that is not from here; answers whether it does. */
    adopt(stored) {
      if (state !== READY || !stored || stored.bytes === savedBytes) return false;
      forget();
      past = restore(stored);
      savedBytes = stored.bytes;
      return true;
    },

    /** What is to be stored, if anything. An earlier version knew the salt as the id of who was anonymous. */
    save() {
      if (state !== READY) return undefined;
      past ??= begin();
      const { younger, older, salt } = past;
      if (older) past.olderBytes ??= encode(older.toBytes());
      savedBytes = encode(younger.toBytes());
      return { bytes: savedBytes, older: past.olderBytes, anonymous: salt };
    },

    forget,

    close() {
      forget();
      forgetHeld();
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
