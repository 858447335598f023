// The npm package: pkg.mjs build (makes pkg/dist), pkg.mjs pack (the tarball, into build/), pkg.mjs size (fails over the budgets).

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { bundle } from './bundle.mjs';
import { thirdParty } from './third-party.mjs';
import { bindgen, bindgenVersion, WASM_OPT } from './wasm.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const PACKAGE = join(ROOT, 'pkg');
const DIST = join(PACKAGE, 'dist');
const WORK = join(ROOT, 'target/pkg');
const TARGET = 'wasm32-unknown-unknown';
const PROFILE = 'page';
const FEATURES = ['--no-default-features', '--features', 'browser'];

/** Bytes, gzip -9. */
const SHELL_BYTES_MAX = 3_072;
const SHELL_AND_WASM_BYTES_MAX = 45_056;

/** A function that has one caller stays by itself: gzip finds more in two short ones than in a long one, 1.8 KB of 43. */
const SMALL = ['-Oz', '--one-caller-inline-max-function-size=20'];

/** What rustc uses; wasm-opt must know. */
const WASM_FEATURES = ['mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'bulk-memory', 'multivalue', 'reference-types',
  'simd'].map((name) => `--enable-${name}`);

const run = (program, args) => execFileSync(program, args, { cwd: ROOT, stdio: 'inherit' });
const ask = (program, ...args) => execFileSync(program, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();

async function build() {
  // Panics name source files; whose machine they were on is nobody's business and would make every build another one.
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const flags = [[cargoHome, '/cargo'], [ROOT, '/kimball-edge']].map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  run('cargo', ['build', '--lib', '--locked', '--profile', PROFILE, '--target', TARGET, ...FEATURES,
    '--config', `target.${TARGET}.rustflags=${JSON.stringify(flags)}`]);

  for (const directory of [WORK, DIST]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  const targetDirectory = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  bindgen('page', join(targetDirectory, TARGET, PROFILE, 'kimball_edge.wasm'), WORK, 'glue');
  run(WASM_OPT, [join(WORK, 'glue_bg.wasm'), ...SMALL, '--converge', '--strip-debug',
    '--strip-producers', '--strip-target-features', ...WASM_FEATURES, '-o', join(WORK, 'small.wasm')]);
  const names = ask(WASM_OPT, join(WORK, 'small.wasm'), ...SMALL, '--minify-imports-and-exports-and-modules', ...WASM_FEATURES,
    '-o', join(DIST, 'aggregator.wasm'));
  rename(join(WORK, 'glue.js'), JSON.parse(names));
  await bundle(DIST, join(WORK, 'glue.js'));
  for (const name of readdirSync(join(PACKAGE, 'src')).filter((file) => file.endsWith('.d.ts'))) {
    copyFileSync(join(PACKAGE, 'src', name), join(DIST, name));
  }
  writeFileSync(join(DIST, 'THIRD-PARTY.txt'), thirdParty(ROOT, FEATURES, 'aggregator.wasm'));
}

/** The glue uses the names that wasm-opt has made short: long ones with hashes in them are a kilobyte of what a page fetches. */
function rename(glue, { imports, exports }) {
  let text = readFileSync(glue, 'utf8');
  const replace = (from, to) => {
    if (!text.includes(from)) throw new Error(`${glue} has no ${from}`);
    text = text.replaceAll(from, to);
  };
  for (const [, name, short] of imports) replace(`        ${name}:`, `        ${short}:`);
  replace('"./glue_bg.js":', 'a:');
  for (const [name, short] of exports) text = text.replace(new RegExp(`\\bwasm\\.${name}\\b`, 'g'), `wasm.${short}`);
  writeFileSync(glue, text);
}

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** From what, with what and into what the package was built. */
function provenance() {
  const manifest = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  const version = (name) => JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version;
  const files = readdirSync(DIST).filter((name) => name !== 'provenance.json').sort();
  return {
    name: manifest.name,
    version: manifest.version,
    ...commit(),
    tools: {
      rustc: ask('rustc', '--version'),
      'wasm-bindgen': bindgenVersion(),
      binaryen: version('binaryen'),
      esbuild: version('esbuild'),
    },
    inputs: Object.fromEntries(['Cargo.lock', 'package-lock.json'].map((name) => [name, sha256(join(ROOT, name))])),
    files: Object.fromEntries(files.map((name) => [name, sha256(join(DIST, name))])),
  };
}

/** The commit, and whether the sources differ from it; nothing where the sources are no repository. */
function commit() {
  try {
    return { commit: ask('git', 'rev-parse', 'HEAD'), isModified: ask('git', 'status', '--porcelain') !== '' };
  } catch {
    return { commit: null };
  }
}

function pack() {
  writeFileSync(join(DIST, 'provenance.json'), `${JSON.stringify(provenance(), null, 2)}\n`);
  copyFileSync(join(ROOT, 'LICENSE'), join(PACKAGE, 'LICENSE'));
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const made = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', join(ROOT, 'build')], {
    cwd: PACKAGE, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [{ filename, size, unpackedSize }] = JSON.parse(made);
  console.log(`build/${basename(filename)}: ${size} bytes, ${unpackedSize} unpacked`);
}

function size(isStrict) {
  const gzipped = (name) => gzipSync(readFileSync(join(DIST, name)), { level: 9 }).length;
  const sizes = Object.fromEntries(readdirSync(DIST).filter((name) => /^[\w-]+\.(js|wasm)$/.test(name)).map((name) => [name, gzipped(name)]));
  for (const [name, bytes] of Object.entries(sizes)) {
    console.log(`${name.padEnd(16)} ${String(statSync(join(DIST, name)).size).padStart(8)} bytes, gzip -9 ${String(bytes).padStart(6)}`);
  }
  const shell = sizes['index.js'];
  const shellAndWasm = shell + sizes['aggregator.wasm'];
  const all = Object.values(sizes).reduce((sum, bytes) => sum + bytes, 0);
  console.log(`shell: ${shell} of ${SHELL_BYTES_MAX} bytes; shell + wasm: ${shellAndWasm} of ${SHELL_AND_WASM_BYTES_MAX} bytes; `
    + `with the JavaScript that is loaded behind it: ${all} bytes`);
  if (isStrict && (shell > SHELL_BYTES_MAX || shellAndWasm > SHELL_AND_WASM_BYTES_MAX)) {
    console.error('make: the package is over its budget');
    process.exitCode = 1;
  }
}

const [command] = process.argv.slice(2);
switch (command) {
  case 'build': await build(); break;
  case 'pack': pack(); size(false); break;
  case 'size': size(true); break;
  default: throw new Error('usage: pkg.mjs build|pack|size');
}
