// Builds the core as for a page and runs its benchmark under Node: `make bench` does this.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { ROOT } from '../serve/server.mjs';
import { bindgen, WASM_OPT } from '../build/wasm.mjs';

// What rustc enables by default, and SIMD; wasm-opt must not use more, because Node 20 would not load it.
const FEATURES = ['simd', 'bulk-memory', 'nontrapping-float-to-int', 'sign-ext', 'mutable-globals', 'reference-types', 'multivalue']
  .map((name) => `--enable-${name}`);
const out = join(ROOT, 'target/bench-wasm');
const run = (command, ...args) => execFileSync(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });

run('cargo', 'build', '--release', '--example', 'bench_wasm', '--features', 'browser', '--target', 'wasm32-unknown-unknown');
bindgen('node', join(ROOT, 'target/wasm32-unknown-unknown/release/examples/bench_wasm.wasm'), out, 'bench_wasm');
run(WASM_OPT, '-O3', ...FEATURES, '-o', join(out, 'bench_wasm_bg.wasm'),
  join(out, 'bench_wasm_bg.wasm'));
writeFileSync(join(out, 'package.json'), '{"type":"commonjs"}');

console.log(`In WebAssembly under Node ${process.version}`);
console.log(createRequire(import.meta.url)(join(out, 'bench_wasm.js')).run(() => performance.now()));
