// What this browser has passed on already: the aggregator of the wasm, kept as text beside the queue.

import * as wasm from '../aggregator.js';

const LOAD_MS = 10_000;
let loading;

/** How far the wasm is. Where it is not ready, everything is news. */
const UNASKED = 'unasked';
const READY = 'ready';
/** It is not wanted, or cannot be had: forbidden by a policy, not found, too slow. */
const MISSING = 'missing';

/** Loads the wasm, once for all clients of a page; answers its state. */
async function loadWasm(report) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, LOAD_MS, new Error('the wasm takes too long'));
  });
  try {
    loading ??= wasm.default();
    await Promise.race([loading, late]);
    return READY;
  } catch (error) {
    report('wasm', error);
    return MISSING;
  } finally {
    clearTimeout(timer);
  }
}

const encode = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
const decode = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** Remembers events, within these limits. `isWanted` false has everything be news. */
export function createSeen(isWanted, limits, report) {
  let state = UNASKED;
  let level;
  /** The aggregator, and who is at the page while nobody is known; undefined until needed, and once forgotten. */
  let past;
  /** The text that was stored last. */
  let savedBytes;

  const options = () => ({ ...limits, preAggregate: level });
  const begin = () => ({ aggregator: new wasm.Aggregator(options()), anonymous: wasm.anonymousId(), isSaturated: false });

  /** What `save` answered before; where it is damaged it is forgotten, which costs nothing but that some events go out twice. */
  function restore({ bytes, anonymous }) {
    try {
      const aggregator = wasm.Aggregator.fromBytes(decode(bytes), options());
      return { aggregator, anonymous, isSaturated: false };
    } catch (error) {
      report('storage', error);
      return begin();
    }
  }

  function forget() {
    past?.aggregator.free();
    past = undefined;
    savedBytes = undefined;
  }

  function warnOnceSaturated() {
    if (past.isSaturated || !past.aggregator.isSaturated) return;
    past.isSaturated = true;
    report('saturated', 'there is too much to remember: repeats may be sent from here on');
  }

  return {
    /** Waits for the wasm. */
    async load() {
      if (state !== UNASKED) return;
      state = isWanted === false ? MISSING : await loadWasm(report);
    },

    /** Keeps so much from here on; of what was kept less of nothing is known then. */
    keep(wanted) {
      if (level === wanted) return;
      level = wanted;
      if (!past) return;
      const { aggregator } = past;
      past.aggregator = wasm.Aggregator.fromBytes(aggregator.toBytes(), options());
      aggregator.free();
    },

    /** What the server may still learn from this event: false, 'order' or 'first'. What it may is remembered. */
    newsOf(event) {
      if (state !== READY) return 'first';
      past ??= begin();
      const news = past.aggregator.record({
        event: event.event_name,
        user: event.user_id || past.anonymous,
        value: event.value,
        at: event.datetime,
        ensureGoal: event.ensure_goal,
        namespace: event.namespace,
      });
      warnOnceSaturated();
      past.aggregator.drain();
      return news;
    },

    /** Goes on from what is stored, if that is not from here; answers whether it does. */
    adopt(stored) {
      if (state !== READY || !stored || stored.bytes === savedBytes) return false;
      forget();
      past = restore(stored);
      return true;
    },

    /** What is to be stored, if anything. */
    save() {
      if (state !== READY) return undefined;
      past ??= begin();
      const { aggregator, anonymous } = past;
      savedBytes = encode(aggregator.toBytes());
      return { bytes: savedBytes, anonymous };
    },

    /** Another person may be at the page now. */
    forgetAnonymous() {
      if (past) past.anonymous = wasm.anonymousId();
    },

    forget,
  };
}
