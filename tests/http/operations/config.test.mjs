// Configuration: with a bad variable every answer names it, and the key that the data was written with is the
// only one that reads it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { filesUnder } from '../harness/files.mjs';
import { HASH_KEY, serve } from '../harness/server.mjs';

const BAD = {
  API_AUTH: ['false', 'disabled', '0'],
  API_TOKENS: ['two words', 'schlüssel'],
  READ_TOKENS: ['two words'],
  INGEST_TOKENS: ['good,not good'],
  INGEST_MAY_ADD_GOALS: ['yes', '1'],
  ACCEPT_OLDER_STATE: ['yes', 'TRUE', '1', 'shop', 'shop/64', 'shop/1,,shop/2', 'shop/1,true', '50%/1', '%ff/1'],
  ALLOWED_HOSTS: ['https://shop.example', 'shop.example/', '*.example', 'shop..example', 'münchen.example', 'a b', 'a:b'],
  ALLOWED_ORIGINS: ['shop.example', 'https://', 'https://shop.example/page', 'https://shop.example,ftp://x'],
  SHARDS: ['x', '0', '65', '-1', '1.5', '4 shards', '99999999999999999999'],
  HASH_KEY: ['secret', '0a'.repeat(31), `${'0a'.repeat(31)}0g`, '0a'.repeat(33)],
  BODY_BYTES_MAX: ['63', '16777217', '5MB'],
  BODIES_BYTES_MAX: ['1048575', '268435457'],
  BATCH_EVENTS_MAX: ['0', '100001'],
  NAME_BYTES_MAX: ['0', '1025'],
  NAMESPACES_MAX: ['0', '10001'],
  EVENTS_PER_NAMESPACE_MAX: ['0', '10001'],
  COMBINATIONS_PER_GOAL_MAX: ['0', '10001'],
  USERS_PER_EVENT_MAX: ['0', '64000001'],
  GROUP_USERS_MIN: ['1001', '-1', '4.5'],
  WEEKS_PER_EVENT_MAX: ['0', '5201'],
  FLAGS_MAX: ['0', '10001'],
  METRICS_BYTES_MAX: ['1023', '33554433'],
  FLAG_CONDITIONS_MAX: ['0', '1001'],
  FLAG_VALUES_MAX: ['0', '10001'],
  FLAGS_BYTES_MAX: ['1023', '16777217'],
  SHARD_MEMORY_BYTES_MAX: ['4095', '33554433'],
  ISOLATE_MEMORY_BYTES_MAX: ['4095', '100663297'],
  JOURNAL_BYTES_MAX: ['1023', '8388609'],
  JOURNAL_ROWS_MAX: ['0', '65537'],
  COMPACTION_DELAY_MS: ['9', '3600001'],
};

for (const [name, values] of Object.entries(BAD)) {
  test(`a bad ${name} is named by every answer`, { timeout: 120_000 }, async (t) => {
    for (const value of values) {
      const server = await serve(t, { env: { [name]: value } });
      const requests = [['GET', '/healthz'], ['GET', '/alive'], ['GET', '/v0/analytics'],
        ['POST', '/v0/analytics', { event_name: 'A', user_id: 'u' }]];
      for (const [method, path, json] of requests) {
        const answer = await server.request(method, path, { json });
        const { what } = answer.refused(503, 'configuration_invalid');
        assert.ok(what.startsWith(`${name}: `), what);
        assert.ok(!what.includes('\n'), what);
        assert.ok(Number(answer.headers['retry-after']) >= 1);
        if (/KEY|TOKENS/.test(name)) assert.ok(!what.includes(value), 'a secret is not repeated');
      }
      await server.stop('SIGKILL');
    }
  });
}

test('a shard may not have more memory than its isolate', async (t) => {
  const server = await serve(t, { env: { SHARD_MEMORY_BYTES_MAX: '8193', ISOLATE_MEMORY_BYTES_MAX: '8192' } });
  const { what } = (await server.get('/healthz')).refused(503, 'configuration_invalid');
  assert.match(what, /^SHARD_MEMORY_BYTES_MAX: .*ISOLATE_MEMORY_BYTES_MAX/);
});

