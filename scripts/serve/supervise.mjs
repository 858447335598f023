// Keeps a server running: where workerd ends by itself it is started again, on the same port and the same state.
//
// Nothing acknowledged is lost by that. Where it ends again and again the pauses grow, up to a bound, so that whoever can
// end it (a flood of connections) keeps neither the machine busy nor the server away. Where it does not come up at
// all, this gives up, and whoever started the script may try something else.

import { setTimeout as delay } from 'node:timers/promises';

/** Pauses before the first, second, … start in a row; the last one holds from there on. */
const PAUSES_MS = [0, 100, 200, 400, 800];
/** How long a server must have lived for its end to count as the first in a row. */
const STEADY_MS = 10_000;
/** Starts in a row that fail, after which there are no more. */
const FAILED_STARTS_MAX = 10;

/**
 * Supervises a server that has started. `restart` starts the next one, `report` gets a line about every end.
 * @returns {{ended: Promise<{code, signal}>, stop(signal: string): boolean}} `ended` is the end that `stop` asked for; it
 *   rejects where no further start succeeds. `stop` answers whether there was a server, which is not so between two
 */
export function supervise(first, restart, report, { pausesMs = PAUSES_MS, failedStartsMax = FAILED_STARTS_MAX } = {}) {
  const stopped = new AbortController();
  /** Null between two. */
  let server = first;

  /** The next server; null where it was asked to stop meanwhile. */
  async function startAgain(endsInRow) {
    for (let failed = 0; ;) {
      const nth = Math.min(endsInRow + failed, pausesMs.length - 1);
      await delay(pausesMs[nth]);
      if (stopped.signal.aborted) return null;
      try {
        return await restart();
      } catch (error) {
        failed += 1;
        if (failed >= failedStartsMax) throw new Error(`workerd did not start ${failed} times in a row: ${error.message}`);
      }
    }
  }

  async function run() {
    let endsInRow = 0;
    for (;;) {
      const startedAt = Date.now();
      const { code, signal, reason } = await server.exited;
      if (stopped.signal.aborted) return { code, signal };

      const wasSteady = Date.now() - startedAt > STEADY_MS;
      endsInRow = wasSteady ? 0 : endsInRow + 1;
      report(`workerd ended unexpectedly (${reason}); it is started again`);

      server = null;
      server = await startAgain(endsInRow);
      if (!server) return { code: 0, signal: null };
      // Asked to stop while it started.
      if (stopped.signal.aborted) server.stop(stopped.signal.reason);
      else report('workerd serves again');
    }
  }

  return {
    ended: run(),
    stop(signal) {
      stopped.abort(signal);
      server?.stop(signal);
      return server !== null;
    },
  };
}
