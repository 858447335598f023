// A page that goes sends what it may no longer be able to store, and so does one whose storage fails; and an event may be lost, or refused.
// The page says so at once, by a number that is stored with what was passed on, too: where the two differ, what is stored does not know
// in which order all that counts was sent.

export function createDepartures(server) {
  const name = `kimball-left:${server}`;
  return {
    /** The number of the latest departure. */
    latest() {
      try {
        return localStorage[name];
      } catch {
        return undefined; // Then nothing outlives a page, or this is none.
      }
    },

    /** Before the page goes, apart from all else that it does then: Firefox drops the beacons of a tab that is closed, unless it has written something first. */
    touch() {
      try {
        localStorage[`${name} `] = Math.random();
      } catch {
        // Likewise.
      }
    },

    note() {
      try {
        localStorage[name] = Math.random();
      } catch {
        // Likewise.
      }
    },
  };
}
