// Feature flags: asked for at most once in a while for whoever is at the page, and told to whoever listens when they change. What is known
// of one identity is never shown to another.

import { bounded, within } from './deadline.js';
import { TIMEOUT_MS } from './limits.js';

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/** Flags as the server evaluates them, kept for `featuresMs`. */
export function createFeatures({ server, token, featuresMs }, consent, listeners, report) {
  /** Of whom flags are wanted: what is known of them, the latest request for it, and when another one is due. */
  let current = {};
  let timer;
  let isClosed = false;

  async function ask({ identity }) {
    await identity.known;
    const { id, properties } = identity;
    const user = { ...properties, ...(id && { user_id: id }) };
    const target = `${server}/v0/features`;
    return bounded(TIMEOUT_MS, async (signal) => {
      const response = await fetch(`${target}?user_obj=${encodeURIComponent(base64(JSON.stringify(user)))}`, {
        headers: token && { authorization: `Bearer ${token}` },
        credentials: 'omit',
        signal,
      });
      const { features, error } = await response.json();
      if (!response.ok || typeof features !== 'object') throw new Error(`${target}: ${response.status} ${error?.what}`);
      return features;
    });
  }

  /** Where asking fails, what was known last of the same identity goes on. */
  async function refresh(asking) {
    try {
      asking.flags = await ask(asking);
      tell(asking);
    } catch (error) {
      report('unavailable', error);
    }
  }

  let told = '{}';

  function tell({ flags }) {
    const text = JSON.stringify(flags);
    if (isClosed || flags !== current.flags || text === told) return;
    told = text;
    for (const listener of listeners) {
      try {
        listener({ ...flags });
      } catch (error) {
        report('failed', error);
      }
    }
  }

  function select(identity) {
    if (current.identity !== identity) current = { identity, flags: {}, due: 0 };
    return current;
  }

  /** Those of an identity, as far as they are known at this time of `performance`. */
  async function of(identity, until) {
    const asking = select(identity);
    if (performance.now() >= asking.due) {
      asking.due = performance.now() + featuresMs;
      asking.answer = refresh(asking);
    }
    try {
      await within(Math.min(TIMEOUT_MS, Math.max(0, until - performance.now())), asking.answer, 'the request for flags');
    } catch (error) {
      report('unavailable', error);
    }
    return { ...asking.flags };
  }

  function watch(identity) {
    clearTimeout(timer);
    select(identity);
    if (isClosed || !listeners.size || consent.isMuted()) return;
    of(identity, Infinity);
    timer = setTimeout(() => watch(current.identity), featuresMs);
  }

  return {
    of,
    watch,
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
