// `make start`: what it prints, how it ends, and one clear line for everything that keeps it from starting.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { Client } from '../harness/client.mjs';
import { launch, run } from '../harness/process.mjs';
import { temporaryDirectory } from '../harness/server.mjs';

const START = 'start';

/** Starts it on a free port, and returns it with a client once it serves. */
async function started(t, env) {
  const script = launch(t, START, { env: { PORT: '0', ...env } });
  const [, url] = await script.printed(/(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/);
  return { script, client: new Client(url), url };
}

/** It must end by itself, with a status that is not 0 and one line that matches. */
async function refuses(t, env, pattern) {
  const { code, stdout, stderr } = await run(t, START, { env });
  assert.ok(code !== 0 && code !== null, `exit status ${code}`);
  const lines = `${stdout}${stderr}`.trim().split('\n');
  assert.equal(lines.length, 1, `${stdout}${stderr}`);
  assert.match(lines[0], pattern);
  return lines[0];
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`it says where it serves, where the state lies and that authentication is off, and ${signal} ends it`, async (t) => {
    const stateDir = join(await temporaryDirectory(t), 'made/on/the/way');
    const { script, client } = await started(t, { STATE_DIR: stateDir });
    assert.ok(script.output.stdout.includes(stateDir));
    assert.match(script.output.stdout, /authentication\s+off/);
    await client.ingest({ event_name: 'A', user_id: 'u' });
    script.kill(signal);
    const { code, stderr } = await script.end();
    assert.equal(code, 0);
    assert.equal(stderr, '');
    await assert.rejects(client.get('/alive'), /ECONNREFUSED/);

    const again = await started(t, { STATE_DIR: stateDir });
    assert.equal((await again.client.analytics()).users, 1, 'the state is there again');
  });
}

test('without authentication it says which hosts are answered, and a name that it listens on is one', async (t) => {
  const stateDir = await temporaryDirectory(t);
  const plain = await started(t, { STATE_DIR: stateDir });
  assert.match(plain.script.output.stdout, /hosts\s+localhost, IP addresses; ALLOWED_HOSTS/);
  plain.script.kill('SIGTERM');
  await plain.script.end();
  const named = await started(t, { STATE_DIR: stateDir, HOST: 'localhost', ALLOWED_HOSTS: 'kimball.example' });
  assert.match(named.script.output.stdout, /hosts\s+localhost, IP addresses, kimball\.example, localhost/);
  (await named.client.get('/alive', { headers: { host: 'kimball.example' } })).expect(200);
  (await named.client.get('/alive', { headers: { host: 'evil.example' } })).refused(421, 'host_not_allowed');
  named.script.kill('SIGTERM');
  await named.script.end();
  const open = await started(t, { STATE_DIR: stateDir, ALLOWED_HOSTS: '*' });
  assert.match(open.script.output.stdout, /hosts\s+all/);
});

test('variables of the Worker are honoured, and tokens turn authentication on', async (t) => {
  const env = { STATE_DIR: await temporaryDirectory(t), API_TOKENS: 'secret-1,secret-2', BATCH_EVENTS_MAX: '1', HASH_KEY: 'cd'.repeat(32) };
  const { script, client, url } = await started(t, env);
  (await client.get('/v0/analytics')).refused(401, 'unauthorized');
  const admin = new Client(url, 'secret-2');
  const two = [{ event_name: 'A', user_id: 'u' }, { event_name: 'A', user_id: 'v' }];
  (await admin.post('/v0/analytics', two)).refused(413, 'batch_too_large');
  assert.match(script.output.stdout, /authentication\s+on/);
  for (const secret of ['secret-1', 'secret-2', env.HASH_KEY]) assert.ok(!script.output.stdout.includes(secret));
});

test('a state directory is served by one process only', async (t) => {
  const STATE_DIR = await temporaryDirectory(t);
  const { script, client } = await started(t, { STATE_DIR });
  await refuses(t, { PORT: '0', STATE_DIR }, /STATE_DIR/);
  await client.ingest({ event_name: 'A', user_id: 'u' });
  script.kill('SIGTERM');
  await script.end();
  await started(t, { STATE_DIR });
});

test('a port in use is one line', async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const PORT = String(taken.address().port);
  await refuses(t, { PORT, STATE_DIR: await temporaryDirectory(t) }, new RegExp(`PORT.*${PORT}.*in use`));
});

test('a bad variable is one line that names it', async (t) => {
  const STATE_DIR = await temporaryDirectory(t);
  const bad = { PORT: ['x', '70000', '-1'], HOST: ['no.such.host.invalid', '203.0.113.7'], SHARDS: ['x'], API_AUTH: ['off'], HASH_KEY: ['short'],
    STATE_DIR: ['/proc/nowhere'] };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) await refuses(t, { PORT: '0', STATE_DIR, [name]: value }, new RegExp(`\\b${name}\\b`));
  }
});

test('another HASH_KEY than that of the state is one line', async (t) => {
  const STATE_DIR = await temporaryDirectory(t);
  const { script, client } = await started(t, { STATE_DIR, HASH_KEY: 'ab'.repeat(32) });
  await client.ingest({ event_name: 'A', user_id: 'u' });
  script.kill('SIGTERM');
  await script.end();
  await refuses(t, { PORT: '0', STATE_DIR, HASH_KEY: 'cd'.repeat(32) }, /HASH_KEY/);
});
