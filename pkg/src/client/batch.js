// What goes into one request.

import { BODY_BYTES_MAX, ENVELOPE_BYTES } from './limits.js';

/** The first of these rows ([key, event]), as many as one request takes beside what is in flight: one at least. */
export function batchOf(rows, eventsMax, kept, flying = 0) {
  const taken = [];
  const texts = [];
  let bytes = ENVELOPE_BYTES;
  for (const row of rows) {
    const text = JSON.stringify(row[1]);
    const longer = bytes + new Blob([text]).size + 1;
    const most = longer + flying > BODY_BYTES_MAX ? 1 : eventsMax;
    if (texts.length >= most) break;
    bytes = longer;
    taken.push(row);
    texts.push(text);
  }
  return { rows: taken, bytes, body: `{"kept":"${kept}","events":[${texts}]}` };
}
