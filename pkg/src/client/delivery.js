// Sends what is queued, in order and in batches, until the server has acknowledged it.

import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, BODY_BYTES_MAX, ENVELOPE_BYTES, TIMEOUT_MS } from './limits.js';
import { POSTPONED, REFUSED, TAKEN, verdictOf } from './verdict.js';

/**
 * `queue` has the rows ([key, event]) that are to be sent: `next()` answers them, `alone(use)` keeps other tabs from sending
 * meanwhile, and `remove(keys, mayRepeat, epoch, keep)` takes out what the server is done with: whether some of it was not counted and
 * may come again, the epoch of the server, and what it says that pages have to keep. `kept()` is what this page keeps.
 */
export function createDelivery({ url, token, batchEvents, batchMs }, queue, report) {
  const target = url.replace(/\/*$/, '/v0/analytics');
  /** Bytes that are in requests now. */
  let flying = 0;
  /** One flush after the other. */
  let chain = Promise.resolve();
  /** Requests that have failed since the last one that did not. */
  let failures = 0;
  /** Nothing is tried by itself before this time, our own back-off, and nothing at all before that of the server. */
  let backOffUntil = 0;
  let forbiddenUntil = 0;
  /** The next flush by itself. */
  let timer;
  let due = Infinity;

  /** The first rows, as many as one request takes beside what is in flight. */
  function batch(rows, eventsMax) {
    const keys = [];
    const events = [];
    let bytes = ENVELOPE_BYTES;
    for (const [key, event] of rows) {
      const text = JSON.stringify(event);
      const longer = bytes + new Blob([text]).size + 1;
      const most = longer + flying > BODY_BYTES_MAX ? 1 : eventsMax;
      if (events.length >= most) break;
      bytes = longer;
      keys.push(key);
      events.push(text);
    }
    return { keys, bytes, body: `{"kept":"${queue.kept()}","events":[${events}]}` };
  }

  const request = (body) => fetch(target, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body,
    // All pages of an origin share what may be in flight so: what has failed once does without.
    keepalive: !failures,
    credentials: 'omit',
    signal: AbortSignal.timeout?.(TIMEOUT_MS),
  });

  /** Sends one batch; answers how many events the next one may have. Fails where this one is to be sent again later. */
  async function post({ keys, bytes, body }) {
    flying += bytes;
    try {
      return await settle(keys, await request(body));
    } finally {
      flying -= bytes;
    }
  }

  async function settle(keys, response) {
    const text = await response.text();
    const verdict = verdictOf(response, text);
    const header = (name) => response.headers.get(name);
    const error = new Error(`${target}: ${response.status} ${text}`);

    if (verdict === POSTPONED) {
      obey(header('retry-after'));
      throw error;
    }
    if (verdict === REFUSED && keys.length > 1) return keys.length >> 1;
    if (verdict !== TAKEN) {
      const refused = text.match(/index":/g)?.length ?? 1;
      report('refused', error, refused);
    }

    failures = 0;
    // What counted in no week, because its week is too far ahead, may come again when it has come.
    const mayRepeat = verdict === REFUSED || header('kimball-weeks');
    await queue.remove(keys, mayRepeat, +header('kimball-epoch'), header('kimball-keep'));
    return batchEvents;
  }

  /** A Retry-After names seconds from now, or a date. */
  function obey(after) {
    if (after) forbiddenUntil = after > 0 ? Date.now() + after * 1_000 : Date.parse(after) || 0;
  }

  /** Whether all is sent; if not, it goes on later. */
  async function deliver() {
    try {
      let eventsMax = batchEvents;
      for (;;) {
        const next = batch(await queue.next(), eventsMax);
        if (!next.keys.length) return true;
        eventsMax = await post(next);
      }
    } catch (error) {
      backOff();
      report('unavailable', error);
      schedule(0);
      return false;
    }
  }

  function backOff() {
    failures += 1;
    const longest = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
    backOffUntil = Date.now() + Math.random() * longest;
  }

  function schedule(ms) {
    const at = Math.max(Date.now() + ms, backOffUntil, forbiddenUntil);
    if (at >= due) return;
    stop();
    due = at;
    timer = setTimeout(flush, at - Date.now());
  }

  function stop() {
    clearTimeout(timer);
    due = Infinity;
  }

  async function deliverIfAllowed() {
    if (Date.now() >= forbiddenUntil) return queue.alone(deliver);
    schedule(0);
    return false;
  }

  function flush() {
    stop();
    chain = chain.then(deliverIfAllowed);
    return chain;
  }

  return {
    flush,
    stop,

    /** There are so many rows to send. */
    soon(count) {
      if (count) schedule(count < batchEvents ? batchMs : 0);
    },

    /**
     * The page goes: sends what it can without waiting for anything, also what is on its way, so that nothing arrives before it. The rows
     * stay queued until acknowledged.
     */
    leave(rows) {
      const last = batch(rows, Infinity);
      if (!last.keys.length) return;
      if (token || 'keepalive' in Request.prototype) post(last).catch(() => {});
      else navigator.sendBeacon(target, new Blob([last.body], { type: 'application/json' }));
    },
  };
}
