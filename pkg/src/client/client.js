// The client as a page meets it: takes calls at once, and has the queue and the delivery do the rest behind the page.

import { createDelivery } from './delivery.js';

const DEFAULTS = {
  url: '', batchEvents: 100, batchMs: 2_000, queueEventsMax: 1_000, featuresMs: 60_000, onError: console.warn,
};

export function createClient(given) {
  const options = { ...DEFAULTS, ...given };
  const stopped = new AbortController();
  /** Whose the next events are; an empty id is nobody's yet. */
  let identity = { id: '' };
  /** Calls that were not taken yet, in order: events by what makes them repeats, for one identity each. */
  const waiting = new Set();
  let calls;
  let isOptedOut;
  let parts;
  let queue;
  let flags;
  let chain = Promise.resolve();

  function report(code, cause, count) {
    try {
      options.onError(Object.assign(new Error(`kimball-edge: ${cause.message ?? cause}`, { cause }), { code, count }));
    } catch {
      // The page's own trouble.
    }
  }

  /** One step after the other; what fails is reported and does not stop what follows. */
  const run = (step) => chain = chain.then(step).catch((error) => report('failed', error));

  /** Whether nothing may be kept or sent. Told that another tab has opted out, it remembers that. */
  function isMuted(optedOut) {
    const { globalPrivacyControl, doNotTrack } = globalThis.navigator ?? {};
    isOptedOut ||= optedOut;
    return isOptedOut || stopped.signal.aborted
      || (!options.ignorePrivacySignals && (globalPrivacyControl || doNotTrack === '1'));
  }

  const delivery = createDelivery(options, {
    alone: (use) => queue.alone('send', use),
    next: () => queue.next(),
    remove: (...args) => queue?.remove(...args),
  }, report);

  const load = () => parts ??= options.parts();

  run(async () => {
    queue = await (await load()).openQueue(options, isMuted, report);
    const rows = await queue.next();
    if (isMuted()) await queue.forget();
    else delivery.soon(rows.length);
  });

  async function take(taken) {
    if (!queue) return leave(); // It could not be loaded: better sent once and unseen than never.
    await queue.load();
    await taken.identity.known;
    queue.admit(eventsOf(taken));
    delivery.soon(await queue.store());
  }

  /** Takes calls out of those that wait, as events of whom they are. */
  function eventsOf(taken) {
    waiting.delete(taken);
    return isMuted() ? [] : [...taken.events.values()].map((event) => ({ ...event, user_id: taken.identity.id }));
  }

  /** The page may be gone in a moment: nothing here waits for anything. */
  function leave() {
    const events = [...waiting].flatMap(eventsOf);
    queue?.admit(events);
    delivery.leave(queue ? queue.leave() : events.filter((event) => event.user_id).map((event) => [event, event]));
  }

  const flush = () => chain.then(() => queue && delivery.flush());

  async function user() {
    const { known, properties } = identity;
    await known;
    const { id } = identity;
    return isMuted() ? {} : { ...properties, ...(id && { user_id: id }) };
  }

  const flagged = (use) => (flags ??= load().then(({ createFeatures }) => createFeatures(options, user, report))).then(use)
    .catch((error) => report('unavailable', error));

  const features = async () => (await flagged((loaded) => loaded.features())) ?? {};

  const listen = (target, type, listener) => target?.addEventListener?.(type, listener, { signal: stopped.signal });
  listen(globalThis, 'online', flush);
  listen(globalThis, 'pagehide', leave);
  listen(globalThis.document, 'visibilitychange', () => document.hidden && flush());

  return {
    flush,
    features,

    track(event, { value, ensureGoal, namespace = options.namespace, at = Date.now() } = {}) {
      try {
        if (isMuted()) return chain;
        if (typeof event !== 'string' || !isFinite(value ?? 0)) throw 'event or value of the wrong type';
        const datetime = `${new Date(at).toISOString().slice(0, 10)}T00:00:00Z`;
        if (!waiting.has(calls) || calls.identity !== identity) {
          const taken = calls = { identity, events: new Map() };
          waiting.add(calls);
          calls.taken = run(() => take(taken));
        }
        const key = JSON.stringify([event, namespace, ensureGoal, datetime]);
        if (!calls.events.has(key)) {
          calls.events.set(key, JSON.parse(JSON.stringify({
            event_name: event, namespace, value, ensure_goal: ensureGoal, datetime,
          })));
        }
        return calls.taken;
      } catch (error) {
        report('invalid', error);
        return chain;
      }
    },

    identify(userId, properties) {
      const { blind, salt = globalThis.location?.hostname } = options;
      const id = `${userId ?? ''}`;
      const mine = identity = { id, properties };
      if (id && blind) {
        mine.id = '';
        mine.known = load().then(({ digest }) => digest(`${salt}\0${id}`))
          .then((hash) => { mine.id = hash; }, (error) => report('blind', error));
      }
      if (flags) flagged((loaded) => loaded.expire());
      return run(async () => {
        await mine.known;
        if (!queue || !id) return queue?.forgetAnonymous();
        await queue.load();
        if (mine.id) delivery.soon(await queue.store(mine.id));
      });
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
      isOptedOut = true;
      waiting.clear();
      return run(() => queue.forget(true));
    },

    optIn() {
      isOptedOut = false;
      return run(async () => {
        await queue.forget(false);
        isOptedOut = false;
      });
    },

    async close() {
      const isSent = await flush();
      stopped.abort();
      delivery.stop();
      if (flags) await flagged((loaded) => loaded.close());
      await run(() => queue.close());
      return isSent;
    },
  };
}
