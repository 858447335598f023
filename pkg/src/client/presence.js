// Whether the page is there. One that its browser keeps to go back to, or has frozen, stands still, and must hold nothing that others wait
// for: what it would still be given it would keep for good.

export function createPresence() {
  let leaving = new AbortController();
  return {
    isGone: () => leaving.signal.aborted,

    /** The signal that the page goes. */
    going: () => leaving.signal,

    leave() {
      leaving.abort();
    },

    back() {
      if (leaving.signal.aborted) leaving = new AbortController();
    },
  };
}
