// kimball-edge deploy: the very build that `start` serves, to Cloudflare, by wrangler.
//
// Variables become those of the Worker, HASH_KEY and tokens its secrets. What is missing is asked for at a terminal, and
// told in one line elsewhere. --dry-run needs neither an account nor a network, and compares what would be uploaded.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';

import { ROOT } from '../serve/server.mjs';
import { readVariables, variableFlags, variablesOf } from './variables.mjs';

export const command = 'deploy';
export const describe = 'Deploy this build to Cloudflare, with your account';

/** The wrangler that is fetched where the project has none; the one that this was tested with. */
const WRANGLER = 'wrangler@4.86.0';
const SECRETS = ['HASH_KEY', 'API_TOKENS', 'READ_TOKENS', 'INGEST_TOKENS'];
/** Without these nothing can be done with it. */
const NEEDED = ['HASH_KEY', 'API_TOKENS'];
const KEY_BYTES = 32;
const TOKEN_BYTES = 24;

export const builder = (yargs) => variableFlags(yargs, {}, 'Deployment:')
  .options({
    name: { type: 'string', requiresArg: true, default: 'kimball-edge', group: 'Deployment:', describe: 'of the Worker' },
    'dry-run': { type: 'boolean', default: false, group: 'Deployment:', describe: 'only prove that Cloudflare would get this very build' },
  })
  .example('$0 deploy --dry-run', 'no account needed')
  .example('$0 deploy --config kimball.env', 'HASH_KEY=… and API_TOKENS=… in it become secrets');

export async function handler(argv) {
  const known = readVariables();
  const given = variablesOf(argv, known, Object.fromEntries(Object.entries(process.env).filter(([name]) => name in known)));
  const values = Object.entries(given).filter(([, value]) => value !== '');
  const vars = values.filter(([name]) => !SECRETS.includes(name));
  const secrets = Object.fromEntries(values.filter(([name]) => SECRETS.includes(name)));
  const work = mkdtempSync(join(tmpdir(), 'kimball-edge-deploy-'));
  try {
    const options = ['deploy', '--config', join(ROOT, 'wrangler.toml'), '--name', argv.name, ...vars.flatMap(([name, value]) => ['--var', `${name}:${value}`])];
    if (argv.dryRun) dryRun(options, work);
    else await deploy(options, argv.name, secrets, work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function dryRun(options, work) {
  run([...options, '--dry-run', '--outdir', work]);
  // wrangler names the module after its content.
  const modules = readdirSync(work).filter((file) => file.endsWith('.wasm'));
  if (modules.length !== 1) throw new Error(`expected one wasm module in what would be uploaded, and there are ${modules.length}`);
  if (!readFileSync(join(work, modules[0])).equals(readFileSync(join(ROOT, 'build/index_bg.wasm')))) {
    throw new Error('wrangler would deploy another wasm than build/index_bg.wasm');
  }
  console.log('Deployable: the uploaded wasm is build/index_bg.wasm, byte for byte.');
}

async function deploy(options, name, secrets, work) {
  checkAccount();
  const there = deployedSecrets(name);
  await addMissing(secrets, NEEDED.filter((secret) => !there.includes(secret) && secrets[secret] === undefined));
  const file = join(work, 'secrets.json');
  writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  run([...options, '--keep-vars', ...(Object.keys(secrets).length > 0 ? ['--secrets-file', file] : [])]);
}

function checkAccount() {
  if (process.env.CLOUDFLARE_API_TOKEN) return;
  const { stdout } = ask(['whoami']);
  if (!/not authenticated|not logged in/i.test(stdout)) return;
  if (process.stdin.isTTY) {
    run(['login']);
    return;
  }
  throw new Error('there is no Cloudflare account: set CLOUDFLARE_API_TOKEN (and CLOUDFLARE_ACCOUNT_ID where it has several), or run this at a terminal');
}

/** The secrets that the Worker has; none where it is not there yet. */
function deployedSecrets(name) {
  const { status, stdout } = ask(['secret', 'list', '--name', name, '--format', 'json']);
  if (status !== 0) return [];
  try {
    return JSON.parse(stdout.slice(stdout.indexOf('['))).map((secret) => secret.name);
  } catch {
    return [];
  }
}

/** Asks for secrets that are neither given nor deployed, and offers to make them. */
async function addMissing(secrets, missing) {
  if (missing.length === 0) return;
  if (!process.stdin.isTTY) throw new Error(`${missing.join(' and ')} must be given, by the environment or --config: the Worker has none yet`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    for (const name of missing) {
      const answer = (await terminal.question(`${name} (empty: a new one is made): `)).trim();
      secrets[name] = answer || randomBytes(name === 'HASH_KEY' ? KEY_BYTES : TOKEN_BYTES).toString('hex');
      if (!answer) console.log(`${name}=${secrets[name]}\n  Keep it: Cloudflare does not show it again${name === 'HASH_KEY' ? ', and without it the data is worth nothing' : ''}.`);
    }
  } finally {
    terminal.close();
  }
}

function run(args) {
  const { status, error } = spawnSync(...wrangler(args), { stdio: 'inherit', env: environment() });
  if (error) throw new Error(`wrangler cannot be run: ${error.message}`);
  if (status !== 0) throw new Error(`wrangler ${args[0]} ended with status ${status}; what it said is above`);
}

function ask(args) {
  const { status, stdout, error } = spawnSync(...wrangler(args), { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8', env: environment() });
  if (error) throw new Error(`wrangler cannot be run: ${error.message}`);
  return { status, stdout };
}

const environment = () => ({ WRANGLER_SEND_METRICS: 'false', ...process.env });

/** The wrangler beside this program or the present directory; else npm fetches one. */
function wrangler(args) {
  for (const start of [ROOT, process.cwd()]) {
    for (let directory = start; ; directory = dirname(directory)) {
      const program = join(directory, 'node_modules/.bin/wrangler');
      if (existsSync(program)) return [program, args];
      if (dirname(directory) === directory) break;
    }
  }
  return ['npx', ['--yes', WRANGLER, ...args]];
}
