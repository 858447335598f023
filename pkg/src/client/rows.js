// What the store holds, by the first letter of the key.

/** Events to be sent. */
export const OUT = 'e';
/** Events whose user is not known yet. */
export const HELD = 'h';
/** Of what was passed on already: when, and what traces are made with. */
export const SEEN = 's';
/** What was passed on: all that was until a moment, and what was since. */
export const BASE = 'b';
export const CHANGES = 'c';
/** Events that were passed on and are lost, or refused, by a trace of each: they are news when they come again. */
export const LOST = 'l';
/** Rises when all that was passed on is to be forgotten: what was seen is of one era. */
export const ERA = 'r';
/** The wish not to be counted. */
export const OPTED_OUT = 'o';
/** The epoch that the server has named for these namespaces. */
export const EPOCH = 'n';
/** What the server has said that pages have to keep, and of which day. */
export const KEEP = 'k';

export const rowsOf = (rows, kind) => rows.filter(([key]) => key[0] === kind);

/** The value of a kind that has one row at most. */
export const valueOf = (rows, kind) => rowsOf(rows, kind)[0]?.[1];

/** The keys of rows in the order in which their events were tracked, which the rest of a key tells. */
export function keysInOrder(rows) {
  const keys = rows.map(([key]) => key);
  return keys.sort((a, b) => (a.slice(1) < b.slice(1) ? -1 : 1));
}

export const deletions = (rows) => rows.map(([key]) => [key]);
