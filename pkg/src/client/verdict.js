// What the server has done with a batch, by its answer.

import { ACKNOWLEDGED, QUEUED, REFUSED } from './states.js';

/** Every event is settled, or those that the server has named are, and the others stay queued. */
export const SETTLED = 'settled';
/** It is refused whole for some event in it, which is not named: sent apart, the others may be fine. */
export const SUSPECTED = 'suspected';
/** None of it is counted, for a reason that may pass and lies in no event. */
export const POSTPONED = 'postponed';

/** Refusals that are about events, whoever says so: a proxy may find a body too large, too. */
const ABOUT_EVENTS = [400, 413, 422, 507];
/** Refusals that are about events where the server says so by a code, but for these. */
const MAYBE_ABOUT_EVENTS = [403, 404];
const ABOUT_THE_CALLER = ['forbidden', 'not_found', undefined];

const settled = (events, stateOf) => ({ verdict: SETTLED, states: events.map(stateOf) });

export function verdictOf({ status, headers }, text, events) {
  const { error, refused } = parse(text);
  if (Array.isArray(refused)) {
    const indices = new Set(refused.map((one) => one?.index));
    return settled(events, (_, index) => (indices.has(index) ? REFUSED : ACKNOWLEDGED));
  }
  // Whatever else answers on the way does not know these headers.
  if (status === 204 && (headers.has('kimball-epoch') || headers.has('kimball-keep'))) return settled(events, () => ACKNOWLEDGED);

  if (ABOUT_EVENTS.includes(status) && events.length > error?.index) {
    return settled(events, (_, index) => (index === error.index ? REFUSED : QUEUED));
  }
  if (status === 403 && /ensure_goal/.test(error?.what) && events.some((event) => event?.ensure_goal)) {
    return settled(events, (event) => (event?.ensure_goal ? REFUSED : QUEUED));
  }
  const isAboutEvents = ABOUT_EVENTS.includes(status)
    || MAYBE_ABOUT_EVENTS.includes(status) && !ABOUT_THE_CALLER.includes(error?.code);
  return { verdict: isAboutEvents ? SUSPECTED : POSTPONED };
}

/** What is no JSON says nothing. */
function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
