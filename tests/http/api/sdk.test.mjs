// The files for pages of other servers, and the demo: for everybody, with their types, and for pages of every origin.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { ROOT, serve } from '../harness/server.mjs';

// Authentication is on: files need no token.
const server = await serve({ after }, { env: { API_AUTH: '' } });
const some = await serve({ after }, { env: { API_AUTH: '', ALLOWED_ORIGINS: 'https://shop.example' } });
const TYPES = { js: /^text\/javascript\b/, wasm: /^application\/wasm$/, txt: /^text\/plain\b/ };
// What a page loads has no environment in its name.
const FILES = readdirSync(join(ROOT, 'pkg/dist')).filter((name) => /^[\w-]+\.(js|wasm|txt)$/.test(name));

test('the files are those of the package for pages', () => {
  for (const name of ['index.js', 'aggregator.js', 'aggregator.wasm', 'THIRD-PARTY.txt']) assert.ok(FILES.includes(name), name);
  assert.deepEqual(readdirSync(join(ROOT, 'build/assets/sdk')).sort(), [...FILES].sort());
});

for (const name of FILES) {
  const type = TYPES[name.split('.').pop()];
  test(`/sdk/${name} is the built file, for pages of every origin`, async () => {
    const path = `/sdk/${name}`;
    const built = readFileSync(join(ROOT, 'pkg/dist', name));
    for (const origin of [null, 'https://anybody.example', 'https://shop.example']) {
      for (const asked of [server, some]) {
        const got = (await asked.get(path, { headers: { origin } })).expect(200);
        assert.ok(got.bytes.equals(built));
        assert.match(got.headers['content-type'], type);
        assert.equal(got.headers['access-control-allow-origin'], '*');
        assert.equal(got.headers['cross-origin-resource-policy'], 'cross-origin');
        assert.equal(got.headers['x-content-type-options'], 'nosniff');
      }
    }
  });

  test(`/sdk/${name} is not sent to a client that has it`, async () => {
    const path = `/sdk/${name}`;
    const { etag } = (await server.get(path)).expect(200).headers;
    const again = (await server.get(path, { headers: { 'if-none-match': etag } })).expect(304);
    assert.equal(again.bytes.length, 0);
    assert.equal(again.headers['access-control-allow-origin'], '*');
    const head = (await server.request('HEAD', path)).expect(200);
    assert.equal(head.bytes.length, 0);
    assert.match(head.headers['content-type'], type);
    for (const method of ['POST', 'PUT', 'DELETE']) (await server.request(method, path)).refused(405, 'method_not_allowed');
  });
}

test('files are compressed for those who take gzip', async () => {
  for (const name of FILES) {
    const built = readFileSync(join(ROOT, 'pkg/dist', name));
    const zipped = (await server.get(`/sdk/${name}`, { headers: { 'accept-encoding': 'gzip, br' } })).expect(200);
    assert.equal(zipped.headers['content-encoding'], 'gzip');
    assert.ok(gunzipSync(zipped.bytes).equals(built));
    const plain = (await server.get(`/sdk/${name}`, { headers: { 'accept-encoding': 'gzip;q=0, identity' } })).expect(200);
    assert.ok(plain.bytes.equals(built));
    for (const { headers } of [zipped, plain]) assert.match(headers.vary, /\baccept-encoding\b/i);
  }
});

test('what is not a file is 404', async () => {
  const paths = ['/sdk', '/sdk/', '/sdk/nothing.js', '/sdk/index.js/', '/sdk/index.d.ts', '/sdk/..%2findex.html', '/sdk/%2e%2e/index.js', '/demo/index.html'];
  for (const path of paths) {
    const answer = await server.get(path);
    answer.refused(404, 'not_found');
    assert.ok(!('access-control-allow-origin' in answer.headers), path);
  }
});
