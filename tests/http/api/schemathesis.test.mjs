// The document against the server: schemathesis makes requests of every operation by it, valid and invalid ones and its
// examples, and holds every answer against what is documented. All of its checks.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT, serve, temporaryDirectory } from '../harness/server.mjs';

const PROGRAM = join(ROOT, '.tools/python/bin/schemathesis');
const CONFIG = join(ROOT, 'tests/http/harness/schemathesis.toml');
const TOKEN = 'admin-token';
const SEED = 1;
const DEADLINE_MS = 180_000;

// Every generated name stays; none of this is to meet a limit that only time has filled.
const env = { API_AUTH: '', API_TOKENS: TOKEN, SHARDS: '1', NAMESPACES_MAX: '10000', EVENTS_PER_NAMESPACE_MAX: '10000', FLAGS_MAX: '10000', RETENTIONS_MAX: '100' };

test('every operation answers as documented', { timeout: DEADLINE_MS }, async (t) => {
  const server = await serve(t, { env });
  const cwd = await temporaryDirectory(t);
  const event = { event_name: 'Completed purchase', user_id: 'ann', namespace: 'shop', ensure_goal: true };
  await server.ingest([{ ...event, event_name: 'Login', ensure_goal: false }, event], { headers: { authorization: `Bearer ${TOKEN}` } });

  const args = ['--config-file', CONFIG, 'run', new URL('/api-docs/openapi.json', server.url).href,
    '--header', `Authorization: Bearer ${TOKEN}`, '--checks', 'all',
    '--max-examples', '25', '--seed', String(SEED), '--generation-database', 'none', '--workers', '1', '--no-color',
    '--continue-on-failure'];
  const variables = { PATH: process.env.PATH, HOME: cwd, PYTHONDONTWRITEBYTECODE: '1' };
  const { error, output } = await new Promise((resolve) => {
    execFile(PROGRAM, args, { cwd, env: variables, maxBuffer: 64 << 20 }, (failure, stdout, stderr) => {
      resolve({ error: failure, output: `${stdout}${stderr}` });
    });
  });
  assert.equal(error, null, output.slice(-20_000));
});
