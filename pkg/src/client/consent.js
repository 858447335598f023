// Whether events of this visitor may be kept and sent.

/** What the visitor has chosen. */
export const IN = 'in';
export const OUT = 'out';

/** What the client does about it. */
const COUNTING = 'counting';
const OPTED_OUT = 'opted-out';
const SIGNALLED = 'signalled';
const CLOSED = 'closed';

/**
 * The choice is kept in localStorage, so that all tabs know it at once and nothing need be loaded to read it. Where that is cleared or
 * missing, the page goes on with the choice that it knew. `closed` is the signal that the client is closed.
 */
export function createConsent({ server, ignorePrivacySignals, optedOut }, closed) {
  const name = `kimball-choice:${server}`;
  let choice = optedOut ? OUT : IN;

  function stored() {
    try {
      return localStorage[name];
    } catch {
      return undefined; // Forbidden, or there is none.
    }
  }

  /** Global Privacy Control and Do Not Track. */
  function isRefusedByBrowser() {
    const { globalPrivacyControl, doNotTrack } = globalThis.navigator ?? {};
    return globalPrivacyControl || doNotTrack === '1';
  }

  function state() {
    choice = stored() ?? choice;
    if (closed.aborted) return CLOSED;
    if (choice === OUT) return OPTED_OUT;
    return !ignorePrivacySignals && isRefusedByBrowser() ? SIGNALLED : COUNTING;
  }

  return {
    state,
    isMuted: () => state() !== COUNTING,
    isStored: (wanted) => stored() === wanted,

    choose(wanted) {
      choice = wanted;
      try {
        localStorage[name] = wanted;
      } catch {
        // This page knows it, and the queue keeps it.
      }
    },

    /** The queue has kept that the visitor has opted out. What is in localStorage is newer. */
    learnOut() {
      if (!stored()) choice = OUT;
    },
  };
}
