// The document of the API and the page that shows it: what is served, with which types, and what is not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { ROOT, serve } from '../harness/server.mjs';

// On: the documents are for everybody.
const server = await serve({ after }, { env: { API_AUTH: '' } });
const DOCUMENTS = ['/api-docs/openapi.json', '/api-docs/swagger.json'];
const PAGE = '/api-docs/index.html';

test('the document under both names is the committed one', async () => {
  const committed = readFileSync(join(ROOT, 'www/api-docs/openapi.json'), 'utf8');
  for (const path of DOCUMENTS) {
    const answer = (await server.get(path)).expect(200);
    assert.equal(answer.text, committed);
    assert.match(answer.headers['content-type'], /^application\/json\b/);
  }
  assert.equal(JSON.parse(committed).openapi, '3.1.0');
});

test('the page and every file that it refers to load from here, with their types', async () => {
  const page = (await server.get(PAGE)).expect(200);
  assert.match(page.headers['content-type'], /^text\/html\b/);
  const policy = page.headers['content-security-policy'];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /https?:|\*|script-src[^;]*unsafe/);
  assert.doesNotMatch(page.text, /<script>|\son\w+=|https?:|\/\//);

  const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name]) => new URL(name, `http://x${PAGE}`).pathname);
  assert.equal(files.length, 4);
  const types = { js: /^text\/javascript\b/, css: /^text\/css\b/, png: /^image\/png$/ };
  for (const path of files) {
    const file = (await server.get(path)).expect(200);
    assert.ok(file.bytes.length > 100, path);
    assert.match(file.headers['content-type'], types[path.split('.').pop()], path);
    assert.equal(file.headers['x-content-type-options'], 'nosniff');
    assert.doesNotMatch(file.text.slice(-200), /sourceMappingURL=http/);
  }
});

test('a client that has a file is not sent it again', async () => {
  const got = (await server.get(PAGE)).expect(200);
  const { etag, 'last-modified': modified } = got.headers;
  for (const headers of [{ 'if-none-match': etag }, { 'if-none-match': `"a", ${etag}` }, { 'if-none-match': '*' }, { 'if-modified-since': modified }]) {
    const answer = (await server.get(PAGE, { headers })).expect(304);
    assert.equal(answer.bytes.length, 0);
    assert.equal(answer.headers.etag, etag);
  }
  for (const headers of [{ 'if-none-match': '"other"' }, { 'if-modified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }, { 'if-modified-since': 'never' }]) {
    (await server.get(PAGE, { headers })).expect(200);
  }
  const head = (await server.request('HEAD', PAGE)).expect(200);
  assert.equal(head.bytes.length, 0);
  assert.equal(head.headers['content-type'], got.headers['content-type']);
});

test('what is not a file is 404, and files take no other methods', async () => {
  const paths = ['/api-docs', '/api-docs/', '/api-docs/nothing.js', '/api-docs/../api-docs', '/api-docs/%2e%2e/', '/api-docs/..%2f..%2findex.js',
    '/api-docs/index.html/', '/index.html', '/api-docs/swagger-ui.css.map'];
  for (const path of paths) (await server.get(path)).refused(404, 'not_found');
  for (const path of [...DOCUMENTS, PAGE, '/api-docs/page.js', '/api-docs/nothing.js']) {
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const answer = await server.request(method, path);
      answer.refused(405, 'method_not_allowed');
      assert.equal(answer.headers.allow, 'GET, HEAD, OPTIONS');
    }
    assert.equal((await server.request('OPTIONS', path)).expect(204).headers.allow, 'GET, HEAD, OPTIONS');
  }
});
