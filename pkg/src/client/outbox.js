// What is behind the shell for whoever may be counted: the queue, and its delivery.

import { createDelivery } from './delivery.js';
import { createPresence } from './presence.js';
import { openQueue } from './queue.js';

export async function openOutbox(options, { consent, departures, report }) {
  const presence = createPresence();
  const queue = await openQueue(options, { consent, departures, presence, report });
  const delivery = createDelivery(options, queue, presence, report);

  /** Stores what is admitted, and what was held if a user is given. A page that goes has sent it all. */
  async function store(userId) {
    try {
      delivery.soon(await queue.store(userId));
    } catch (error) {
      if (!presence.isGone()) throw error;
    }
  }

  async function goOn() {
    delivery.soon((await queue.next()).length);
  }

  if (consent.isMuted()) await queue.forget();
  else await goOn();

  return {
    load: queue.load,
    flush: delivery.flush,
    forget: queue.forget,

    take(events) {
      queue.admit(events);
      return store();
    },

    /** What was held while nobody was known is this user's. */
    async claim(userId) {
      await queue.load();
      return store(userId);
    },

    /** The page may be gone in a moment: nothing here waits for anything. */
    leave(events) {
      queue.admit(events);
      delivery.leave(queue.leave());
      presence.leave();
    },

    /** The page is shown again. */
    async back() {
      if (!presence.isGone()) return;
      presence.back();
      await store();
      await goOn();
    },

    async close() {
      delivery.stop();
      queue.close();
    },
  };
}
