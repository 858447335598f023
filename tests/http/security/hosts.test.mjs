// Whom a server without authentication answers: requests to local names, to addresses, and to the names that it was told. A page
// that has its own name lead to the server (DNS rebinding) gets nothing, and changes nothing.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { did } from '../harness/limits.mjs';
import { exchange } from '../harness/raw.mjs';
import { serve } from '../harness/server.mjs';

const server = await serve({ after });
const ask = (host, { method = 'GET', path = '/v0/analytics', on = server, headers = {}, ...rest } = {}) => on.request(method, path, { headers: { host, ...headers }, ...rest });

const port = () => server.url.port;
const LOCAL = () => ['localhost', `localhost:${port()}`, 'LocalHost:1', 'localhost.', `kimball.localhost:${port()}`, 'a.b.LOCALHOST.', '127.0.0.1', `127.0.0.1:${port()}`,
  '127.8.9.10', '[::1]', `[::1]:${port()}`, '[0:0:0:0:0:0:0:1]', '192.168.1.20:8787', '10.0.0.1', '[fd00::1]:8787'];
const FOREIGN = () => ['evil.example', `evil.example:${port()}`, 'EVIL.example', 'localhost.evil.example', `127.0.0.1.evil.example:${port()}`, 'evil-localhost', 'localhost.localdomain',
  '127-0-0-1.evil.example', 'kimball', 'xn--lcalhost-n4a', 'localhost_', 'evil.example.', `a.evil.example:${port()}`];
const PATHS = ['/', '/dashboard/x.js', '/sdk/index.js', '/sdk/aggregator.wasm', '/api-docs/index.html', '/api-docs/openapi.json', '/alive', '/ready', '/healthz', '/metrics',
  '/v0/access', '/v0/analytics', '/v0/analytics/', '/v0/namespaces', '/v0/status', '/v0/featureSpecs', '/v0/features', '/nowhere'];

test('local names and addresses are answered', async () => {
  for (const host of LOCAL()) {
    (await ask(host)).expect(200);
    (await ask(host, { path: '/alive' })).expect(200);
  }
});

test('any other name is refused, whatever is asked', async () => {
  for (const host of FOREIGN()) {
    const { what } = (await ask(host)).refused(421, 'host_not_allowed');
    assert.match(what, /ALLOWED_HOSTS/);
    assert.ok(!/evil/i.test(what), 'nothing that was sent is repeated');
  }
  for (const path of PATHS) {
    (await ask('evil.example', { path })).refused(421, 'host_not_allowed');
    const head = (await ask('evil.example', { path, method: 'HEAD' })).expect(421);
    assert.equal(head.bytes.length, 0);
    for (const method of ['OPTIONS', 'POST', 'PUT', 'DELETE']) (await ask('evil.example', { path, method })).refused(421, 'host_not_allowed');
  }
  // What proxies say of another host is no proof of it.
  for (const name of ['x-forwarded-host', 'forwarded', 'x-host', 'x-original-host', 'origin']) {
    (await ask('evil.example', { headers: { [name]: name === 'forwarded' ? 'host=localhost' : 'localhost' } })).refused(421, 'host_not_allowed');
    (await ask('localhost', { headers: { [name]: name === 'forwarded' ? 'host=evil.example' : 'evil.example' } })).expect(200);
  }
});

test('a refused write changes nothing, and its body is not even read', async () => {
  const namespace = 'rebound';
  (await ask('evil.example', { method: 'POST', json: did('A', 'u', { namespace }) })).refused(421, 'host_not_allowed');
  (await ask('evil.example', { method: 'POST', path: '/v0/goals', json: { goal_name: 'G', namespace } })).refused(421, 'host_not_allowed');
  (await ask('evil.example', { method: 'POST', path: '/v0/featureSpecs', json: { name: 'f', boolean: true } })).refused(421, 'host_not_allowed');
  (await ask('evil.example', { method: 'POST', body: 'not JSON', headers: { 'content-type': 'text/plain' } })).refused(421, 'host_not_allowed');
  (await ask('evil.example', { path: '/v0/analytics?namespace=%ff' })).refused(421, 'host_not_allowed');
  const feature = Buffer.from('{"feature":"A","namespace":"rebound"}').toString('base64');
  const user = Buffer.from('{"user_id":"u"}').toString('base64');
  (await ask('evil.example', { path: `/v0/features?user_obj=${user}&context_obj=${feature}` })).refused(421, 'host_not_allowed');
  assert.deepEqual((await ask('localhost', { path: '/v0/namespaces' })).json(), { namespaces: ['default'] });
  assert.deepEqual((await ask('localhost', { path: '/v0/featureSpecs' })).json(), { featureSpecs: [] });
});

test('what no browser sends is never answered as local', async () => {
  const bytes = (target, ...hosts) => `GET ${target} HTTP/1.1\r\n${hosts.map((host) => `Host: ${host}\r\n`).join('')}Connection: close\r\n\r\n`;
  for (const request of [
    bytes('/v0/analytics'), bytes('/v0/analytics', ''), 'GET /v0/analytics HTTP/1.0\r\n\r\n', bytes('/v0/analytics', 'localhost', 'evil.example'),
    bytes('/v0/analytics', 'evil.example', 'localhost'), bytes('/v0/analytics', 'localhost@evil.example'), bytes('/v0/analytics', 'evil.example@localhost'),
    bytes('/v0/analytics', 'evil.example/@localhost'), bytes('/v0/analytics', 'localhost evil.example'), bytes('/v0/analytics', 'evil.example#localhost'),
    bytes('/v0/analytics', 'evil.example?localhost'), bytes('/v0/analytics', 'localhost,evil.example'), bytes('http://evil.example/v0/analytics', 'localhost'),
    bytes('http://localhost/v0/analytics', 'evil.example'), bytes('/v0/analytics', '[::1].evil.example'), bytes('/v0/analytics', '[evil.example]'),
  ]) {
    const { statuses, text } = await exchange(server, request);
    assert.ok(statuses.every((status) => [400, 421, 500].includes(status)), `${JSON.stringify(request)}: ${text.slice(0, 300)}`);
    assert.ok(!text.includes('"counts"'), request);
  }
});

test('the names of ALLOWED_HOSTS are answered too', async (t) => {
  const on = await serve(t, { env: { ALLOWED_HOSTS: 'Kimball.example, stats.example.:8443 ,intranet' } });
  for (const host of ['kimball.example', 'KIMBALL.example:1', 'kimball.example.', 'stats.example', 'stats.example:8787', 'intranet', 'localhost', '127.0.0.1']) (await ask(host, { on })).expect(200);
  for (const host of ['evil.example', 'a.kimball.example', 'kimball.example.evil.example', 'intranet.evil.example', 'xintranet', 'example']) (await ask(host, { on })).refused(421, 'host_not_allowed');
  const every = await serve(t, { env: { ALLOWED_HOSTS: '*' } });
  for (const host of ['evil.example', 'localhost', 'kimball']) (await ask(host, { on: every })).expect(200);
});

test('with authentication tokens decide, and not the host', async (t) => {
  const on = await serve(t, { env: { API_AUTH: '', API_TOKENS: 'admin', ALLOWED_HOSTS: 'kimball.example' } });
  const headers = { authorization: 'Bearer admin' };
  for (const host of ['evil.example', 'kimball.example', 'localhost']) {
    (await ask(host, { on, headers })).expect(200);
    (await ask(host, { on })).refused(401, 'unauthorized');
    (await ask(host, { on, path: '/' })).expect(200);
  }
});
