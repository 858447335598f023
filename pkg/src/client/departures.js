// A page that goes sends what it may no longer be able to store, and so does one whose storage fails. It says so at once, by a number that
// is stored with what was passed on, too: where the two differ, what is stored does not know all that was sent.

export function createDepartures(url) {
  const name = `kimball-left:${url}`;
  return {
    /** The number of the latest departure. */
    latest() {
      try {
        return localStorage[name];
      } catch {
        return undefined; // Then nothing outlives a page, or this is none.
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
