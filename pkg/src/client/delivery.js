// Sends what is queued, in order and in batches, until the server has acknowledged it.

const BODY_BYTES_MAX = 60_000; // What a page may have in flight when it is closed is 64 KiB.
const TIMEOUT_MS = 30_000;
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 300_000;

/**
 * `queue` has the rows ([key, event]) that are to be sent: `next()` answers them, `remove(keys)` takes out what was
 * acknowledged or, with true, refused, with the epoch that the server named, and `alone(use)` keeps other tabs from sending meanwhile.
 */
export function createDelivery({ url, token, batchEvents, batchMs }, queue, report) {
  const flying = new Set();
  const target = url.replace(/\/*$/, '/v0/analytics');
  let failures = 0;
  let running = Promise.resolve();
  let timer;
  let due = Infinity;
  let notBefore = 0; // by our own back-off
  let forbidden = 0; // by the server's Retry-After

  /** The first rows that are not on their way, as many as one request takes, as [keys, body]. */
  function batch(rows, most) {
    const keys = [];
    const events = [];
    let bytes = 20;
    for (const [key, event] of rows) {
      const text = JSON.stringify(event);
      bytes += new Blob([text]).size + 1;
      if (events.length >= (bytes > BODY_BYTES_MAX ? 1 : most)) break;
      if (flying.has(key)) continue;
      keys.push(key);
      events.push(text);
    }
    return [keys, `{"events":[${events}]}`];
  }

  /** Sends one batch; answers how many events the next one may have, if fewer than usual. */
  async function post([keys, body]) {
    for (const key of keys) flying.add(key);
    try {
      const response = await fetch(target, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body,
        // All pages of an origin share what may be in flight so: what has failed once does without.
        keepalive: !failures,
        credentials: 'omit',
        signal: AbortSignal.timeout?.(TIMEOUT_MS),
      });
      const text = await response.text();
      const error = new Error(`${target}: ${response.status} ${text}`);
      // The server refuses these very events; sent apart, some of them may be fine. Whatever else goes wrong may pass.
      const isRefused = [400, 413, 507].includes(response.status);
      // Or it has refused some one by one, and taken all others.
      const hasRefused = isRefused || /refused":\[/.test(text);
      if (!response.ok && !hasRefused) {
        const after = response.headers.get('retry-after');
        if (after) forbidden = after > 0 ? Date.now() + after * 1_000 : Date.parse(after) || 0;
        throw error;
      }
      if (isRefused && keys[1]) return keys.length >> 1;
      if (hasRefused) report('refused', error, text.match(/index":/g)?.length ?? 1);
      failures = 0;
      // What counted in no week, because its week is too far ahead, may come again when it has come.
      await queue.remove(keys, isRefused || response.headers.get('kimball-weeks'), +response.headers.get('kimball-epoch'));
    } finally {
      for (const key of keys) flying.delete(key);
    }
  }

  /** Whether all is sent; if not, it goes on later. */
  async function deliver() {
    try {
      for (let most = batchEvents; ;) {
        const next = batch(await queue.next(), most);
        if (!next[0].length) return true;
        most = (await post(next)) ?? batchEvents;
      }
    } catch (error) {
      failures += 1;
      notBefore = Date.now() + Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** failures);
      report('unavailable', error);
      schedule(0);
      return false;
    }
  }

  function schedule(ms) {
    const at = Math.max(Date.now() + ms, notBefore, forbidden);
    if (due <= at) return;
    stop();
    due = at;
    timer = setTimeout(flush, at - Date.now());
  }

  function stop() {
    clearTimeout(timer);
    due = Infinity;
  }

  function flush() {
    stop();
    return running = running.then(() => {
      if (Date.now() >= forbidden) return queue.alone(deliver);
      schedule(0);
      return false;
    });
  }

  return {
    flush,
    stop,
    /** There are so many rows to send. */
    soon: (count) => count && schedule(count < batchEvents ? batchMs : 0),
    /** The page goes: sends what it can without waiting for anything. The rows stay queued until acknowledged. */
    leave(rows) {
      const last = batch(rows, Infinity);
      if (!last[0].length) return;
      if (token || 'keepalive' in Request.prototype) post(last).catch(() => {});
      else navigator.sendBeacon(target, new Blob([last[1]], { type: 'application/json' }));
    },
  };
}
