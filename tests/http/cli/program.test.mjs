// The program kimball-edge: variables from flags, a file and the environment; what doctor finds, on a sound server and on
// each fault; and deploy, with a wrangler that notes what it is asked for.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';

import { Client } from '../harness/client.mjs';
import { launch, run } from '../harness/process.mjs';
import { ROOT, serve, temporaryDirectory } from '../harness/server.mjs';

const FLAGS_IN_CAPNP = /fromEnvironment = "(\w+)"/g;
const lastLine = ({ stderr }) => stderr.trim().split('\n').at(-1);

async function file(t, content, name = 'kimball.env') {
  const path = join(await temporaryDirectory(t), name);
  writeFileSync(path, content);
  return path;
}

test('every variable that the Worker is bound to is a flag, with what it is for', async (t) => {
  const { code, stdout } = await run(t, 'start', { args: ['--help'] });
  assert.equal(code, 0);
  const names = [...readFileSync(join(ROOT, 'selfhost/bindings.capnp'), 'utf8').matchAll(FLAGS_IN_CAPNP)].map(([, name]) => name);
  assert.ok(names.length > 30);
  for (const name of ['PORT', 'HOST', 'STATE_DIR', ...names]) {
    const flag = `--${name.toLowerCase().replaceAll('_', '-')}`;
    assert.match(stdout, new RegExp(`^ +${flag} +[a-z0-9].{3}`, 'm'), name);
  }
});

test('flags count before the environment, and that before the file', async (t) => {
  const stateDir = await temporaryDirectory(t);
  const config = await file(t, `# how it is here\nPORT=1\nAPI_TOKENS="of-file"\nBATCH_EVENTS_MAX=7\nFLAGS_MAX=5\nSTATE_DIR=${stateDir}\n`);
  const server = launch(t, 'start', { args: ['--config', config, '--port', '0', '--batch-events-max', '2'], env: { FLAGS_MAX: '6', BATCH_EVENTS_MAX: '9', API_TOKENS: '' } });
  const [, url] = await server.printed(/(http:\/\/127\.0\.0\.1:\d+)\b[\s\S]*Ctrl-C/);
  assert.ok(server.output.stdout.includes(stateDir));
  const { configuration } = (await new Client(url, 'of-file').get('/v0/status')).expect(200).json();
  const limit = (name) => configuration.limits.find((each) => each.name === name).value;
  assert.deepEqual([configuration.authentication, limit('BATCH_EVENTS_MAX'), limit('FLAGS_MAX')], [true, 2, 6]);
});

test('where nothing else is said the databases are in the directory that it is started in', async (t) => {
  const directory = await temporaryDirectory(t);
  const server = launch(t, 'start', { args: ['--port', '0'], cwd: directory });
  await server.printed(/Ctrl-C/);
  assert.ok(existsSync(join(directory, '.state/server.pid')), server.output.stdout);
  server.kill('SIGTERM');
  const { code, signal } = await server.end();
  assert.deepEqual([code, signal], [0, null]);
});

test('what cannot be is one line that names it', async (t) => {
  const cases = [
    [['start', '--config', '/no/such.env'], /--config: \/no\/such\.env cannot be read \(ENOENT\)/],
    [['start', '--config', await file(t, 'API_TOKENS=a\nAPI_TOKEN=b\n')], /kimball\.env, line 2: there is no variable API_TOKEN; is it API_TOKENS\?/],
    [['start', '--config', await file(t, '{"PORT": 1}')], /line 1: a line is NAME=value, and this is JSON/],
    [['start', '--prot', '1'], /--prot/],
    [['start', '--port', '1', '--port', '2'], /--port: given more than once/],
    [['start', '--port'], /port/],
    [['start', 'now'], /now/],
    [['stat'], /start/],
    [['load', 'a.csv', '--batch', '1', '--batch', '2'], /--batch: given more than once/],
    [['doctor', '--url', 'kimball.example'], /--url: not a URL of http or https/],
    [['deploy', '--config', await file(t, 'PORT=1\n')], /there is no variable PORT/],
  ];
  for (const [[name, ...args], pattern] of cases) {
    const { code, stdout, stderr } = await run(t, name, { args });
    assert.equal(code, 1, `${name} ${args}`);
    assert.equal(stdout, '');
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.match(stderr, pattern);
    assert.match(stderr, /^kimball-edge/);
  }
});

test('its version is the package\'s, and a shell can be told what it takes', async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'pkg/server/package.json'), 'utf8'));
  assert.equal((await run(t, '--version')).stdout.trim(), version);
  assert.match((await run(t, 'completion')).stdout, /complete .*kimball-edge/);
  const offered = await run(t, '--get-yargs-completions', { args: ['kimball-edge', 'load', '--'] });
  assert.match(offered.stdout, /--encoding/);
});

