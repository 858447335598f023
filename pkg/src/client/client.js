// The client as a page meets it: takes calls at once, and has the outbox do the rest behind the page.

import { batchOf } from './batch.js';
import { add, eventOf, eventsOf } from './calls.js';
import { IN, OUT, createConsent } from './consent.js';
import { within } from './deadline.js';
import { createDepartures } from './departures.js';
import { createIdentity } from './identity.js';
import { LOAD_MS } from './limits.js';
import { readOptions } from './options.js';
import { postLast } from './request.js';

/** `importParts` loads what is behind the shell, unless an option says how. */
export function createClient(given, importParts) {
  const options = readOptions(given, importParts);
  const closing = new AbortController();
  const consent = createConsent(options, closing.signal);
  const departures = createDepartures(options.server);
  /** Groups of calls that were not taken yet, in order; the next call belongs to the latest one, if that is here and its identity the same. */
  const waiting = new Set();
  let latest;
  let identity = createIdentity();
  /** Who is to be blind, and was named while nothing may be loaded for it. */
  let unknown;
  /** What is loaded behind the page, as promises, from when it is first needed. */
  let parts;
  let opening;
  let flags;
  /** Undefined until it is open, and for good where it could not be loaded. */
  let outbox;
  const listeners = new Set();
  let chain = Promise.resolve();

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

  const load = () => within(LOAD_MS, parts ??= options.parts(), 'the import');

  const openNow = async () => {
    const { openOutbox } = await (parts ??= options.parts());
    outbox = await openOutbox(options, { consent, departures, report });
  };
  const open = () => within(LOAD_MS, opening ??= openNow(), 'the start');

  function groupOfNow() {
    if (waiting.has(latest) && latest.identity === identity) return latest;
    const group = { identity, events: [] };
    waiting.add(group);
    group.taken = run(() => take(group));
    latest = group;
    return group;
  }

  async function take(group) {
    if (!outbox) return leave(); // It could not be loaded: better sent once and unseen than never.
    await group.identity.known;
    await outbox.load();
    return outbox.take(takeOut(group));
  }

  function takeOut(group) {
    waiting.delete(group);
    return consent.isMuted() ? [] : eventsOf(group);
  }

  /** The page may be gone in a moment: nothing here waits for anything. */
  function leave() {
    const events = [...waiting].flatMap(takeOut);
    if (outbox) return outbox.leave(events);
    if (events.length) departures.note();
    const { rows, body } = batchOf(events.filter((event) => event.user_id).map((event) => [event, event]), Infinity, options.preAggregate || 'order');
    if (rows.length) postLast(options, body, true)?.catch(() => {});
  }

  /** Whether there is anything to be done with calls; those to a client that is closed are reported. */
  function isOpen() {
    if (closing.signal.aborted) report('closed', 'the client is closed');
    return !consent.isMuted();
  }

  async function flushNow() {
    if (closing.signal.aborted) return false;
    return consent.isMuted() || (await outbox?.flush()) === true;
  }

  async function flush() {
    isOpen();
    await chain;
    return flushNow();
  }

  /** Uses the flags once they are loaded. */
  function flagged(use) {
    flags ??= load().then(({ createFeatures }) => createFeatures(options, consent, listeners, report));
    return flags.then(use);
  }

  /** Of who is at the page now; empty where they cannot be had in time. */
  async function features() {
    if (!isOpen()) return {};
    const mine = identity;
    const until = performance.now() + options.featuresTimeoutMs;
    try {
      const loaded = await within(options.featuresTimeoutMs, flagged((them) => them), 'the import');
      return await loaded.of(mine, until);
    } catch (error) {
      report('unavailable', error);
      return {};
    }
  }

  const watch = () => consent.isMuted() || flagged((loaded) => loaded.watch(identity)).catch((error) => report('unavailable', error));

  const hash = (id) => load().then(({ blind }) => blind(id, options.salt));

  function identify(userId, properties) {
    unknown = !isOpen() && options.blind && [userId, properties];
    const mine = createIdentity(unknown ? null : userId, properties, options.blind && hash, report);
    if (closing.signal.aborted || mine.name === identity.name) return chain;
    identity = mine;
    if (flags && listeners.size) watch();
    return run(async () => {
      await mine.known;
      if (mine.id) await outbox?.claim(mine.id);
    });
  }

  const listen = (target, types, listener) => {
    for (const type of types) target?.addEventListener?.(type, listener, { signal: closing.signal });
  };

  const back = () => outbox?.back();
  listen(globalThis, ['online'], () => outbox?.flush());
  listen(globalThis, ['pagehide'], departures.touch);
  listen(globalThis, ['pagehide'], leave);
  listen(globalThis, ['pageshow'], back);
  listen(globalThis.document, ['freeze'], leave);
  listen(globalThis.document, ['resume'], back);
  listen(globalThis.document, ['visibilitychange'], () => document.hidden && chain.then(flushNow));

  if (!options.server) {
    report('invalid', 'the option url is relative, and there is no page');
    closing.abort();
  }
  if (!consent.isMuted()) run(open);

  return {
    flush,
    features,
    state: consent.state,

    track(name, more) {
      try {
        if (!isOpen()) return chain;
        const event = eventOf(name, more, options.namespace);
        const group = groupOfNow();
        add(group, event);
        return group.taken;
      } catch (error) {
        report('invalid', error);
        return chain;
      }
    },

    identify,

    async feature(name, fallback = false) {
      const value = (await features())[name];
      return typeof value === 'boolean' ? value : fallback;
    },

    onChange(listener) {
      listeners.add(listener);
      watch();
      return () => listeners.delete(listener);
    },

    optOut() {
      const isKnown = consent.isStored(OUT);
      consent.choose(OUT);
      waiting.clear();
      if (isKnown && !opening) return chain;
      return run(() => open().then(() => outbox.forget(true)));
    },

    optIn() {
      consent.choose(IN);
      if (consent.isMuted()) return chain;
      if (unknown) identify(...unknown);
      watch();
      return run(() => open().then(() => outbox.forget(false)));
    },

    async close() {
      const isSent = await flush();
      if (closing.signal.aborted) return false;
      closing.abort();
      await run(() => outbox?.close());
      if (flags) await flags.then((loaded) => loaded.close()).catch(() => {});
      return isSent;
    },
  };
}
