// Builds a Worker: index.js and index_bg.wasm, from a crate that exports `fetch` and Durable Objects.
//
//   worker.mjs [--crate DIR] [--features LIST] [--names] --objects CLASS,… --out DIR

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { buildSync } from 'esbuild';

import { bindgen, WASM_OPT } from './wasm.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const TARGET = 'wasm32-unknown-unknown';
/** What rustc and wasm-bindgen use. */
const WASM_FEATURES = ['mutable-globals', 'sign-ext', 'nontrapping-float-to-int', 'bulk-memory', 'multivalue', 'reference-types',
  'exception-handling', 'simd'].map((name) => `--enable-${name}`);

const { values: options } = parseArgs({
  options: {
    crate: { type: 'string', default: '.' },
    features: { type: 'string', default: '' },
    // The names of functions are a tenth of the compressed size: the Worker goes without them, the build with fault injection has them.
    names: { type: 'boolean', default: false },
    objects: { type: 'string' },
    out: { type: 'string' },
  },
});
const crate = join(ROOT, options.crate);
const work = join(ROOT, options.out, '.work');
const run = (program, args) => execFileSync(program, args, { cwd: crate, stdio: 'inherit' });

run('cargo', ['build', '--lib', '--locked', '--release', '--target', TARGET, '--features', options.features]);
rmSync(work, { recursive: true, force: true });
mkdirSync(work, { recursive: true });
const [, name] = /^name = "(.*)"$/m.exec(readFileSync(join(crate, 'Cargo.toml'), 'utf8'));
const target = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? join(crate, 'target'));
bindgen('worker', join(target, TARGET, 'release', `${name.replaceAll('-', '_')}.wasm`), work, 'glue');
run(WASM_OPT, [join(work, 'glue_bg.wasm'), '-O3', ...WASM_FEATURES, options.names ? '--debuginfo' : '--strip-debug', '-o', join(work, 'index_bg.wasm')]);

// workerd knows a module of wasm by its import alone, not the proposed `import source`.
const glue = join(work, 'glue.js');
writeFileSync(glue, readFileSync(glue, 'utf8').replace(/^import source (\w+) from ".\/glue_bg.wasm"/m, 'import $1 from "./index_bg.wasm"'));
buildSync({
  stdin: { contents: entry(options.objects.split(',')), resolveDir: work },
  outfile: join(work, 'index.js'),
  bundle: true,
  format: 'esm',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  external: ['./index_bg.wasm', 'cloudflare:*'],
});
for (const file of ['index_bg.wasm', 'index.js']) renameSync(join(work, file), join(ROOT, options.out, file));
rmSync(work, { recursive: true });

function entry(objects) {
  return `import * as wasm from './glue.js';
    import { over } from ${JSON.stringify(join(ROOT, 'src/edge/shim.js'))};
    const { Entrypoint, object } = over(wasm);
    export default Entrypoint;
    ${objects.map((name) => `export const ${name} = object(wasm.${name});`).join('\n')}`;
}
