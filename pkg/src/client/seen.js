// What this browser has passed on already: the aggregator of the wasm, kept as text beside the queue.

import * as wasm from '../aggregator.js';

const LOAD_MS = 10_000;
let loading;

/** The aggregator, or null where the wasm cannot be had: forbidden by a policy, not found, too slow. */
export async function loadAggregator(report) {
  let timer;
  try {
    loading ??= wasm.default();
    await Promise.race([loading, new Promise((_, reject) => {
      timer = setTimeout(reject, LOAD_MS, new Error('the wasm takes too long'));
    })]);
    return wasm;
  } catch (error) {
    report('wasm', error);
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Remembers events. `saved` is what `save()` answered before; where it is damaged this is reported and it is forgotten,
 * which costs nothing but that some events go out twice.
 */
export function createSeen({ Aggregator, anonymousId }, options, saved, report) {
  let aggregator;
  let anonymous = anonymousId();
  let isSaturated = false;
  try {
    if (saved) {
      aggregator = Aggregator.fromBytes(Uint8Array.from(saved.bytes, (char) => char.charCodeAt(0)), options);
      anonymous = saved.anonymous;
    }
  } catch (error) {
    report('storage', error);
  }
  aggregator ??= new Aggregator(options);
  return {
    /** Whether the server may still learn something from this event; if so it is remembered. */
    isNews(event) {
      aggregator.record({
        event: event.event_name,
        user: event.user_id || anonymous,
        value: event.value,
        at: event.datetime,
        ensureGoal: event.ensure_goal,
        namespace: event.namespace,
      });
      if (aggregator.isSaturated && !isSaturated) {
        isSaturated = true;
        report('saturated', 'there is too much to remember: repeats may be sent from here on');
      }
      return aggregator.drain().events.length > 0;
    },
    save: () => ({ bytes: Array.from(aggregator.toBytes(), (byte) => String.fromCharCode(byte)).join(''), anonymous }),
    /** Another person may be at the page now. */
    forgetAnonymous() {
      anonymous = anonymousId();
    },
    free: () => aggregator.free(),
  };
}