test('the ends of every range are accepted, and so is surrounding white space', async (t) => {
  const least = { SHARDS: '1', BODY_BYTES_MAX: '64', BODIES_BYTES_MAX: '1048576', BATCH_EVENTS_MAX: '1', NAME_BYTES_MAX: '1', NAMESPACES_MAX: '1',
    EVENTS_PER_NAMESPACE_MAX: '1', COMBINATIONS_PER_GOAL_MAX: '1', USERS_PER_EVENT_MAX: '1', GROUP_USERS_MIN: '0', WEEKS_PER_EVENT_MAX: '1', FLAGS_MAX: '1',
    FLAG_CONDITIONS_MAX: '1', FLAG_VALUES_MAX: '1', FLAGS_BYTES_MAX: '1024', SHARD_MEMORY_BYTES_MAX: '4096',
    ISOLATE_MEMORY_BYTES_MAX: '4096', JOURNAL_BYTES_MAX: '1024', JOURNAL_ROWS_MAX: '1', COMPACTION_DELAY_MS: '10' };
  const most = { SHARDS: ' 64 ', BODY_BYTES_MAX: '16777216', BODIES_BYTES_MAX: '268435456', BATCH_EVENTS_MAX: '100000', NAME_BYTES_MAX: '1024',
    NAMESPACES_MAX: '10000', EVENTS_PER_NAMESPACE_MAX: '10000', COMBINATIONS_PER_GOAL_MAX: '10000',
    USERS_PER_EVENT_MAX: '64000000', GROUP_USERS_MIN: '1000', WEEKS_PER_EVENT_MAX: '5200', FLAGS_MAX: '10000',
    FLAG_CONDITIONS_MAX: '1000', FLAG_VALUES_MAX: '10000', FLAGS_BYTES_MAX: '16777216', SHARD_MEMORY_BYTES_MAX: '33554432', ISOLATE_MEMORY_BYTES_MAX: '100663296',
    JOURNAL_BYTES_MAX: '8388608', JOURNAL_ROWS_MAX: '65536', COMPACTION_DELAY_MS: '3600000', HASH_KEY: HASH_KEY.toUpperCase() };
  for (const env of [least, most]) {
    const server = await serve(t, { env });
    await server.ingest({ event_name: 'A', user_id: 'u' });
    await server.ingest({ event_name: 'A', user_id: 'u' });
    assert.equal((await server.analytics()).users, env === most ? null : 1);
  }
});

test('another key than the data was written with is refused, and harms nothing', async (t) => {
  const GENERATED = '';
  for (const [first, second] of [[HASH_KEY, 'ab'.repeat(32)], [HASH_KEY, GENERATED], [GENERATED, HASH_KEY]]) {
    const server = await serve(t, { env: { HASH_KEY: first } });
    const body = [{ event_name: 'A', user_id: 'u', value: 2 }, { event_name: 'G', user_id: 'u', ensure_goal: true }];
    await server.ingest(body);
    const before = await server.analytics();

    await server.restart({ env: { HASH_KEY: second } });
    const requests = [['GET', '/v0/analytics'], ['POST', '/v0/analytics', body], ['POST', '/v0/goals', { goal_name: 'H' }],
      ['GET', '/healthz']];
    for (const [method, path, json] of requests) {
      const answer = await server.request(method, path, { json });
      const error = answer.refused(503, 'hash_key_changed');
      assert.ok(answer.headers['retry-after']);
      assert.match(error.what, /HASH_KEY/);
      assert.ok(second === GENERATED || !error.what.includes(second));
    }
    (await server.get('/alive')).expect(200);

    await server.restart({ env: { HASH_KEY: first } });
    assert.deepEqual(await server.analytics(), before);
    await server.ingest(body);
    assert.deepEqual(await server.analytics(), before, 'the users are the same as before');
    (await server.get('/healthz')).expect(200);
  }
});

/** The 32 bytes that follow the key's name in the registry's database, wherever they are. */
function generatedKeys(directory) {
  const name = Buffer.from('hash_key');
  const keys = new Set();
  for (const path of filesUnder(directory)) {
    const content = readFileSync(path);
    for (let at = content.indexOf(name); at >= 0; at = content.indexOf(name, at + 1)) {
      keys.add(content.subarray(at + name.length, at + name.length + 32).toString('hex'));
    }
  }
  return [...keys].filter((key) => key.length === 64);
}

test('a generated key can be made the secret of the deployment', async (t) => {
  const server = await serve(t, { env: { HASH_KEY: '' } });
  await server.ingest({ event_name: 'A', user_id: 'u' });
  await server.stop();
  // Of what looks like a key one is it.
  let adopted = 0;
  for (const key of generatedKeys(server.stateDir)) {
    await server.restart({ env: { HASH_KEY: key } });
    if ((await server.get('/healthz')).status !== 200) continue;
    adopted += 1;
    await server.ingest({ event_name: 'A', user_id: 'u' });
    assert.equal((await server.analytics()).users, 1);
    await server.restart({ env: { HASH_KEY: '' } });
    (await server.get('/healthz')).refused(503, 'hash_key_changed');
  }
  assert.equal(adopted, 1);
});

test('a generated key is kept', async (t) => {
  const server = await serve(t, { env: { HASH_KEY: '' } });
  await server.ingest({ event_name: 'A', user_id: 'u' });
  await server.restart({ signal: 'SIGKILL' });
  await server.ingest({ event_name: 'A', user_id: 'u' });
  await server.restart();
  assert.equal((await server.analytics()).users, 1);
});
