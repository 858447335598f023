// GET /v0/status and GET /v0/access: what an operator and a page are told, and what nobody is.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { flipSnapshotBit } from '../harness/damage.mjs';
import { parse, total } from '../harness/prometheus.mjs';
import { HASH_KEY, serve } from '../harness/server.mjs';

const TOKENS = { admin: 'admin-token-of-this', read: 'read-token-of-this', ingest: 'ingest-token-of-this' };
const COUNTERS = [{ pattern: '^Login$', date_cohort: 'weekly' }, { pattern: '', type: 'bloom_fixed_size', size: 5000, error_probability: 0.01 }];
const env = {
  API_AUTH: '', API_TOKENS: TOKENS.admin, READ_TOKENS: TOKENS.read, INGEST_TOKENS: `${TOKENS.ingest},another-token`,
  ALLOWED_ORIGINS: 'https://shop.example', ALLOWED_HOSTS: 'Stats.example:443', COUNTERS: JSON.stringify(COUNTERS), NAMESPACES_MAX: '7', SHARDS: '3',
};
const server = await serve({ after }, { env, token: TOKENS.admin });
const status = async (of, namespace) => (await of.get(`/v0/status${namespace ? `?namespace=${namespace}` : ''}`)).expect(200).json();
const people = (count) => Array.from({ length: count }, (_, user_id) => ({ event_name: 'Login', user_id }));

test('access: what each kind of token may, and that none may nothing', async (t) => {
  const scopes = async (of, token) => (await of.get('/v0/access', { headers: { authorization: token ? `Bearer ${token}` : null } })).expect(200).json();
  assert.deepEqual(await scopes(server, TOKENS.admin), { authentication: true, scopes: ['admin', 'ingest', 'read'] });
  assert.deepEqual(await scopes(server, TOKENS.read), { authentication: true, scopes: ['read'] });
  assert.deepEqual(await scopes(server, TOKENS.ingest), { authentication: true, scopes: ['ingest'] });
  for (const token of ['unknown', undefined]) assert.deepEqual(await scopes(server, token), { authentication: true, scopes: [] });
  const open = await serve(t);
  assert.deepEqual(await scopes(open), { authentication: false, scopes: ['admin', 'ingest', 'read'] });
});

test('status: the numbers of the metrics, the limits in force, and how the service is set up', async () => {
  await server.ingest(people(300));
  await server.ingest(people(100));
  await server.goal('Paid');
  (await server.post('/v0/featureSpecs', { name: 'beta', boolean: true })).expect(204);
  (await server.post('/v0/analytics', { event_name: 'Login' })).refused(400, 'field_missing');
  const found = await status(server);
  const metrics = parse((await server.get('/metrics')).text);
  assert.equal(found.version, (await server.get('/healthz')).json().version);
  assert.ok(Math.abs(Date.parse(found.started) / 1000 - total(metrics, 'process_start_time_seconds')) < 1);
  assert.equal(found.isolate_memory_bytes, total(metrics, 'process_resident_memory_bytes'));
  assert.deepEqual(found.events, { accepted: total(metrics, 'kimball_events_total', { outcome: 'accepted' }), repeated: total(metrics, 'kimball_events_total', { outcome: 'repeated' }), refused: { field_missing: 1 } });
  assert.deepEqual([found.events.accepted, found.events.repeated], [300, 100]);
  assert.deepEqual(found.namespaces, { count: 1, limit: 7 });
  assert.equal(found.flags.count, 1);
  assert.equal(found.flags.bytes, '{"name":"beta","boolean":true}'.length);
  assert.deepEqual(found.namespace.events, { count: 2, limit: 1000 });
  assert.equal(found.namespace.goals, 1);
  assert.deepEqual(found.namespace.shards.map(({ index, reachable }) => [index, reachable]), [[0, true], [1, true], [2, true]]);
  for (const shard of found.namespace.shards) {
    const labels = { kimball_namespace: 'default', shard: String(shard.index) };
    for (const field of ['memory_bytes', 'journal_rows', 'journal_bytes']) {
      assert.equal(shard[field], total(metrics, `kimball_shard_${field}`, labels), `${field} of shard ${shard.index}`);
      assert.ok(shard[field] > 0);
    }
    assert.equal(shard.memory_limit_bytes, total(metrics, 'kimball_shard_memory_limit_bytes', labels));
  }
  const { configuration } = found;
  assert.deepEqual(configuration.tokens, { admin: 1, ingest: 2, read: 1 });
  assert.deepEqual([configuration.authentication, configuration.ingest_may_add_goals, configuration.hash_key], [true, false, 'configured']);
  assert.deepEqual(configuration.allowed_origins, ['https://shop.example']);
  assert.deepEqual(configuration.allowed_hosts, ['stats.example']);
  assert.deepEqual(configuration.counters, COUNTERS);
  const limits = new Map(configuration.limits.map(({ name, ...limit }) => [name, limit]));
  assert.deepEqual(limits.get('NAMESPACES_MAX'), { value: 7, default: 1000, unit: 'namespaces' });
  assert.equal(limits.get('SHARDS').value, 3);
  assert.ok(limits.size >= 19);
});

test('status: a namespace that is not there has nothing; a malformed one is refused', async () => {
  const { namespace } = await status(server, 'nowhere');
  assert.deepEqual(namespace, { name: 'nowhere', events: { count: 0, limit: 1000 }, goals: 0, shards: [] });
  assert.deepEqual((await server.get('/v0/namespaces')).json().namespaces, ['default']);
  (await server.get('/v0/status?namespace=')).refused(400, 'parameter_invalid');
});

test('status: no token, no key and no user is in it', async () => {
  await server.ingest([{ event_name: 'Login', user_id: 'somebody in particular' }]);
  const { text } = (await server.get('/v0/status')).expect(200);
  for (const secret of [...Object.values(TOKENS), 'another-token', HASH_KEY, 'somebody']) assert.ok(!text.includes(secret), secret);
});

test('status: a shard whose state cannot be read is told, and fails nothing else', async (t) => {
  const broken = await serve(t, { env: { JOURNAL_ROWS_MAX: '1', SHARDS: '3' } });
  await broken.ingest(people(200));
  await broken.ingest([{ event_name: 'Login', user_id: 1, namespace: 'sound' }]);
  await broken.stop();
  flipSnapshotBit(broken.stateDir);
  await broken.start();
  const all = [...(await status(broken)).namespace.shards, ...(await status(broken, 'sound')).namespace.shards];
  const lost = all.filter(({ reachable }) => !reachable);
  assert.equal(lost.length, 1);
  assert.match(lost[0].what, /^shard default\/[0-2], section \d+ \((all users|event \d+)\), frame, checksum: does not match the content$/);
  assert.deepEqual(Object.keys(lost[0]).sort(), ['index', 'reachable', 'what']);
  const sound = all.filter(({ snapshot_counters: counters }) => counters > 0);
  assert.ok(sound.length >= 3);
  for (const shard of sound) assert.ok(shard.memory_bytes > 0 && shard.snapshot_age_s >= 0);
});
