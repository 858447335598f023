// What a page tells by `track`, in groups: calls one after the other, of one identity, that the queue takes at once.

import { wellFormed } from './text.js';

/** What a call says, as the server wants it, but for the user. Times are cut to days: no more leaves the browser. */
export function eventOf(name, more, standard) {
  const { value, ensureGoal, namespace, at } = more ?? {};
  if (typeof name !== 'string' || !Number.isFinite(value ?? 0)) throw 'event or value of the wrong type';
  const place = namespace ?? standard;
  const day = new Date(at ?? Date.now()).toISOString().slice(0, 10);
  return {
    event_name: wellFormed(name),
    namespace: typeof place === 'string' ? wellFormed(place) : place,
    value: value ?? undefined,
    ensure_goal: ensureGoal ?? undefined,
    datetime: `${day}T00:00:00Z`,
  };
}

/** Adds an event to a group unless it repeats the one just before it, whatever its value is. Copies it, for it may hold what is the page's. */
export function add(group, event) {
  const text = JSON.stringify({ ...event, value: 0 });
  if (text !== group.latest) group.events.push(JSON.parse(JSON.stringify(event)));
  group.latest = text;
}

/** The events of a group, with the user whose they are, and each with an id that it keeps. */
export function eventsOf({ events, identity }) {
  return events.map((event) => ({ ...event, user_id: identity.id, id: newId() }));
}

/** 8 random bytes in base64url. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return btoa(String.fromCharCode(...bytes)).slice(0, 11).replace(/\+/g, '-').replace(/\//g, '_');
}
