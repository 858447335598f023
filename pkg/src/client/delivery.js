// Sends what is queued, in order and in batches, until the server has settled it.

import { batchOf } from './batch.js';
import { bounded } from './deadline.js';
import { NAMED_REFUSALS_MAX, SEND_LOCK_MS, TIMEOUT_MS, TIMER_MS_MAX } from './limits.js';
import { createPace } from './pace.js';
import { post, postLast } from './request.js';
import { QUEUED, REFUSED } from './states.js';
import { POSTPONED, SETTLED, SUSPECTED, verdictOf } from './verdict.js';

/** What comes after a batch. */
const MORE = 'more';
const DONE = 'done';
const LATER = 'later';

/**
 * `queue` has the rows ([key, event]) that are to be sent: `next()` answers them, `alone(…)` keeps other tabs from sending meanwhile, and
 * `settle(rows, states, hints)` hears what the server has done. `kept()` is what this page keeps.
 */
export function createDelivery(options, queue, presence, report) {
  const { server, batchEvents, batchMs } = options;
  const pace = createPace();
  /** Bytes that are in requests now. */
  let flying = 0;
  /** Whether the server takes the requests of pages that go; one of an earlier version says nothing of it. */
  let takesPlain = true;
  /** The most of the next request: fewer after a refusal whose reason nobody knows. */
  let eventsMax = batchEvents;
  /** Among so many of the oldest is one that the server refuses. */
  let suspects = 0;
  /** Refusals of events that the server has named, since the last request without any. */
  let named = 0;
  /** One flush after the other. */
  let chain = Promise.resolve();
  /** The next flush by itself. */
  let timer;
  let due = Infinity;

  // All pages of an origin share what may outlive them: what has failed once does without.
  const request = (body) => bounded(TIMEOUT_MS, async (signal) => {
    const response = await post(options, body, { keepalive: !pace.hasFailed(), signal });
    return { response, text: await response.text() };
  });

  async function requestLast(body) {
    const response = await postLast(options, body, takesPlain);
    if (!response) throw new Error('a beacon has no answer');
    return { response, text: await response.text() };
  }

  /** Sends one batch by a request; fails where it stays queued. */
  async function send({ rows, bytes, body }, ask) {
    flying += bytes;
    try {
      return await settle(rows, await ask(body));
    } finally {
      flying -= bytes;
    }
  }

  async function settle(rows, { response, text }) {
    const header = (name) => response.headers.get(name);
    const error = new Error(`${server}: ${response.status} ${text.slice(0, 500)}`);
    const events = rows.map(([, event]) => event);
    const { verdict, states } = verdictOf(response, text, events);
    if (verdict === SETTLED) takesPlain = response.headers.has('kimball-plain');

    if (verdict === POSTPONED) {
      pace.obey(header('retry-after'));
      throw error;
    }
    if (verdict === SUSPECTED && rows.length > 1) {
      suspects = rows.length;
      return MORE;
    }

    const after = verdict === SUSPECTED ? convict() : go(states);
    const settled = states ?? [REFUSED];
    const refused = settled.filter((state) => state === REFUSED).length;
    if (refused) report('refused', error, refused);
    await queue.settle(rows, settled, {
      epoch: header('kimball-epoch'), keep: header('kimball-keep'), hasLater: header('kimball-weeks'),
    });
    return after;
  }

  /** The only event of a batch is refused, and nobody knows what of the others: they go one by one at first, after a pause. */
  function convict() {
    suspects = 0;
    eventsMax = 1;
    pace.backOff();
    return LATER;
  }

  function go(states) {
    if (states.includes(QUEUED)) {
      named += 1;
      if (named < NAMED_REFUSALS_MAX) return MORE;
      pace.backOff();
      return LATER;
    }
    named = 0;
    if (suspects) {
      suspects = Math.max(0, suspects - states.length);
    } else {
      eventsMax = Math.min(batchEvents, eventsMax * 2);
      pace.succeed();
    }
    return MORE;
  }

  /** Sends the first rows, of those that there were when it began: what comes later may wait, or has a time of its own. */
  async function sendNext(turn) {
    const queued = await queue.next();
    turn.last ??= queued.at(-1)?.[0] ?? '';
    const rows = queued.filter(([key]) => key <= turn.last);
    if (!rows.length) return DONE;
    const most = suspects ? Math.max(1, suspects >> 1) : eventsMax;
    return send(batchOf(rows, most, queue.kept(), flying), request);
  }

  /** Whether all is sent; if not, it goes on later. */
  async function deliver() {
    const turn = {};
    try {
      for (;;) {
        if (pace.forbiddenMs()) return goOn();
        const after = await queue.alone('send', () => sendNext(turn), SEND_LOCK_MS);
        if (after === DONE) return true;
        if (after === LATER && (await queue.next()).length) return goOn();
      }
    } catch (error) {
      if (presence.isGone()) return false;
      pace.backOff();
      report('unavailable', error);
      return goOn();
    }
  }

  /** Not now. */
  function goOn() {
    schedule(0);
    return false;
  }

  function schedule(ms) {
    const wait = Math.min(TIMER_MS_MAX, Math.max(ms, pace.pauseMs()));
    const at = performance.now() + wait;
    if (at >= due) return;
    stop();
    due = at;
    timer = setTimeout(flush, wait);
  }

  function stop() {
    clearTimeout(timer);
    due = Infinity;
  }

  function flush() {
    stop();
    chain = chain.then(deliver);
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
      const last = batchOf(rows, Infinity, queue.kept(), flying);
      if (last.rows.length) send(last, requestLast).catch(() => {});
    },
  };
}
