// kimball-edge doctor: looks at a running server from outside, as its clients see it, and says what to mend.
//
// It only reads. Every finding is a line: `ok`, `advice` for what works and could be better, `mend` for what does not.

import { serverOptions } from './server-options.mjs';

export const command = 'doctor';
export const describe = 'Check a running server: reach, proxy, tokens, time, storage, limits; say what to mend';

const DEADLINE_MS = 15_000;
const CLOCK_S_MAX = 5;
const NEARLY_FULL = 0.8;
const NAMESPACES_LOADED_MAX = 20;

export const builder = (yargs) => serverOptions(yargs)
  .option('origin', { type: 'string', requiresArg: true, describe: 'a page\'s origin, https://shop.example: may it call?' })
  .epilogue('Ends with status 1 where something is to be mended. A read token lets it look at storage and limits, of '
    + `${NAMESPACES_LOADED_MAX} namespaces at most, whose shards it wakes.`)
  .example('$0 doctor --url https://kimball.example --origin https://shop.example', 'with a token in TOKEN');

export async function handler({ url, token, origin }) {
  const report = new Report();
  await new Examination(url, token, report).run(origin);
  console.log(report.summary());
  process.exitCode = report.count('mend') > 0 ? 1 : 0;
}

class Report {
  #kinds = [];

  add(kind, text) {
    this.#kinds.push(kind);
    console.log(`${kind.padEnd(7)} ${text}`);
  }

  ok(text) { this.add('ok', text); }
  advice(text) { this.add('advice', text); }
  mend(text) { this.add('mend', text); }
  count(kind) { return this.#kinds.filter((other) => other === kind).length; }

  summary() {
    const [mend, advice] = [this.count('mend'), this.count('advice')];
    if (mend + advice === 0) return '\nNothing to mend.';
    return `\n${mend} to mend, ${advice} to think about.`;
  }
}

class Examination {
  #base;
  #headers;
  #hasToken;
  #report;

  constructor(url, token, report) {
    this.#base = url.replace(/\/+$/, '');
    this.#hasToken = token !== '';
    this.#headers = token === '' ? {} : { authorization: `Bearer ${token}` };
    this.#report = report;
  }

  async run(origin) {
    const health = await this.#reach();
    if (!health) return;
    const access = await this.#access();
    await this.#proxy(access);
    if (origin !== undefined) await this.#origin(origin);
    if (access?.scopes.includes('read')) await this.#inside();
    else if (access) this.#report.advice('without a read token neither storage nor limits can be looked at; give one as TOKEN');
  }

  async #ask(path, init = {}) {
    const response = await fetch(this.#base + path, {
      redirect: 'manual', ...init, headers: { ...this.#headers, ...init.headers }, signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const text = await response.text();
    let body;
    try {
      body = JSON.parse(text);
    } catch {
      body = undefined;
    }
    return { status: response.status, headers: response.headers, body, text };
  }

  /** Whether it is there, whether it is ours, and how it is. */
  async #reach() {
    const report = this.#report;
    let answer;
    try {
      answer = await this.#ask('/healthz');
    } catch (error) {
      report.mend(`${this.#base} does not answer (${error.cause?.code ?? error.cause?.message ?? error.message}): is it running, and is a firewall or another port in between?`);
      return null;
    }
    const { status, headers, body } = answer;
    if (body?.error?.code === 'host_not_allowed') {
      report.mend(`${this.#base}: ${body.error.what}`);
      return null;
    }
    if (typeof body?.status !== 'string' && body?.error === undefined) {
      const to = headers.get('location');
      report.mend(`${this.#base}/healthz is answered by something else (status ${status}${to ? `, to ${to}` : ''}): does the proxy lead this path to the server?`);
      return null;
    }
    if (body.error) report.mend(`it does not serve: ${body.error.what} (${body.error.code})`);
    else report.ok(`${this.#base} serves version ${body.version}`);
    if (body.unreadable_shards > 0) {
      report.mend(`${body.unreadable_shards} shards cannot be read; the log says which and why. Restore them from a backup, or see ACCEPT_OLDER_STATE`);
    }
    this.#time(headers.get('date'));
    return body.error ? null : body;
  }

  /** Answers of a proxy and of Cloudflare have a date; the server's own have none. */
  #time(date) {
    if (date === null) return;
    const aheadS = Math.round((Date.parse(date) - Date.now()) / 1_000);
    if (Math.abs(aheadS) <= CLOCK_S_MAX) this.#report.ok('its clock and this one agree');
    else this.#report.mend(`its clock is ${Math.abs(aheadS)} s ${aheadS > 0 ? 'ahead of' : 'behind'} this one: set both by NTP, for days begin and close by the server's`);
  }

