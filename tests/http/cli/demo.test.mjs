// `make demo`: the online store of the example, played against a running server.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { run } from '../harness/process.mjs';
import { serve } from '../harness/server.mjs';

const GOAL = 'Completed purchase';
const EVENTS = ['Sign up', 'Login', 'Searched for a product', 'Browsed for a product', 'Direct link to product', GOAL];

test('it shows every combination of the goal as the server counts it, and the same when played twice', async (t) => {
  const server = await serve(t);
  const env = { URL: server.url.origin };
  const first = await run(t, 'demo', { env });
  assert.equal(first.code, 0, first.stderr);
  const report = await server.analytics('demo');
  assert.deepEqual(report.counts.map(({ name }) => name).sort(), [...EVENTS].sort());
  assert.ok(report.users >= 200 && report.users < 1_000, `${report.users} users`);
  const goal = report.counts.find(({ name }) => name === GOAL);
  assert.ok(goal.event_counts.length >= 5);
  const lines = first.stdout.split('\n');
  for (const { events, count } of goal.event_counts) {
    const cells = events.length > 0 ? events.join(' + ') : '(nothing)';
    assert.ok(lines.some((line) => line.includes(` ${cells} `) && line.includes(` ${count} `)), `${cells}: ${count}`);
  }
  assert.match(first.stdout, new RegExp(`${report.users} users, ${goal.count} of them`));
  assert.match(first.stderr, /100%/, 'progress goes to stderr');

  const second = await run(t, 'demo', { env });
  assert.equal(second.code, 0);
  assert.equal(second.stdout, first.stdout);
  assert.deepEqual(await server.analytics('demo'), report);
});

test('a namespace and a token can be given, and other events in it are noticed', async (t) => {
  const server = await serve(t, { env: { API_AUTH: '', API_TOKENS: 'secret' }, token: 'secret' });
  const env = { URL: server.url.origin, NAMESPACE: 'my shop' };
  const refused = await run(t, 'demo', { env });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr.trim().split('\n').at(-1), /TOKEN/);

  const played = await run(t, 'demo', { env: { ...env, TOKEN: 'secret' } });
  assert.equal(played.code, 0, played.stderr);
  assert.ok((await server.analytics('my shop')).users > 0);

  await server.ingest(Array.from({ length: 20 }, (_, i) => ({ event_name: GOAL, user_id: `other ${i}`, namespace: 'my shop' })));
  const disturbed = await run(t, 'demo', { env: { ...env, TOKEN: 'secret' } });
  assert.equal(disturbed.code, 1);
  assert.match(disturbed.stderr, /NAMESPACE/);
});

test('weekly counters are no events of its table', async (t) => {
  const server = await serve(t, { env: { COUNTERS: '[{"pattern": "", "date_cohort": "weekly"}]' } });
  const { code, stdout, stderr } = await run(t, 'demo', { env: { URL: server.url.origin } });
  assert.equal(code, 0, stderr);
  const { counts } = await server.analytics('demo');
  assert.ok(counts.some(({ type }) => type === 'weekly'));
  const plain = await run(t, 'demo', { env: { URL: (await serve(t)).url.origin } });
  const table = (text) => text.split('\n').filter((line) => !line.startsWith('All of it'));
  assert.deepEqual(table(stdout), table(plain.stdout));
});
