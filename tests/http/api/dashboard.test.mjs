// The dashboard's files: the page, what it refers to, how long each may be kept, and what is not there.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { serve } from '../harness/server.mjs';

// On: the page is for everybody, and asks for a token itself.
const server = await serve({ after }, { env: { API_AUTH: '' } });
const page = (await server.get('/')).expect(200);
const files = [...page.text.matchAll(/(?:src|href)="([^":]+)"/g)].map(([, name]) => new URL(name, 'http://x/').pathname);

test('the page is asked for again every time, and stands under a strict policy', async () => {
  assert.match(page.headers['content-type'], /^text\/html\b/);
  assert.equal(page.headers['cache-control'], 'no-cache');
  assert.equal(page.headers['referrer-policy'], 'no-referrer');
  assert.equal(page.headers['cross-origin-opener-policy'], 'same-origin');
  assert.equal(page.headers['x-content-type-options'], 'nosniff');
  const policy = page.headers['content-security-policy'];
  assert.match(policy, /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';.* connect-src 'self';.* frame-ancestors 'none'$/);
  assert.doesNotMatch(policy, /https?:|\*|'unsafe-(inline|eval)'/);
  assert.doesNotMatch(page.text, /<script>|<style|\son\w+=|\sstyle=|https?:/);
  for (const known of [page.headers.etag, '*']) {
    const answer = (await server.get('/', { headers: { 'if-none-match': known } })).expect(304);
    assert.equal(answer.bytes.length, 0);
    assert.equal(answer.headers['cache-control'], 'no-cache');
  }
  const head = (await server.request('HEAD', '/')).expect(200);
  assert.equal(head.bytes.length, 0);
  assert.equal(head.headers['content-security-policy'], policy);
});

test('its files have hashes in their names and may be kept for ever', async () => {
  assert.ok(files.length >= 3, files.join());
  const types = { js: /^text\/javascript\b/, css: /^text\/css\b/, svg: /^image\/svg\+xml$/ };
  for (const path of files) {
    assert.match(path, /^\/dashboard\/.+-[\w-]{8}\.\w+$/);
    const file = (await server.get(path)).expect(200);
    assert.equal(file.headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal(file.headers['x-content-type-options'], 'nosniff');
    assert.match(file.headers['content-type'], types[path.split('.').pop()]);
  }
  const [script] = files.filter((path) => path.endsWith('.js'));
  const zipped = (await server.get(script, { headers: { 'accept-encoding': 'gzip' } })).expect(200);
  assert.equal(zipped.headers['content-encoding'], 'gzip');
  assert.ok(zipped.bytes.length < 120 * 1024);
});

test('the licences of what it is made of are beside it', async () => {
  const { text, headers } = (await server.get('/dashboard/THIRD-PARTY.txt')).expect(200);
  for (const name of ['svelte', 'd3-scale', 'lossless-json']) assert.ok(text.includes(name), name);
  assert.doesNotMatch(headers['cache-control'], /immutable/);
});

test('what is not there is 404 and is not kept, and nothing but reading is taken', async () => {
  for (const path of ['/dashboard', '/dashboard/', '/dashboard/gone-12345678.js', '/dashboard/..%2findex.html', '/index.html', '/overview']) {
    const answer = await server.get(path);
    answer.refused(404, 'not_found');
    assert.equal(answer.headers['cache-control'], 'no-store', path);
  }
  for (const path of ['/', files[0]]) {
    const answer = await server.request('POST', path);
    answer.refused(405, 'method_not_allowed');
    assert.equal(answer.headers.allow, 'GET, HEAD, OPTIONS');
  }
});
