// The packed tarball as files: nothing in it but what the repository and its provenance account for, and types, entries
// and manifest as the tools of the ecosystem want them.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, test } from 'node:test';

import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

import { bundle } from '../../scripts/build/bundle.mjs';
import { filesUnder } from '../http/harness/files.mjs';
import { ROOT, temporaryDirectory } from '../http/harness/server.mjs';
import { TARBALL, manifest, project, run } from './harness/project.mjs';

const { directory } = await project({ after });
const installed = join(directory, 'node_modules', manifest.name);
const names = filesUnder(installed).map((path) => relative(installed, path)).sort();
const read = (name) => readFileSync(join(installed, name));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const provenance = JSON.parse(read('dist/provenance.json'));

test('every file is in the repository as it is, or in the provenance with its hash', () => {
  const sources = { LICENSE: 'LICENSE', 'README.md': 'pkg/README.md', 'CHANGELOG.md': 'pkg/CHANGELOG.md', 'package.json': 'pkg/package.json' };
  const built = Object.keys(provenance.files).map((name) => `dist/${name}`);
  assert.deepEqual(names, [...Object.keys(sources), ...built, 'dist/provenance.json'].sort());
  for (const [name, source] of Object.entries(sources)) assert.deepEqual(read(name), readFileSync(join(ROOT, source)), name);
  for (const [name, hash] of Object.entries(provenance.files)) assert.equal(sha256(read(`dist/${name}`)), hash, name);
});

test('the provenance names the commit, the tools and the locks', () => {
  assert.match(provenance.commit, /^[0-9a-f]{40}$/);
  assert.equal(provenance.version, manifest.version);
  for (const [tool, version] of Object.entries(provenance.tools)) assert.match(version, /\d/, tool);
  for (const [name, hash] of Object.entries(provenance.inputs)) assert.equal(hash, sha256(readFileSync(join(ROOT, name))), name);
});

test('the scripts and types are what the sources make, to the byte', async (context) => {
  const again = await temporaryDirectory(context);
  await bundle(again, join(ROOT, 'target/pkg'));
  const scripts = filesUnder(again).map((path) => relative(again, path));
  assert.deepEqual(scripts.sort(), names.filter((name) => name.endsWith('.js')).map((name) => relative('dist', name)).sort());
  for (const name of scripts) assert.equal(sha256(readFileSync(join(again, name))), provenance.files[name], name);
  for (const name of names.filter((file) => file.endsWith('.d.ts'))) {
    assert.deepEqual(read(name), readFileSync(join(ROOT, 'pkg/src', relative('dist', name))), name);
  }
});

test('the wasm tells nothing about the machine that built it', () => {
  const wasm = ['news', 'aggregator'].map((name) => read(`dist/${name}.wasm`).toString('latin1')).join();
  for (const path of [ROOT, process.env.HOME]) assert.ok(!wasm.includes(`${path}/`), path);
});

test('licences: one for the package, and those of everything in the wasm', () => {
  assert.match(read('LICENSE').toString(), /Apache License/);
  const thirdParty = read('dist/THIRD-PARTY.txt').toString();
  for (const crate of ['wasm-bindgen', 'siphasher']) assert.match(thirdParty, new RegExp(`^${crate} [\\d.]+ \\(`, 'm'));
  assert.doesNotMatch(thirdParty, /^kimball-edge/m);
  assert.match(thirdParty, /Permission is hereby granted/, 'the text of a licence that is not ours');
});

test('the version is the crate\'s', () => {
  const [, version] = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8').match(/^version = "(.+)"$/m);
  assert.equal(manifest.version, version);
});

test('publint has nothing to say', async () => {
  const { messages, pkg } = await publint({ pkgDir: installed, strict: true, pack: false });
  assert.deepEqual(messages.map((message) => formatMessage(message, pkg, { color: false })), []);
});

test('arethetypeswrong finds the types of every entry', async () => {
  const attw = join(ROOT, 'node_modules/.bin/attw');
  await run(directory, process.execPath, [attw, TARBALL, '--profile', 'esm-only', '--no-definitely-typed', '--exclude-entrypoints', 'aggregator.wasm', 'news.wasm']);
});

for (const [module, moduleResolution] of [['esnext', 'bundler'], ['nodenext', 'nodenext']]) {
  test(`tsc --strict takes the types by ${moduleResolution}, and refuses what they forbid`, async () => {
    for (const name of ['aggregator.ts', 'client.ts']) copyFileSync(join(ROOT, 'tests/pkg/types', name), join(directory, name));
    const tsconfig = { extends: join(ROOT, 'tests/pkg/types/tsconfig.json'), compilerOptions: { module, moduleResolution }, files: ['aggregator.ts', 'client.ts'] };
    writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig));
    await run(directory, process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--project', directory]);
  });
}
