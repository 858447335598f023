// A small HTTP client over node:http: it sends exactly the path, headers and bytes that a test gives (fetch would
// normalise paths and add headers), and it reports an answer that comes before the body is sent.

import http from 'node:http';

const REQUEST_DEADLINE_MS = 30_000;
// Below workerd's own idle limit, so that no request is sent on a connection that the server is about to close.
const IDLE_MS = 2_000;

/** Requests whose errors have more beside them. */
const SENDER = /^POST \/(v1|batch|capture|e|i)\b/;

export class Client {
  #agent = new http.Agent({ keepAlive: true, maxSockets: 64, timeout: IDLE_MS });
  #watched = new WeakSet();

  /** `token`, where given, goes with every request that does not set its own `authorization`. */
  constructor(url, token) {
    this.url = new URL(url);
    this.token = token;
  }

  /**
   * Sends one request. `body`: a string or bytes as they are; `json`: a value to encode, with its content type.
   * `chunked` leaves Content-Length out; `declared` is a Content-Length of a body that is never sent.
   * `onSent` is called when the last byte of the request is with the kernel.
   */
  request(method, path, { headers = {}, body, json, chunked = false, declared, onSent, deadlineMs = REQUEST_DEADLINE_MS } = {}) {
    const bytes = json === undefined ? body : JSON.stringify(json);
    const all = { ...headers };
    if (json !== undefined && all['content-type'] === undefined) all['content-type'] = 'application/json';
    if (this.token !== undefined && all.authorization === undefined) all.authorization = `Bearer ${this.token}`;
    for (const name of Object.keys(all)) if (all[name] === null) delete all[name];
    if (bytes !== undefined && !chunked) all['content-length'] = Buffer.byteLength(bytes);
    if (bytes !== undefined && chunked) all['transfer-encoding'] = 'chunked';
    if (declared !== undefined) all['content-length'] = declared;

    return new Promise((resolve, reject) => {
      const request = http.request({
        host: this.url.hostname, port: this.url.port, method, path, headers: all, agent: this.#agent,
      });
      let answered = false;
      const timer = setTimeout(() => {
        request.destroy(new Error(`no answer within ${deadlineMs} ms: ${method} ${path}`));
      }, deadlineMs);
      const end = (settle, value) => { clearTimeout(timer); settle(value); };
      request.on('response', (response) => {
        answered = true;
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', (error) => end(reject, error));
        response.on('end', () => {
          if (declared !== undefined) request.destroy();
          end(resolve, new Answer(method, path, response, Buffer.concat(chunks)));
        });
      });
      // A server that refuses a body early may close while the rest is being sent; its answer is what counts.
      request.on('error', (error) => { if (!answered) end(reject, error); });
      request.on('socket', (socket) => this.#watch(socket));
      if (onSent) request.on('finish', onSent);
      if (declared === undefined) request.end(bytes);
      else request.flushHeaders();
    });
  }

  /** The rest of a refused body may still fail to be written when its request is over. */
  #watch(socket) {
    if (this.#watched.has(socket)) return;
    this.#watched.add(socket);
    socket.on('error', () => {});
  }

  get(path, options) { return this.request('GET', path, options); }

  post(path, json, options) { return this.request('POST', path, { ...options, json }); }

  /** GET /v0/analytics of a namespace, which must succeed. */
  async analytics(namespace, options) {
    return (await this.get(`/v0/analytics${query({ namespace })}`, options)).expect(200).json();
  }

  /** POST /v0/analytics, which must be acknowledged. */
  async ingest(body, options) {
    return (await this.post('/v0/analytics', body, options)).expect(204);
  }

  /** POST /v0/goals, which must be acknowledged. */
  async goal(goal_name, namespace, options) {
    return (await this.post('/v0/goals', { goal_name, namespace }, options)).expect(204);
  }

  close() { this.#agent.destroy(); }
}

class Answer {
  constructor(method, path, response, bytes) {
    this.request = `${method} ${path}`;
    this.status = response.statusCode;
    this.headers = response.headers;
    this.bytes = bytes;
    this.text = bytes.toString('utf8');
  }

  json() {
    try {
      return JSON.parse(this.text);
    } catch {
      throw new Error(`${this.request}: not JSON: ${this.status} ${this.text.slice(0, 300)}`);
    }
  }

  /** The answer itself if it has this status; otherwise an error that shows the answer. */
  expect(status) {
    if (this.status !== status) {
      const shown = this.request.length > 120 ? `${this.request.slice(0, 120)}…` : this.request;
      throw new Error(`${shown}: expected ${status}, got ${this.status} ${this.text.slice(0, 400)}`);
    }
    return this;
  }

  /** The `error` object of a refusal with this status and code; its shape is checked here, for every test. */
  refused(status, code) {
    this.expect(status);
    const body = this.json();
    const error = body?.error;
    // What SDKs of others send is answered in their words as well.
    const isAlone = Object.keys(body).length === 1 || SENDER.test(this.request);
    const shaped = isAlone && error !== null && typeof error === 'object'
      && typeof error.what === 'string' && error.what.length > 0 && typeof error.code === 'string'
      && /^application\/json\b/.test(this.headers['content-type'] ?? '');
    if (!shaped) throw new Error(`${this.request}: not the shape of an error: ${this.text.slice(0, 400)}`);
    const codes = [code].flat();
    if (code !== undefined && !codes.includes(error.code)) {
      throw new Error(`${this.request}: expected code ${codes.join(' or ')}, got ${this.text.slice(0, 400)}`);
    }
    return error;
  }
}

/** `?a=b&c=d` of the entries that are not undefined, percent-encoded; '' without any. */
export function query(entries) {
  const parts = Object.entries(entries)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
