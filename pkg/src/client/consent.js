// Whether events of this visitor may be kept and sent.

/** What the visitor has chosen, here or in another tab. */
const IN = 'in';
const OUT = 'out';

/** `closed` is the signal that the client is closed: nothing is kept or sent from then on. */
export function createConsent({ ignorePrivacySignals }, closed) {
  let choice = IN;

  /** Global Privacy Control and Do Not Track. */
  function isRefusedByBrowser() {
    const { globalPrivacyControl, doNotTrack } = globalThis.navigator ?? {};
    return globalPrivacyControl || doNotTrack === '1';
  }

  return {
    optOut() {
      choice = OUT;
    },

    optIn() {
      choice = IN;
    },

    isMuted() {
      if (choice === OUT || closed.aborted) return true;
      return !ignorePrivacySignals && isRefusedByBrowser();
    },
  };
}
