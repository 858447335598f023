// Empty projects that install the packed tarball, and the starts of the package's README in them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { ROOT, temporaryDirectory } from '../../http/harness/server.mjs';

const execute = promisify(execFile);
const INSTALL_DEADLINE_MS = 120_000;

export const manifest = JSON.parse(readFileSync(join(ROOT, 'pkg/package.json'), 'utf8'));
export const TARBALL = join(ROOT, `build/${manifest.name}-${manifest.version}.tgz`);

/** Runs a program to its end; rejects with its output if it fails. */
export async function run(directory, program, args, env = {}) {
  const options = { cwd: directory, timeout: INSTALL_DEADLINE_MS, env: { PATH: process.env.PATH, HOME: directory, ...env } };
  return execute(program, args, options).catch((error) => {
    throw new Error(`${program} ${args.join(' ')}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  });
}

/** A new project with the package and nothing else installed, from no network. */
export async function project(scope, files = {}) {
  assert.ok(existsSync(TARBALL), `${TARBALL} is missing: run \`make pkg\` first`);
  const directory = await temporaryDirectory(scope);
  const write = (more) => Promise.all(Object.entries(more).map(([name, text]) => writeFile(join(directory, name), text)));
  await write({ 'package.json': JSON.stringify({ name: 'project', private: true, type: 'module' }) });
  await run(directory, 'npm', ['install', '--offline', '--no-audit', '--no-fund', TARBALL]);
  await write(files);
  return { directory, write };
}

/** The code block of the README behind the comment with this name, with the address of a real server. */
export async function start(name, url) {
  const readme = await readFile(join(ROOT, 'pkg/README.md'), 'utf8');
  const [, rest] = readme.split(`<!-- ${name} -->\n`);
  assert.ok(rest, `the README has no start ${name}`);
  const [, code] = rest.match(/^```\w+\n(.*?)^```$/ms);
  return url === undefined ? code : code.replaceAll('https://analytics.example', new URL(url).origin);
}
