// What the server has done with a batch, by its answer.

/** All of it is counted. */
export const TAKEN = 0;
/** Some of its events are refused one by one, all others are counted. */
export const TAKEN_IN_PART = 1;
/** It is refused whole, for some event in it: sent apart, the others may be fine. */
export const REFUSED = 2;
/** None of it is counted, for a reason that may pass. */
export const POSTPONED = 3;

export function verdictOf({ status, ok }, text) {
  if ([400, 413, 507].includes(status)) return REFUSED;
  if (/refused":\[/.test(text)) return TAKEN_IN_PART;
  return ok ? TAKEN : POSTPONED;
}
