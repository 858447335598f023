// What was passed on and does not count: events that the server has refused, or for which the queue had no room, one by one; and all of it,
// where the server has lost something, or too many were lost. What does not count is news when it comes again, in every tab.

import { LOST_MAX, REFUSED_MS } from './limits.js';
import { BASE, ERA, LOST, SEEN, rowsOf, valueOf } from './rows.js';

/** `seen` is what was passed on. */
export function createLosses(seen, departures) {
  /** Traces of events that are lost, and of those among them that are news again and not stored as such yet. */
  let lost = new Set();
  const found = new Set();
  /** Until when this page does not try events again that were refused. */
  const resting = new Map();
  let era;

  const goalOf = (event, trace) => `${trace}${event.ensure_goal ?? ''}`;

  /** All that was passed on is forgotten; answers the changes that say so to other tabs. */
  function lapse() {
    const changes = [[SEEN], [BASE], ...[...lost].map((trace) => [LOST + trace])];
    seen.forget();
    lost.clear();
    era = Math.random();
    return [...changes, [ERA, era]];
  }

  /** These events are lost; answers the changes that say so to other tabs. */
  function lose(events) {
    const traces = events.map((event) => seen.traceOf(event)).filter(Boolean);
    if (!traces.length) return [];
    departures.note();
    for (const trace of traces) {
      lost.add(trace);
      found.delete(trace);
    }
    return lost.size > LOST_MAX ? lapse() : traces.map((trace) => [LOST + trace, true]);
  }

  return {
    lapse,
    lose,
    era: () => era,

    /** What is stored of losses, by any tab. */
    read(rows) {
      lost = new Set(rowsOf(rows, LOST).map(([key]) => key.slice(LOST.length)));
      for (const trace of found) lost.delete(trace);
      const eraNow = valueOf(rows, ERA);
      if (eraNow !== era) seen.forget();
      era = eraNow;
    },

    /** The server has refused these, and would again. */
    refuse(events) {
      const known = events.filter(Boolean);
      for (const event of known) resting.set(goalOf(event, seen.traceOf(event)), performance.now() + REFUSED_MS);
      return lose(known);
    },

    /** What the server may still learn from an event. */
    newsOf(event) {
      const news = seen.newsOf(event);
      const trace = lost.size ? seen.traceOf(event) : undefined;
      if (!lost.has(trace)) return news;
      if (resting.get(goalOf(event, trace)) > performance.now()) return false;
      lost.delete(trace);
      found.add(trace);
      return 'first';
    },

    /** The changes that take out what was lost and is queued again. */
    found() {
      const changes = [...found].map((trace) => [LOST + trace]);
      found.clear();
      return changes;
    },
  };
}
