// The life of `workerd` under `make start`: it never outlives who started it, it is started again where it ends by itself,
// and nothing acknowledged is lost by either.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { shareOut } from '../../../scripts/serve/machine.mjs';
import { supervise } from '../../../scripts/serve/supervise.mjs';
import { Client } from '../harness/client.mjs';
import { until } from '../harness/deadline.mjs';
import { launch, PROGRAM, run } from '../harness/process.mjs';
import { ROOT, temporaryDirectory } from '../harness/server.mjs';

const START = 'start';
const SERVES = /(http:\/\/127\.0\.0\.1:(\d+))\b[\s\S]*Ctrl-C/;
const SERVES_AGAIN = /serves again/;

async function started(t, { env, ...options } = {}) {
  const stateDir = env?.STATE_DIR ?? await temporaryDirectory(t);
  const script = launch(t, START, { ...options, env: { PORT: '0', ...env, STATE_DIR: stateDir } });
  const [, url, port] = await script.printed(SERVES);
  return { script, client: new Client(url), url, port, stateDir, ...holders(stateDir) };
}

/** The processes that hold a state directory. */
function holders(stateDir) {
  const [owner, workerd] = readFileSync(join(stateDir, 'server.pid'), 'utf8').split('\n').map((line) => Number(line.split(' ')[0]));
  return { owner, workerd };
}

