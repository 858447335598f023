// What `make demo` and `make load` need of the API: posting batches with retries, and reading a report.

import { setTimeout as delay } from 'node:timers/promises';

const ATTEMPTS_MAX = 8;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 30_000;
const REQUEST_TIMEOUT_MS = 60_000;
// 507 is not among them: what is full stays full.
const RETRIED_STATUSES = [429, 500, 502, 503, 504];
// 503 that an operator has to mend; waiting does not.
const FATAL_CODES = ['configuration_invalid', 'hash_key_changed'];

/** The server's refusal: `status`, and `details`, which is its error object ({ what, code, index?, field?, … }). */
export class Refusal extends Error {
  constructor(status, details) {
    super(details.what);
    this.status = status;
    this.details = details;
  }
}

export class Client {
  /** How many requests had to be repeated so far. */
  retries = 0;
  #answered = false;
  #url;
  #headers;

  constructor(url, token) {
    this.#url = url.replace(/\/+$/, '');
    this.#headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
  }

  /**
   * Sends one batch; safe to repeat, because the server counts a user's first occurrence only.
   * @returns the events that the server refused one by one: [{ index, code, what }]
   * @throws {Refusal} when the server refuses all of it for good
   */
  async postEvents(events) {
    const response = await this.#request('/v0/analytics', { method: 'POST', body: JSON.stringify({ events }) });
    return response.status === 204 ? [] : (await response.json()).refused;
  }

  /**
   * Puts a namespace that has no events yet on a replay clock, or goes on with one that is on it.
   * @returns {Promise<boolean>} false where it has events, or the token may not
   */
  async beginReplay(namespace) {
    try {
      const known = await this.#settings(namespace);
      if (known?.clock === 'replay') return true;
      if (known && known.events > 0) return false;
      await this.#request('/v0/namespaces', { method: 'POST', body: JSON.stringify({ namespace, clock: 'replay' }) });
      return true;
    } catch (error) {
      if (error instanceof Refusal && [401, 403, 409].includes(error.status)) return false;
      throw error;
    }
  }

  /** Ends a replay for good: from now on the namespace is on the clock of the present. */
  async endReplay(namespace) {
    await this.#request('/v0/namespaces', { method: 'POST', body: JSON.stringify({ namespace, clock: 'live' }) });
  }

  /** The settings of a namespace; null where there is none. */
  async #settings(namespace) {
    try {
      return await (await this.#request(`/v0/namespaces?name=${encodeURIComponent(namespace)}`, {})).json();
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return null;
      throw error;
    }
  }

  async report(namespace) {
    const response = await this.#request(`/v0/analytics?namespace=${encodeURIComponent(namespace)}`, {});
    return response.json();
  }

  async #request(path, init) {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#attempt(path, init);
      if (outcome.response) return outcome.response;
      if (attempt === ATTEMPTS_MAX) throw outcome.error;
      this.retries += 1;
      await delay(outcome.retryAfterMs ?? backoffMs(attempt));
    }
  }

  /** A response, or the error and how long to wait before the next attempt; throws what no repetition mends. */
  async #attempt(path, init) {
    let response;
    try {
      response = await fetch(this.#url + path, {
        ...init, headers: this.#headers, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
    } catch (cause) {
      const error = new Error(`no answer from ${this.#url} (${cause.cause?.code ?? cause.cause?.message ?? cause.message})`);
      // A server that has answered may be restarting; one that never has is more likely not there.
      if (!this.#answered) throw error;
      return { error };
    }
    this.#answered = true;
    if (response.ok || await isJudged(response)) return { response };
    const refusal = new Refusal(response.status, await errorDetails(response));
    if (!RETRIED_STATUSES.includes(response.status) || FATAL_CODES.includes(refusal.details.code)) throw refusal;
    return { error: refusal, retryAfterMs: retryAfterMs(response.headers.get('retry-after')) };
  }
}

/** Whether an error says of every event why it was refused: to send them again changes nothing. */
async function isJudged(response) {
  const answer = await response.clone().json().catch(() => null);
  return Array.isArray(answer?.refused);
}

async function errorDetails(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error ?? { what: text };
  } catch {
    return { what: `${response.status} ${response.statusText}` }; // Not ours: a proxy's page, for one.
  }
}

/** Exponential with full jitter, so that several loaders do not come back all at once. */
function backoffMs(attempt) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
}

/** Seconds or a date, as HTTP has it, plus a little jitter; null where there is none. */
function retryAfterMs(header) {
  if (header === null) return null;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return null;
  return Math.min(BACKOFF_MAX_MS, Math.max(0, seconds * 1000)) + Math.random() * BACKOFF_FIRST_MS;
}
