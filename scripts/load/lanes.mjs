// Sends events in batches without ever changing the order of one user's events, on which goals depend.
//
// Each lane has one batch on its way at a time, and a user's events all take the same lane.

import { BadRow } from './csv.mjs';
import { Refusal } from '../lib/client.mjs';

/** What a server takes, unless it was told otherwise: NAMESPACES_PER_BATCH_MAX. */
const NAMESPACES_MAX = 100;

class Lane {
  events = [];
  namespaces = new Set();
  lines = [];
  sending = Promise.resolve();
  failure = null;
}

export class Lanes {
  rows = 0;
  batches = 0;
  /** Rows that the server refused one by one, and the first of them: { line, code, what }. */
  refused = 0;
  firstRefused = null;
  #client;
  #batchEvents;
  #lanes;

  constructor(client, { batchEvents, concurrency }) {
    this.#client = client;
    this.#batchEvents = batchEvents;
    this.#lanes = Array.from({ length: concurrency }, () => new Lane());
  }

  /** @throws {BadRow} when a batch was refused; everything before that line has been sent */
  async add({ line, event }) {
    const lane = this.#laneOf(event);
    if (lane.namespaces.size === NAMESPACES_MAX && !lane.namespaces.has(event.namespace)) await this.#dispatch(lane);
    lane.namespaces.add(event.namespace);
    lane.events.push(event);
    lane.lines.push(line);
    if (lane.events.length < this.#batchEvents) return;
    await this.#dispatch(lane);
    if (lane.failure) await this.flush();
  }

  /** Sends what has not been sent and waits for all of it. */
  async flush() {
    await Promise.all(this.#lanes.map(async (lane) => {
      await this.#dispatch(lane);
      await lane.sending;
    }));
    const failures = this.#lanes.flatMap(({ failure }) => failure ?? []);
    if (failures.length > 0) throw failures.reduce((first, other) => (other.line < first.line ? other : first));
  }

  #laneOf({ namespace, user_id: user }) {
    let hash = 0;
    for (const char of `${namespace}\0${user}`) hash = (Math.imul(hash, 31) + char.codePointAt(0)) >>> 0;
    return this.#lanes[hash % this.#lanes.length];
  }

  /** Starts the lane's next batch once the one before it has arrived. */
  async #dispatch(lane) {
    const { events, lines } = lane;
    lane.events = [];
    lane.namespaces = new Set();
    lane.lines = [];
    await lane.sending;
    if (lane.failure || events.length === 0) return;
    lane.sending = this.#send(events, lines).catch((failure) => { lane.failure = failure; });
  }

  async #send(events, lines) {
    let refused;
    try {
      refused = await this.#client.postEvents(events);
    } catch (error) {
      throw await this.#failure(error, events, lines);
    }
    this.rows += events.length - refused.length;
    this.refused += refused.length;
    for (const { index, code, what } of refused.slice(0, 1)) {
      const line = lines[index];
      if (this.firstRefused === null || line < this.firstRefused.line) this.firstRefused = { line, code, what };
    }
    this.batches += 1;
  }

  /** The line that stopped a batch. The server refuses a batch whole, so the rows before that line go again. */
  async #failure(error, events, lines) {
    if (!(error instanceof Refusal)) return new BadRow(lines[0], error.message);
    const { what, code, index, limit, value } = error.details;
    const reason = `${what} (${[error.status, code, limit && `${limit} = ${value}`].filter(Boolean).join(', ')})`;
    if (!(index in lines)) return new BadRow(lines[0], `the server refused the batch from here to line ${lines.at(-1)}: ${reason}`);
    if (index > 0) await this.#send(events.slice(0, index), lines.slice(0, index));
    return new BadRow(lines[index], `the server refused it: ${reason}`);
  }
}
