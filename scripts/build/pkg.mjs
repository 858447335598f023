// The npm package: pkg.mjs build (makes pkg/dist), pkg.mjs pack (the tarball, into build/), pkg.mjs size (fails over the budgets).

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import binaryen from 'binaryen';

import { bundle } from './bundle.mjs';
import { thirdParty } from './third-party.mjs';
import { bindgen, bindgenVersion, WASM_OPT } from './wasm.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const PACKAGE = join(ROOT, 'pkg');
const DIST = join(PACKAGE, 'dist');
const WORK = join(ROOT, 'target/pkg');
const TARGET = 'wasm32-unknown-unknown';
const PROFILE = 'page';
/** The modules of WebAssembly, each by the feature of the crate that it is built with. */
const MODULES = { news: 'news', aggregator: 'browser' };

/** Bytes, gzip -9: what a page waits for, all that it fetches for the client, and the module for those who send by themselves. */
const BUDGETS = {
  'the shell': [3_072, ['index.js']],
  'the client, with all that it fetches': [20_480, ['index.js', 'parts.js', 'news.wasm']],
  'the module of the aggregator': [49_152, ['aggregator.wasm']],
};

/** A function that has one caller stays by itself: gzip finds more in two short ones than in a long one, 1.8 KB of 43. The first kilobyte of the memory
 * is the end of the stack, at which nothing is found by a constant. */
const SMALL = ['-Oz', '--one-caller-inline-max-function-size=20', '--low-memory-unused'];

/** What rustc uses; wasm-opt must know. */
const WASM_FEATURES = ['mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'bulk-memory', 'multivalue', 'reference-types',
  'simd'].map((name) => `--enable-${name}`);

const run = (program, args) => execFileSync(program, args, { cwd: ROOT, stdio: 'inherit' });
const ask = (program, ...args) => execFileSync(program, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();

const features = (feature) => ['--no-default-features', '--features', feature];

async function build() {
  for (const directory of [WORK, DIST]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
  }
  for (const [name, feature] of Object.entries(MODULES)) buildModule(name, feature);
  await bundle(DIST, WORK);
  for (const name of readdirSync(join(PACKAGE, 'src')).filter((file) => file.endsWith('.d.ts'))) {
    copyFileSync(join(PACKAGE, 'src', name), join(DIST, name));
  }
  // Whatever the smaller one contains is in the other one, too.
  writeFileSync(join(DIST, 'THIRD-PARTY.txt'), thirdParty(ROOT, features(MODULES.aggregator), 'aggregator.wasm'));
}

/** NAME.wasm in the package, and its glue NAME.js in the directory of work. */
function buildModule(name, feature) {
  // Panics name source files; whose machine they were on is nobody's business and would make every build another one.
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const flags = [[cargoHome, '/cargo'], [ROOT, '/kimball-edge']].map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  run('cargo', ['build', '--lib', '--locked', '--profile', PROFILE, '--target', TARGET, ...features(feature),
    '--config', `target.${TARGET}.rustflags=${JSON.stringify(flags)}`]);

  const targetDirectory = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const quiet = join(WORK, `${name}_quiet.wasm`);
  withoutMessages(join(targetDirectory, TARGET, PROFILE, 'kimball_edge.wasm'), quiet, name);
  bindgen('page', quiet, WORK, name);
  const [found, small] = [join(WORK, `${name}_bg.wasm`), join(WORK, `${name}_small.wasm`)];
  run(WASM_OPT, [found, ...SMALL, '--converge', '--strip-debug', '--strip-producers', '--strip-target-features', ...WASM_FEATURES, '-o', small]);
  const names = ask(WASM_OPT, small, ...SMALL, '--minify-imports-and-exports-and-modules', ...WASM_FEATURES, '-o', join(DIST, `${name}.wasm`));
  rename(name, JSON.parse(names));
}

/** What ends in a panic. */
const PANICS = /panic|slice_index_fail|capacity_overflow|handle_alloc_error|assert_failed|unwrap_failed|expect_failed|borrow_fail|throw/;

/** The module that no value of JavaScript enters, so that it needs no table of them. */
const WITHOUT_VALUES = 'news';

/** Nobody in a page reads what a panic has to say, and it is a sixth of the code of the smaller module: whatever panics just stops. */
function withoutMessages(from, to, name) {
  const module = binaryen.readBinary(readFileSync(from));
  const functions = Array.from({ length: module.getNumFunctions() }, (_, nth) => binaryen.getFunctionInfo(module.getFunctionByIndex(nth)));
  for (const { name: panic, params, results } of functions.filter((found) => !found.module && PANICS.test(found.name) && !/describe/.test(found.name))) {
    module.removeFunction(panic);
    module.addFunction(panic, params, results, [], module.unreachable());
  }
  if (name === WITHOUT_VALUES) module.setFeatures(module.getFeatures() & ~binaryen.Features.ReferenceTypes);
  writeFileSync(to, module.emitBinary());
}

/** The glue uses the names that wasm-opt has made short: long ones with hashes in them are a kilobyte of what a page fetches. */
function rename(name, { imports, exports }) {
  const glue = join(WORK, `${name}.js`);
  let text = readFileSync(glue, 'utf8');
  const replace = (from, to) => {
    const before = text;
    text = text.replaceAll(from, to);
    if (text === before) throw new Error(`${glue} has no ${from}`);
  };
  for (const [, long, short] of imports) replace(`        ${long}:`, `        ${short}:`);
  replace(`"./${name}_bg.js":`, 'a:');
  for (const [long, short] of exports) text = text.replace(new RegExp(`\\bwasm\\.${long}\\b`, 'g'), `wasm.${short}`);
  if (name === WITHOUT_VALUES) {
    // The client gives back what it has by itself.
    replace(/^const \w+Finalization = [^;]*;$/gm, '');
    replace(/^ *\w+Finalization\.(un)?register\(.*\);$/gm, '');
    replace(/^if \(Symbol\.dispose\).*$/gm, '');
  }
  // What begins it, for those who fetch it in their own way.
  writeFileSync(glue, `${text}\nexport { __wbg_get_imports as imports, __wbg_finalize_init as begin };\n`);
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
  const names = readdirSync(DIST).filter((name) => /^[\w-]+\.(js|wasm)$/.test(name));
  const sizes = Object.fromEntries(names.map((name) => [name, gzipSync(readFileSync(join(DIST, name)), { level: 9 }).length]));
  for (const [name, bytes] of Object.entries(sizes)) {
    console.log(`${name.padEnd(16)} ${String(statSync(join(DIST, name)).size).padStart(8)} bytes, gzip -9 ${String(bytes).padStart(6)}`);
  }
  for (const [what, [most, files]] of Object.entries(BUDGETS)) {
    const bytes = files.reduce((sum, name) => sum + sizes[name], 0);
    console.log(`${what} (${files.join(' + ')}): ${bytes} of ${most} bytes`);
    if (isStrict && bytes > most) {
      console.error(`make: ${what}: over the budget`);
      process.exitCode = 1;
    }
  }
}

const [command] = process.argv.slice(2);
switch (command) {
  case 'build': await build(); break;
  case 'pack': pack(); size(false); break;
  case 'size': size(true); break;
  default: throw new Error('usage: pkg.mjs build|pack|size');
}
