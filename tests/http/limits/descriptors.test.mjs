// Open shards stay within the descriptors of the process: hundreds of namespaces are written and read where a few dozen
// shards may be open, and the process neither ends nor refuses honest requests.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Client } from '../harness/client.mjs';
import { until } from '../harness/deadline.mjs';
import { launch } from '../harness/process.mjs';
import { parse, samples } from '../harness/prometheus.mjs';
import { temporaryDirectory } from '../harness/server.mjs';

const NAMESPACES = 200;
const SHARDS = 1;
const DESCRIPTORS = 256;
const USERS = 8;

const names = Array.from({ length: NAMESPACES }, (_, index) => `site ${index}`);

async function started(t, stateDir, env = {}) {
  const script = launch(t, 'start', {
    shell: `ulimit -n ${DESCRIPTORS}`, env: { PORT: '0', STATE_DIR: stateDir, SHARDS: String(SHARDS), ...env },
  });
  const [, url] = await script.printed(/(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/);
  const [, workerd] = readFileSync(join(stateDir, 'server.pid'), 'utf8').split('\n').map((line) => Number(line.split(' ')[0]));
  return { script, client: new Client(url), workerd };
}

/** Watches how many descriptors a process holds until told to stop, and answers the most that were seen. */
function watchDescriptors(pid) {
  let most = 0;
  const look = () => { most = Math.max(most, readdirSync(`/proc/${pid}/fd`).length); };
  const timer = setInterval(look, 10).unref();
  return () => {
    look();
    clearInterval(timer);
    return most;
  };
}

/** Runs a task for every item, a few at a time. */
async function each(items, atOnce, task) {
  const queue = [...items];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (queue.length > 0) await task(queue.shift());
  }));
}

const batch = (namespace, event_name) => Array.from({ length: USERS }, (_, user) => ({ event_name, user_id: `u${user}`, namespace }));

test('hundreds of namespaces where a few dozen shards may be open', async (t) => {
  const stateDir = await temporaryDirectory(t);
  let { script, client, workerd } = await started(t, stateDir);
  const [, openMax] = /(\d+) open shards/.exec(script.output.stdout);
  assert.ok(Number(openMax) < NAMESPACES / 4);
  let stopWatching = watchDescriptors(workerd);

  const write = (event) => each(names, 8, async (namespace) => {
    (await client.post('/v0/analytics', batch(namespace, event))).expect(204);
  });
  const read = (count) => each(names, 8, async (namespace) => {
    const { counts, users } = await client.analytics(namespace);
    assert.equal(users, USERS, namespace);
    assert.deepEqual(counts.map((entry) => entry.count), Array.from({ length: count }, () => USERS), namespace);
  });
  await write('A');
  await read(1);
  await write('B');
  await read(2);

  const families = parse((await client.get('/metrics')).expect(200).text);
  const unreadable = samples(families, 'kimball_shard_unreadable');
  assert.equal(unreadable.length, NAMESPACES * SHARDS);
  assert.ok(unreadable.every(({ value }) => value === 0));
  (await client.get('/metrics/counters')).expect(200);
  assert.equal((await client.get('/healthz')).expect(200).json().status, 'ok');
  assert.ok(stopWatching() < DESCRIPTORS);
  assert.doesNotMatch(script.output.stderr, /open files|ended unexpectedly/);

  // What the shards had not compacted yet is due at once now.
  script.kill('SIGKILL');
  ({ script, client, workerd } = await started(t, stateDir));
  stopWatching = watchDescriptors(workerd);
  await read(2);
  await write('C');
  await read(3);
  assert.ok(stopWatching() < DESCRIPTORS);
  assert.equal(script.output.stderr, '');
});

test('where all shards that may be open are in use, a request waits and is refused in the end, naming the limit', async (t) => {
  const { script, client } = await started(t, await temporaryDirectory(t), { OPEN_SHARDS_MAX: '4', COMPACTION_DELAY_MS: '3600000' });
  assert.match(script.output.stdout, /\b4 open shards/);
  const answers = await Promise.all(names.slice(0, 60).map((namespace) => client.post('/v0/analytics', batch(namespace, 'A'))));
  for (const answer of answers) {
    if (answer.status === 204) continue;
    const error = answer.refused(503, 'storage_unavailable');
    assert.equal(error.limit, 'OPEN_SHARDS_MAX');
    assert.equal(answer.headers['retry-after'], '1');
  }
  assert.ok(answers.some(({ status }) => status === 204));
  // Who sends it again is served.
  await each(names.slice(0, 60), 2, (namespace) => until(`${namespace} is recorded`, async () => (
    (await client.post('/v0/analytics', batch(namespace, 'A'))).status === 204)));
  await each(names.slice(0, 60), 2, async (namespace) => assert.equal((await client.analytics(namespace)).users, USERS));
});