  async #access() {
    const report = this.#report;
    const { status, body } = await this.#ask('/v0/access');
    if (!Array.isArray(body?.scopes)) {
      report.mend(`/v0/access is answered with status ${status} and not by the server: the proxy must lead all of /v0 to it`);
      return null;
    }
    const isLocal = /^(localhost|127\.|\[::1\])/.test(new URL(this.#base).host);
    if (!body.authentication && isLocal) report.advice('authentication is off: set API_TOKENS before anybody else can reach it');
    if (!body.authentication && !isLocal) report.mend('authentication is off, and this is not this machine: anyone may read, write and delete. Set API_TOKENS');
    if (body.authentication && this.#hasToken && body.scopes.length === 0) {
      report.mend('the server does not know this token, or a proxy drops the header Authorization');
      return null;
    }
    if (body.authentication) report.ok(this.#hasToken ? `this token may: ${body.scopes.join(', ')}` : 'tokens are asked for');
    if (!isLocal && this.#base.startsWith('http:')) report.mend('it is reached by http: tokens and user ids go over the network in the clear. Put TLS in front');
    return body;
  }

  /** What proxies change on the way. */
  async #proxy(access) {
    const report = this.#report;
    if (access?.scopes.includes('read')) {
      const { body } = await this.#ask('/v0/namespaces/a%2Fb');
      if (body?.error?.code === 'not_found') {
        report.mend('the proxy decodes %2F in paths: names with a slash cannot be asked for or deleted. With nginx, proxy_pass must have no path (README, "Behind a path")');
      } else {
        report.ok('names with a slash pass through');
      }
    }
    const { headers } = await this.#ask('/v0/access');
    const etag = headers.get('etag');
    if (etag === null) {
      report.advice('answers come without their ETag: every read of the dashboard then carries the whole answer');
    } else if ((await this.#ask('/v0/access', { headers: { 'if-none-match': etag } })).status !== 304) {
      report.advice('a repeated ETag is not answered with 304: a proxy drops If-None-Match');
    }
  }

  async #origin(origin) {
    const headers = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,authorization' };
    const answer = await this.#ask('/v0/analytics', { method: 'OPTIONS', headers });
    const allowed = answer.headers.get('access-control-allow-origin');
    if (allowed === origin || allowed === '*') this.#report.ok(`pages of ${origin} may call`);
    else this.#report.mend(`pages of ${origin} may not call: add it to ALLOWED_ORIGINS`);
  }

  /** Storage and limits, as the server tells them. */
  async #inside() {
    const report = this.#report;
    const listed = await this.#ask('/v0/namespaces');
    const names = listed.body?.namespaces ?? [];
    const looked = names.slice(0, NAMESPACES_LOADED_MAX);
    let service = null;
    for (const name of looked.length > 0 ? looked : ['default']) {
      const { status, body } = await this.#ask(`/v0/status?namespace=${encodeURIComponent(name)}`);
      if (status !== 200) {
        report.mend(`the status of ${JSON.stringify(name)} is answered with ${status}: ${body?.error?.what ?? 'not by the server'}`);
        continue;
      }
      service = body;
      this.#namespace(body);
    }
    if (names.length > looked.length) report.advice(`${names.length - looked.length} further namespaces were not looked at`);
    if (service) this.#service(service);
  }

  #namespace({ namespace }) {
    const name = JSON.stringify(namespace.name);
    this.#usage(`event names of ${name}`, namespace.events, 'EVENTS_PER_NAMESPACE_MAX');
    for (const shard of namespace.shards) {
      const label = `shard ${shard.index} of ${name}`;
      if (!shard.reachable) this.#report.mend(`${label}: ${shard.what}`);
      else this.#usage(`bytes of memory of ${label}`, { count: shard.memory_bytes, limit: shard.memory_limit_bytes }, 'SHARD_MEMORY_BYTES_MAX');
    }
  }

  #service({ started, configuration, namespaces, flags, events }) {
    const report = this.#report;
    this.#usage('namespaces', namespaces, 'NAMESPACES_MAX');
    this.#usage('flags', flags, 'FLAGS_MAX');
    if (Date.parse(started) > Date.now() + CLOCK_S_MAX * 1_000) report.mend(`it says that it was started at ${started}, which is to come here: one of the clocks is wrong`);
    if (configuration.hash_key === 'generated') {
      report.advice('HASH_KEY is not set: the key lies beside the data, and who has a backup has both. Set it before there is data to keep');
    }
    const refused = Object.entries(events.refused).filter(([, count]) => count > 0).map(([code, count]) => `${count} ${code}`);
    if (refused.length > 0) report.advice(`it has refused since its start: ${refused.join(', ')}`);
  }

  #usage(what, { count, limit }, variable) {
    if (!(limit > 0) || count / limit < NEARLY_FULL) return;
    const share = `${Math.round((100 * count) / limit)} %`;
    const text = `${what}: ${count} of ${limit} (${share} of ${variable})`;
    if (count >= limit) this.#report.mend(`${text}: what is new is refused; raise it or delete what nobody needs`);
    else this.#report.advice(text);
  }
}
