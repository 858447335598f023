// Feature flags: asked for at most once in a while, and told to whoever listens when they change.

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** Flags as the server evaluates them for what `user()` answers, kept for `everyMs`. */
export function createFeatures({ url, token, featuresMs }, user, report) {
  const server = url.replace(/\/+$/, '');
  const listeners = new Set();
  let known = {};
  let asked;
  let expires = 0;
  let timer;

  async function ask() {
    const target = `${server}/v0/features?user_obj=${encodeURIComponent(base64(JSON.stringify(await user())))}`;
    const response = await fetch(target, {
      headers: token && { authorization: `Bearer ${token}` },
      credentials: 'omit',
      signal: AbortSignal.timeout?.(30_000),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${server}/v0/features: ${response.status} ${answer.error?.what}`);
    return answer.features;
  }

  /** Where asking fails, what was known last goes on. */
  async function refresh() {
    try {
      const before = JSON.stringify(known);
      known = await ask();
      if (JSON.stringify(known) !== before) for (const listener of listeners) listener({ ...known });
    } catch (error) {
      report('unavailable', error);
    }
  }

  async function features() {
    if (Date.now() >= expires) {
      expires = Date.now() + featuresMs;
      asked = refresh();
    }
    await asked;
    return { ...known };
  }

  function poll() {
    clearTimeout(timer);
    if (!listeners.size) return;
    features();
    timer = setTimeout(poll, featuresMs);
  }

  return {
    features,
    listen(listener) {
      listeners.add(listener);
      poll();
    },
    unlisten(listener) {
      listeners.delete(listener);
    },
    /** Another user: what is known may be wrong. */
    expire() {
      expires = 0;
      poll();
    },
    close() {
      listeners.clear();
      clearTimeout(timer);
    },
  };
}