// doctor

const doctor = (t, url, args = [], env = {}) => run(t, 'doctor', { args: ['--url', url, ...args], env });
const KEY = 'ab'.repeat(32);
const SOUND = { API_AUTH: '', API_TOKENS: 'secret', HASH_KEY: KEY, ALLOWED_ORIGINS: 'https://shop.example' };

/** A proxy before a server, which may change what passes. */
async function proxy(t, to, { request: change = (each) => each, response: changeBack = (headers) => headers, isClosed = false } = {}) {
  const server = http.createServer((request, response) => {
    const { method, url, headers } = change({ method: request.method, url: request.url, headers: { ...request.headers } });
    const onward = http.request(new URL(url, to), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, changeBack({ ...answer.headers, date: new Date().toUTCString() }));
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const close = () => { server.closeAllConnections(); server.close(); };
  if (isClosed) close();
  else t.after(close);
  return `http://127.0.0.1:${port}`;
}

test('doctor: nothing to mend on a sound server, whatever stands before it', async (t) => {
  const server = await serve(t, { env: SOUND, token: 'secret' });
  await server.ingest({ event_name: 'A', user_id: 'u' });
  for (const url of [server.url.origin, await proxy(t, server.url.origin)]) {
    const { code, stdout, stderr } = await doctor(t, url, ['--token', 'secret', '--origin', 'https://shop.example']);
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^ok +http.* serves version/m);
    assert.match(stdout, /^ok +this token may: admin, ingest, read/m);
    assert.match(stdout, /^ok +pages of https:\/\/shop\.example may call/m);
    assert.match(stdout, /Nothing to mend\.\n$/);
    assert.ok(!stdout.includes('secret'));
  }
});

test('doctor: each fault is told with what mends it', async (t) => {
  const server = await serve(t, { env: { ...SOUND, NAMESPACES_MAX: '1' }, token: 'secret' });
  await server.ingest({ event_name: 'A', user_id: 'u' });
  const { origin } = server.url;
  const open = await serve(t, { env: { HASH_KEY: '' } });
  const elsewhere = http.createServer((request, response) => response.writeHead(301, { location: 'https://other.example/' }).end());
  elsewhere.listen(0, '127.0.0.1');
  await once(elsewhere, 'listening');
  t.after(() => elsewhere.close());
  const withToken = ['--token', 'secret'];
  const decoding = await proxy(t, origin, { request: (each) => ({ ...each, url: each.url.replace('%2F', '/') }) });
  const mute = await proxy(t, origin, { request: ({ headers: { authorization, ...headers }, ...each }) => ({ ...each, headers }) });
  const late = await proxy(t, origin, { response: (headers) => ({ ...headers, date: new Date(Date.now() - 90_000).toUTCString() }) });
  const plain = await proxy(t, origin, { response: ({ etag, ...headers }) => headers });
  const gone = await proxy(t, origin, { isClosed: true });
  const cases = [
    [gone, [], /^mend .*does not answer \(ECONNREFUSED\)/m],
    [`http://127.0.0.1:${elsewhere.address().port}`, [], /^mend .*something else \(status 301, to https:\/\/other\.example\/\)/m],
    [origin, ['--token', 'another'], /^mend .*does not know this token/m],
    [mute, withToken, /^mend .*drops the header Authorization/m],
    [origin, [], /^advice +without a read token/m, 0],
    [origin, [...withToken, '--origin', 'https://evil.example'], /^mend .*https:\/\/evil\.example may not call: add it to ALLOWED_ORIGINS/m],
    [decoding, withToken, /^mend .*decodes %2F/m],
    [late, withToken, /^mend .*\b9\d s behind this one/m],
    [plain, withToken, /^advice +answers come without their ETag/m],
    [origin, withToken, /^mend +namespaces: 1 of 1 \(100 % of NAMESPACES_MAX\)/m],
    [open.url.origin, [], /^advice +authentication is off[\s\S]*^advice +HASH_KEY is not set/m, 0],
  ];
  for (const [url, args, pattern, status = 1] of cases) {
    const { code, stdout, stderr } = await doctor(t, url, args);
    assert.match(stdout, pattern);
    assert.equal(stderr, '');
    assert.equal(code, status, `${pattern}: ${stdout}`);
  }
});

// deploy

/** The package as it would be installed, beside a wrangler that notes how it was called; `script` is what else it does. */
async function withWrangler(t, script) {
  const directory = await temporaryDirectory(t);
  for (const path of ['scripts', 'selfhost', 'src/edge/guard.js', 'wrangler.toml', 'build/index_bg.wasm', 'demo', 'pkg/server/package.json']) {
    mkdirSync(join(directory, path, '..'), { recursive: true });
    cpSync(join(ROOT, path), join(directory, path), { recursive: true });
  }
  mkdirSync(join(directory, 'node_modules/.bin'), { recursive: true });
  for (const name of ['yargs', 'yargs-parser', 'cliui', 'escalade', 'get-caller-file', 'string-width', 'y18n', 'ansi-regex', 'strip-ansi', 'wrap-ansi',
    'ansi-styles', 'emoji-regex', 'get-east-asian-width']) {
    if (existsSync(join(ROOT, 'node_modules', name))) symlinkSync(join(ROOT, 'node_modules', name), join(directory, 'node_modules', name));
  }
  const program = join(directory, 'node_modules/.bin/wrangler');
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$*" >> '${directory}/calls'\n${script}\n`);
  chmodSync(program, 0o755);
  return {
    calls: () => readFileSync(join(directory, 'calls'), 'utf8').trim().split('\n'),
    directory,
    deploy: (args, env = {}) => run(t, 'deploy', { args, env, program: join(directory, 'scripts/kimball-edge.mjs'), cwd: directory }),
  };
}

const KEEPS_SECRETS = `case "$1" in
  whoami) echo 'You are logged in' ;;
  secret) exit 1 ;;
  deploy) while [ $# -gt 0 ]; do case "$1" in --secrets-file) cp -p "$2" secrets.json ;; esac; shift; done ;;
esac`;

test('deploy: variables become the Worker\'s, keys and tokens its secrets, and neither stands in an argument', async (t) => {
  const { deploy, calls, directory } = await withWrangler(t, KEEPS_SECRETS);
  const config = await file(t, `HASH_KEY=${KEY}\nAPI_TOKENS=secret\nSHARDS=8\nCOUNTERS='[{"pattern": "^Login$"}]'\n`);
  const { code, stderr } = await deploy(['--config', config, '--name', 'my-kimball']);
  assert.equal(code, 0, stderr);
  const last = calls().at(-1);
  assert.match(last, /^deploy .*--name my-kimball --var COUNTERS:\[\{"pattern": "\^Login\$"\}\] --var SHARDS:8 --keep-vars --secrets-file /);
  assert.ok(!calls().some((call) => call.includes(KEY) || call.includes('secret,') || call.includes(':secret')));
  const secrets = join(directory, 'secrets.json');
  assert.deepEqual(JSON.parse(readFileSync(secrets, 'utf8')), { HASH_KEY: KEY, API_TOKENS: 'secret' });
  assert.equal(statSync(secrets).mode & 0o777, 0o600);
});

test('deploy: without an account or a secret it says which, and uploads nothing', async (t) => {
  const anonymous = await withWrangler(t, 'echo "You are not authenticated. Please run wrangler login."');
  const refused = await anonymous.deploy(['--hash-key', KEY, '--api-tokens', 'secret']);
  assert.equal(refused.code, 1);
  assert.match(lastLine(refused), /CLOUDFLARE_API_TOKEN/);
  const known = await withWrangler(t, KEEPS_SECRETS);
  const incomplete = await known.deploy(['--api-tokens', 'secret']);
  assert.equal(incomplete.code, 1);
  assert.match(lastLine(incomplete), /^kimball-edge deploy: HASH_KEY must be given/);
  for (const { calls } of [anonymous, known]) assert.ok(!calls().some((call) => call.startsWith('deploy')));
});

test('deploy: what the Worker has already is not asked for again', async (t) => {
  const { deploy, calls } = await withWrangler(t, `case "$1" in secret) echo '[{"name": "HASH_KEY"}, {"name": "API_TOKENS"}]' ;; esac`);
  const { code, stderr } = await deploy([], { CLOUDFLARE_API_TOKEN: 'of a test', SHARDS: '2' });
  assert.equal(code, 0, stderr);
  assert.match(calls().at(-1), /^deploy .*--var SHARDS:2 --keep-vars$/);
});

test('deploy: wrangler that fails is told, and a dry run of another wasm is no proof', async (t) => {
  const failing = await withWrangler(t, 'case "$1" in deploy) exit 3 ;; *) exit 1 ;; esac');
  const failed = await failing.deploy(['--hash-key', KEY, '--api-tokens', 'secret']);
  assert.equal(failed.code, 1);
  assert.match(lastLine(failed), /wrangler deploy ended with status 3/);
  const other = await withWrangler(t, 'while [ $# -gt 0 ]; do case "$1" in --outdir) echo other > "$2/a.wasm" ;; esac; shift; done');
  const dry = await other.deploy(['--dry-run']);
  assert.equal(dry.code, 1);
  assert.match(lastLine(dry), /another wasm/);
});
