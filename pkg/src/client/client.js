// The client as a page meets it: takes calls at once, and has the queue and the delivery do the rest behind the page.

import { add, eventOf, eventsOf } from './calls.js';
import { createConsent } from './consent.js';
import { createDelivery } from './delivery.js';
import { createDepartures } from './departures.js';
import { NOBODY, createIdentity } from './identity.js';

const DEFAULTS = {
  url: '', batchEvents: 100, batchMs: 2_000, queueEventsMax: 1_000, featuresMs: 60_000, onError: console.warn,
};

export function createClient(given) {
  const options = { ...DEFAULTS, ...given };
  const closing = new AbortController();
  const consent = createConsent(options, closing.signal);
  const departures = createDepartures(options.url);
  /** Groups of calls that were not taken yet, in order; the next call belongs to the latest one, if that is here and its identity the same. */
  const waiting = new Set();
  let latest;
  let identity = NOBODY;
  /** What is loaded behind the page, as promises, from when it is first needed. */
  let parts;
  let flags;
  /** Undefined until it is open, and for good where it could not be loaded. */
  let queue;
  let chain = Promise.resolve();

  const delivery = createDelivery(options, {
    alone: (use) => queue.alone('send', use),
    next: () => queue.next(),
    remove: (...done) => queue?.remove(...done),
    kept: () => queue?.kept() ?? 'order',
  }, report);

  function report(code, cause, count) {
    try {
      const error = new Error(`kimball-edge: ${cause.message ?? cause}`, { cause });
      options.onError(Object.assign(error, { code, count }));
    } catch {
      // The page's own trouble.
    }
  }

  /** One step after the other; what fails is reported and does not stop what follows. */
  function run(step) {
    chain = chain.then(step).catch((error) => report('failed', error));
    return chain;
  }

  const load = () => parts ??= options.parts();

  async function open() {
    const { openQueue } = await load();
    queue = await openQueue(options, consent, departures, report);
    const rows = await queue.next();
    if (consent.isMuted()) await queue.forget();
    else delivery.soon(rows.length);
  }

  function groupOfNow() {
    if (waiting.has(latest) && latest.identity === identity) return latest;
    const group = { identity, events: [] };
    waiting.add(group);
    group.taken = run(() => take(group));
    latest = group;
    return group;
  }

  async function take(group) {
    if (!queue) return leave(); // It could not be loaded: better sent once and unseen than never.
    await queue.load();
    await group.identity.known;
    queue.admit(takeOut(group));
    delivery.soon(await queue.store());
  }

  function takeOut(group) {
    waiting.delete(group);
    return consent.isMuted() ? [] : eventsOf(group);
  }

  /** The page may be gone in a moment: nothing here waits for anything. */
  function leave() {
    const events = [...waiting].flatMap(takeOut);
    if (!queue) {
      if (events.length) departures.note();
      const sendable = events.filter((event) => event.user_id);
      return delivery.leave(sendable.map((event) => [event, event]));
    }
    queue.admit(events);
    delivery.leave(queue.leave());
  }

  const flush = () => chain.then(() => queue && delivery.flush());

  /** The user as flags are evaluated for. */
  async function user() {
    const { known, properties } = identity;
    await known;
    const { id } = identity;
    if (consent.isMuted()) return {};
    return { ...properties, ...(id && { user_id: id }) };
  }

  /** Uses the flags once they are loaded. */
  function flagged(use) {
    flags ??= load().then(({ createFeatures }) => createFeatures(options, user, report));
    return flags.then(use).catch((error) => report('unavailable', error));
  }

  const features = async () => (await flagged((loaded) => loaded.features())) ?? {};

  const hash = (id) => load().then(({ blind }) => blind(id, options.salt));

  /** What was held while nobody was known is this user's. */
  async function claim(mine) {
    await mine.known;
    if (!queue) return;
    if (!mine.isSomebody) return queue.forgetAnonymous();
    await queue.load();
    if (mine.id) delivery.soon(await queue.store(mine.id));
  }

  const listen = (target, type, listener) => target?.addEventListener?.(type, listener, { signal: closing.signal });

  run(open);
  listen(globalThis, 'online', flush);
  listen(globalThis, 'pagehide', leave);
  listen(globalThis.document, 'visibilitychange', () => document.hidden && flush());

  return {
    flush,
    features,

    track(name, { namespace = options.namespace, ...more } = {}) {
      try {
        if (consent.isMuted()) return chain;
        const event = eventOf(name, { ...more, namespace });
        const group = groupOfNow();
        add(group, event);
        return group.taken;
      } catch (error) {
        report('invalid', error);
        return chain;
      }
    },

    identify(userId, properties) {
      const mine = createIdentity(userId, properties, options.blind && hash, report);
      identity = mine;
      if (flags) flagged((loaded) => loaded.expire());
      return run(() => claim(mine));
    },

    async feature(name, fallback = false) {
      const value = (await features())[name];
      return typeof value === 'boolean' ? value : fallback;
    },

    onChange(listener) {
      flagged((loaded) => loaded.listen(listener));
      return () => flagged((loaded) => loaded.unlisten(listener));
    },

    optOut() {
      consent.optOut();
      waiting.clear();
      return run(() => queue.forget(true));
    },

    optIn() {
      consent.optIn();
      return run(async () => {
        await queue.forget(false);
        consent.optIn(); // Another step may have read the old wish meanwhile.
      });
    },

    async close() {
      const isSent = await flush();
      closing.abort();
      delivery.stop();
      if (flags) await flagged((loaded) => loaded.close());
      await run(() => queue.close());
      return isSent;
    },
  };
}
