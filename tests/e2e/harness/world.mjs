// A server with tokens, a proxy in front of it that sees and can break every request, and a page of another origin with
// the package's files.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';

import { ROOT, serve } from '../../http/harness/server.mjs';
import { browse } from '../../pkg/harness/page.mjs';

export const TOKENS = { ingest: 'may-send', admin: 'may-all' };
const DEADLINE_MS = 20_000;
const POLL_MS = 20;

/** Waits until `check` answers something true. */
export async function until(what, check) {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
  }
}

async function listen(scope, handler) {
  const server = http.createServer(handler);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  scope.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}

const TYPES = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };

export async function createWorld(scope) {
  const server = await serve(scope, {
    env: {
      API_AUTH: '',
      API_TOKENS: TOKENS.admin,
      INGEST_TOKENS: TOKENS.ingest,
      INGEST_MAY_ADD_GOALS: 'true',
      ALLOWED_ORIGINS: '*',
      // A namespace a test.
      NEW_NAMESPACES_PER_DAY_MAX: '1000',
    },
  });
  const browser = await browse(scope);
  const posts = []; // what reached the proxy: { at, status, events, kept, body, isPlain }
  const state = { answer: null, policy: null, hold: null, keep: null, preflightMs: 0 };

  /** `state.answer(post)` may answer in the server's place with { status, headers, body }, or cut the connection with 'cut'; it may be late. Answers say that pages have to keep `state.keep`, if it is set; those to preflights come after `state.preflightMs`. */
  const proxy = await listen(scope, async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const isPost = request.method === 'POST';
    if (request.method === 'OPTIONS' && state.preflightMs) await new Promise((resolve) => { setTimeout(resolve, state.preflightMs); });
    const isPlain = request.headers['content-type']?.startsWith('text/plain') === true;
    const json = isPlain ? body.toString().split('\n')[1] : body;
    const { events, kept } = isPost ? JSON.parse(json) : { events: [] };
    const post = { at: Date.now(), body: body.toString(), events, kept, isPlain };
    const cors = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'retry-after, kimball-keep, kimball-epoch' };
    const answered = isPost || request.method === 'GET' ? state.answer?.(post, request) : null;
    if (isPost) posts.push(post);
    const instead = await answered;
    if (instead && instead !== 'cut') {
      post.status = instead.status;
      response.writeHead(instead.status, { ...cors, ...instead.headers }).end(instead.body);
      return;
    }
    const headers = { ...request.headers, host: server.url.host };
    const upstream = http.request(new URL(request.url, server.url), { method: request.method, headers }, (answer) => {
      post.status = answer.statusCode;
      if (instead === 'cut') {
        answer.resume();
        request.socket.destroy();
        return;
      }
      const keep = state.keep && { 'kimball-keep': `${state.keep}; day=${new Date().toISOString().slice(0, 10)}` };
      response.writeHead(answer.statusCode, { ...answer.headers, ...keep });
      answer.pipe(response);
    });
    upstream.on('error', () => request.socket.destroy());
    upstream.end(body);
  });

  const origin = await listen(scope, async (request, response) => {
    const { pathname } = new URL(request.url, 'http://page');
    if (pathname.startsWith('/dist/')) {
      if (state.hold && !pathname.endsWith('/index.js')) await state.hold;
      response.writeHead(200, { 'content-type': TYPES[pathname.split('.').pop()], 'access-control-allow-origin': '*' });
      response.end(readFileSync(join(ROOT, 'pkg', pathname)));
    } else if (pathname.endsWith('.js')) {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(state.scripts?.[pathname] ?? '');
    } else {
      const policy = state.policy && { 'content-security-policy': state.policy };
      response.writeHead(200, { 'content-type': 'text/html', ...policy }).end('<!doctype html><title>page</title>');
    }
  });

  const authorized = { headers: { authorization: `Bearer ${TOKENS.admin}` } };
  return {
    server,
    state,
    posts,
    proxy,
    origin,
    /** Events that the server has acknowledged. */
    sent: () => posts.filter(({ status }) => status === 204).flatMap(({ events }) => events),
    /** A browser of its own, with nothing stored; `init` runs before every page. */
    async context(test, init) {
      posts.length = 0;
      Object.assign(state, { answer: null, policy: null, hold: null, scripts: null, keep: null, preflightMs: 0 });
      const context = await browser.newContext();
      if (init) await context.addInitScript(init);
      test.after(() => context.close());
      return context;
    },
    /** A page with a client in `client` and what it has reported in `errors`. */
    async page(context, namespace, options = {}) {
      const page = await context.newPage();
      await page.goto(`${origin}/`);
      await start(page, proxy, namespace, options);
      return page;
    },
    restart: (page, namespace, options = {}) => page.reload().then(() => start(page, proxy, namespace, options)),
    /** Unique users per event, of the server. */
    async counts(namespace) {
      const { counts } = await server.analytics(namespace, authorized);
      return Object.fromEntries(counts.map(({ name, count }) => [name, count]));
    },
    /** Deletes what this path names. */
    remove: async (path) => (await server.request('DELETE', path, authorized)).expect(204),
    /** Another server, as it is set up by default: its ingest tokens may not make goals. */
    strict: () => serve(scope, { env: { API_AUTH: '', API_TOKENS: TOKENS.admin, INGEST_TOKENS: TOKENS.ingest, ALLOWED_ORIGINS: '*' } }),
    analytics: (namespace) => server.analytics(namespace, authorized),
    authorized,
  };
}

const start = (page, url, namespace, options) => page.evaluate(async ([settings]) => {
  const { KimballClient } = await import('/dist/index.js');
  globalThis.errors = [];
  globalThis.client = new KimballClient({ ...settings, onError: (error) => globalThis.errors.push([error.code, error.count, error.message]) });
}, [{ url, token: TOKENS.ingest, namespace, batchMs: 50, ...options }]);

/** Codes of what a client has reported. */
export const codes = (page) => page.evaluate(() => globalThis.errors.map(([code]) => code));

/** Tracks events of a user and waits until they are queued: what equals the one just before it is left out. */
export const track = (page, names, user = 'ann') => page.evaluate(async ([events, id]) => {
  globalThis.client.identify(id);
  for (const event of events) globalThis.client.track(event);
  await globalThis.client.track(events.at(-1));
}, [names, user]);
/** Puts rows into the client's table, each a value and its key; `isCleared` takes what was there away first. */
export const storeRows = (page, rows, { isCleared = false } = {}) => page.evaluate(async ([added, clears]) => {
  const [{ name }] = await indexedDB.databases();
  const open = indexedDB.open(name);
  await new Promise((resolve) => { open.onsuccess = resolve; });
  const transaction = open.result.transaction(name, 'readwrite');
  const table = transaction.objectStore(name);
  if (clears) table.clear();
  for (const [value, key] of added) table.put(value, key);
  await new Promise((resolve) => { transaction.oncomplete = resolve; });
  open.result.close();
}, [rows, isCleared]);

export const flush = (page) => page.evaluate(() => globalThis.client.flush());
export const ones = (names) => Object.fromEntries(names.map((name) => [name, 1]));