/** Whether a process runs; one that has ended and was not waited for does not. */
function runs(pid) {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

const gone = (pid) => until(`process ${pid} ends`, () => !runs(pid), 5_000);
const event = (user) => ({ event_name: 'A', user_id: user });

test('a start that is killed takes workerd with it, and the next one serves at once what was acknowledged', async (t) => {
  let { script, client, workerd, port, stateDir } = await started(t);
  for (let round = 1; round <= 3; round += 1) {
    await client.ingest(event(`u${round}`));
    script.kill('SIGKILL');
    const next = await started(t, { env: { STATE_DIR: stateDir, PORT: port } });
    assert.ok(!runs(workerd));
    assert.equal((await next.client.analytics()).users, round);
    ({ script, client, workerd } = next);
  }
  script.kill('SIGKILL');
  await gone(workerd);
});

test('so does the end of the process that started the start', async (t) => {
  const stateDir = await temporaryDirectory(t);
  const command = `node '${PROGRAM}' ${START} --parent=$$; true`;
  const parent = spawn('/bin/sh', ['-c', command], { env: { PATH: process.env.PATH, PORT: '0', STATE_DIR: stateDir }, stdio: ['ignore', 'pipe', 'ignore'] });
  let printed = '';
  parent.stdout.on('data', (text) => { printed += text; });
  await until('it serves', () => SERVES.test(printed));
  const { owner, workerd } = holders(stateDir);
  assert.notEqual(owner, parent.pid);
  parent.kill('SIGKILL');
  await gone(workerd);
  await gone(owner);
  await started(t, { env: { STATE_DIR: stateDir } });
});

test('workerd that ends by itself is started again on the same port, with the same state', async (t) => {
  const { script, client, stateDir, workerd } = await started(t);
  let pid = workerd;
  for (let round = 1; round <= 3; round += 1) {
    await client.ingest(event(`u${round}`));
    process.kill(pid, round === 2 ? 'SIGTERM' : 'SIGKILL');
    const before = pid;
    pid = await until('another workerd', () => {
      const now = holders(stateDir).workerd;
      return now !== before && now;
    });
    assert.equal((await until('it answers', () => client.analytics().catch(() => null))).users, round);
  }
  await script.printed(/(serves again[\s\S]*){3}/, 'stderr');
  assert.match(script.output.stderr, /^kimball-edge start: workerd ended unexpectedly \(SIGKILL\); it is started again$/m);
  script.kill('SIGTERM');
  assert.equal((await script.end()).code, 0);
  assert.ok(!runs(pid));
  assert.ok(!existsSync(join(stateDir, 'server.pid')));
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  test(`${signal} ends it while it starts, while it serves and while it starts again, and leaves nothing behind`, async (t) => {
    const stateDir = await temporaryDirectory(t);
    const lock = join(stateDir, 'server.pid');
    const starting = launch(t, START, { env: { PORT: '0', STATE_DIR: stateDir } });
    await until('workerd begins', () => existsSync(lock) && holders(stateDir).workerd);
    const early = holders(stateDir).workerd;
    starting.kill(signal);
    assert.deepEqual({ ...await starting.end(), stdout: '' }, { code: 0, signal: null, stdout: '', stderr: '' });
    await gone(early);
    assert.ok(!existsSync(lock));

    const serving = await started(t, { env: { STATE_DIR: stateDir } });
    serving.script.kill(signal);
    assert.equal((await serving.script.end()).code, 0);

    const again = await started(t, { env: { STATE_DIR: stateDir } });
    process.kill(again.workerd, 'SIGKILL');
    await again.script.printed(/started again/, 'stderr');
    again.script.kill(signal);
    const { code, stderr } = await again.script.end();
    assert.equal(code, 0, stderr);
    assert.ok(!existsSync(lock));
    await assert.rejects(again.client.get('/alive'), /ECONNREFUSED/);
  });
}

test('silent connections beyond the limit of descriptors end workerd for a moment only', async (t) => {
  const { script, client, port } = await started(t, { shell: 'ulimit -n 256' });
  assert.match(script.output.stdout, /descriptors\s+256/);
  assert.match(script.output.stdout, /warning\s+.*ulimit -n/);
  await client.ingest(event('u'));
  for (let round = 1; round <= 2; round += 1) {
    const silent = Array.from({ length: 400 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    await script.printed(new RegExp(`(serves again[\\s\\S]*){${round}}`), 'stderr');
    for (const socket of silent) socket.destroy();
    assert.equal((await until('it answers', () => client.analytics().catch(() => null))).users, 1);
  }
  assert.match(script.output.stderr, /more connections and files open than the 256 that ulimit -n allows/);
  assert.doesNotMatch(script.output.stderr, /stack:/);
  script.kill('SIGTERM');
  assert.equal((await script.end()).code, 0);
});

test('the soft limit of descriptors is raised to the hard one', async (t) => {
  const { script, workerd } = await started(t, { shell: 'ulimit -Sn 128; ulimit -Hn 4096' });
  assert.match(readFileSync(`/proc/${workerd}/limits`, 'utf8'), /^Max open files +4096 +4096 /m);
  assert.match(script.output.stdout, /descriptors\s+4096/);
  assert.doesNotMatch(script.output.stdout, /warning/);
});

test('too little address space, and too few descriptors, are one line', async (t) => {
  for (const [limit, named] of [[`-v ${2 << 20}`, '-v'], [`-v ${8 << 20}`, '-v'], ['-n 60', '-n']]) {
    const { code, stdout, stderr } = await run(t, START, { shell: `ulimit ${limit}`, env: { PORT: '0', STATE_DIR: await temporaryDirectory(t) } });
    assert.equal(code, 1);
    assert.match(`${stdout}${stderr}`, new RegExp(`^kimball-edge start: .*ulimit ${named}.*\\n$`));
  }
});

test('more open shards than there are descriptors for is a warning', async (t) => {
  const { script } = await started(t, { shell: 'ulimit -n 4096', env: { OPEN_SHARDS_MAX: '1000' } });
  assert.match(script.output.stdout, /warning +OPEN_SHARDS_MAX is more than 448/);
});

test('however many descriptors there are, no more shards are open than the runtime has memory for', () => {
  assert.deepEqual([4_096, 65_536, Infinity].map((descriptors) => shareOut(descriptors).openShardsMax), [448, 1_000, 1_000]);
});

test('who reads its output may go', async (t) => {
  const head = (directory) => `head -n 1 > '${join(directory, 'head')}'`;
  const redirections = [(directory) => `2>&1 | ${head(directory)}`, (directory) => `2>&- | ${head(directory)}`, () => '2>&1 >&- | true', () => '>&- 2>&-'];
  for (const redirection of redirections) {
    const directory = await temporaryDirectory(t);
    const [stateDir, errors, first] = ['state', 'errors', 'head'].map((name) => join(directory, name));
    const PORT = String(await freePort());
    const redirected = redirection(directory);
    const command = `{ { node '${PROGRAM}' ${START}; echo "status $?" >&9; } ${redirected}; } 9>>'${errors}' 2>>'${errors}'`;
    const pipeline = spawn('/bin/sh', ['-c', command], { env: { PATH: process.env.PATH, PORT, STATE_DIR: stateDir }, stdio: 'ignore' });
    const ended = once(pipeline, 'exit');
    const client = new Client(`http://127.0.0.1:${PORT}`);
    const answers = () => until('it answers', () => client.get('/healthz').catch(() => null));
    await answers();
    const { owner, workerd } = holders(stateDir);
    if (redirected.includes('head')) {
      // A restart prints, too.
      await until('the first line', () => existsSync(first) && readFileSync(first, 'utf8').includes('serves'));
      process.kill(workerd, 'SIGKILL');
      await until('another workerd', () => holders(stateDir).workerd !== workerd);
      await answers();
    }
    process.kill(owner, 'SIGTERM');
    await ended;
    assert.equal(readFileSync(errors, 'utf8'), 'status 0\n', redirected);
  }
});

test('what holds a state directory is told by more than a number', async (t) => {
  const stateDir = await temporaryDirectory(t);
  const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.after(() => bystander.kill('SIGKILL'));
  const start = readFileSync(`/proc/${bystander.pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')[19];
  const stale = [
    `${bystander.pid} 1\n${bystander.pid} 2\n`, // Ids that belong to another program by now.
    `${bystander.pid}`, // As version 0.1 wrote it.
    '999999999 1\n999999998 1\n',
    '', 'nonsense\n\u0000', '-1 1\n', '1', '0 0\n0 0\n',
  ];
  for (const text of stale) {
    writeFileSync(join(stateDir, 'server.pid'), text);
    const { script } = await started(t, { env: { STATE_DIR: stateDir } });
    script.kill('SIGTERM');
    assert.equal((await script.end()).code, 0, text);
    assert.ok(runs(bystander.pid), text);
  }

  // An orphan: the owner is gone, and this very process still has the databases open.
  writeFileSync(join(stateDir, 'server.pid'), `999999999 1\n${bystander.pid} ${start}\n`);
  await started(t, { env: { STATE_DIR: stateDir } });
  assert.ok(!runs(bystander.pid));
});

test('a second start is refused while the first lives, whatever became of its workerd', async (t) => {
  const { script, stateDir, workerd, client } = await started(t);
  const refusal = async () => {
    const { code, stdout, stderr } = await run(t, START, { env: { PORT: '0', STATE_DIR: stateDir } });
    assert.equal(code, 1);
    assert.equal(`${stdout}${stderr}`, `kimball-edge start: STATE_DIR: ${stateDir} is in use by process ${script.pid}; stop it first or choose another directory\n`);
  };
  await refusal();
  process.kill(workerd, 'SIGKILL');
  await refusal();
  assert.equal((await until('it answers', () => client.get('/alive').catch(() => null))).status, 200);
});

/** Servers that end when told to. */
function fake() {
  let end;
  const exited = new Promise((resolve) => { end = resolve; });
  return { exited, end: () => end({ code: 1, signal: null, reason: 'told' }), stop: (signal) => end({ code: 0, signal }) };
}

test('where no start succeeds it gives up, and a pause does not keep it from being stopped', async () => {
  const first = fake();
  let tries = 0;
  const reports = [];
  const failing = supervise(first, async () => { tries += 1; throw new Error('no luck'); }, (line) => reports.push(line), { pausesMs: [0, 1], failedStartsMax: 4 });
  first.end();
  await assert.rejects(failing.ended, /workerd did not start 4 times in a row: no luck/);
  assert.equal(tries, 4);
  assert.equal(reports.length, 1);

  const servers = [fake(), fake()];
  const reported = [];
  const stopped = supervise(servers[0], async () => servers[1], (line) => reported.push(line), { pausesMs: [20] });
  servers[0].end();
  await until('the first has ended', () => reported.length > 0);
  stopped.stop('SIGTERM');
  assert.equal((await stopped.ended).code, 0);
});
