// What a page tells by `track`, in groups: calls one after the other, of one identity, that the queue takes at once.

/** What a call says, as the server wants it, but for the user. Times are cut to days: no more leaves the browser. */
export function eventOf(name, { value, ensureGoal, namespace, at = Date.now() }) {
  if (typeof name !== 'string' || !isFinite(value ?? 0)) throw 'event or value of the wrong type';
  const day = new Date(at).toISOString().slice(0, 10);
  return { event_name: name, namespace, value, ensure_goal: ensureGoal, datetime: `${day}T00:00:00Z` };
}

/** Adds an event to a group unless it repeats one of it, whatever its value is. Copies it, for it may hold what is the page's. */
export function add({ events }, event) {
  const key = JSON.stringify({ ...event, value: 0 });
  if (!events.has(key)) events.set(key, JSON.parse(JSON.stringify(event)));
}

/** The events of a group, with the user whose they are. */
export function eventsOf({ events, identity }) {
  return [...events.values()].map((event) => ({ ...event, user_id: identity.id }));
}
