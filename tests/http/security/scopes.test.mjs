// Every operation of the document with every kind of token: exactly the scopes that it names may, so that a new route
// cannot be forgotten.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { serve } from '../harness/server.mjs';

const TOKENS = { admin: 'admin-token', read: 'read-token', ingest: 'ingest-token' };
const MAY = { anyone: ['none', 'wrong', 'admin', 'read', 'ingest'], ingest: ['admin', 'ingest'], read: ['admin', 'read'], admin: ['admin'] };
const env = { API_AUTH: '', API_TOKENS: TOKENS.admin, READ_TOKENS: TOKENS.read, INGEST_TOKENS: TOKENS.ingest };

const server = await serve({ after }, { env });
const open = await serve({ after }, { env: { ...env, API_AUTH: 'disable' } });
const { paths } = (await server.get('/api-docs/openapi.json')).expect(200).json();
const operations = Object.entries(paths).flatMap(([path, item]) => Object.entries(item)
  .map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
const callers = { none: {}, wrong: { authorization: 'Bearer wrong' } };
for (const [scope, token] of Object.entries(TOKENS)) callers[scope] = { authorization: `Bearer ${token}` };

test('the document has every scope, and says it twice alike', () => {
  assert.ok(operations.length >= 15, `${operations.length} operations`);
  assert.deepEqual(new Set(operations.map(({ operation }) => operation['x-scope'])), new Set(Object.keys(MAY)));
  for (const { path, operation } of operations) {
    const scope = operation['x-scope'];
    assert.deepEqual(operation.security, scope === 'anyone' ? [] : [{ bearer: [scope] }], path);
  }
});

/** It came to the endpoint: of what a path names, there may be none. */
const isDone = (answer) => ![401, 403, 404, 405].includes(answer.status) || (answer.status === 404 && answer.json().error.code === 'flag_unknown');

for (const { path: template, method, operation } of operations) {
  // What is read must be there.
  const path = template.replace('{name}', method === 'GET' ? 'default' : 'nothing');
  const scope = operation['x-scope'];
  test(`${method} ${path} is for ${scope}`, async () => {
    const methods = method === 'GET' ? ['GET', 'HEAD'] : [method];
    for (const sent of methods) {
      for (const [caller, headers] of Object.entries(callers)) {
        const answer = await server.request(sent, path, { headers, json: sent === 'POST' ? {} : undefined });
        const may = MAY[scope].includes(caller);
        const refusal = may ? undefined : ['none', 'wrong'].includes(caller) ? 401 : 403;
        if (may) assert.ok(isDone(answer), `${sent} by ${caller}: ${answer.status}`);
        else answer.expect(refusal);

        const unguarded = await open.request(sent, path, { headers, json: sent === 'POST' ? {} : undefined });
        assert.ok(isDone(unguarded), `without authentication, ${sent}: ${unguarded.status}`);
      }
    }
  });
}
