// The tools that every build of a wasm uses.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');

export const WASM_OPT = join(ROOT, 'node_modules/.bin/wasm-opt');

/** Takes the bindings out of a wasm: NAME.js and NAME_bg.wasm in `directory`, for a `page`, a `worker` or `node`. */
export function bindgen(target, wasm, directory, name) {
  execFileSync(join(ROOT, '.tools/bin/bindgen'), [target, wasm, directory, name], { stdio: 'inherit' });
}

/** The version of wasm-bindgen that it is for. */
export const bindgenVersion = () => /^wasm-bindgen-cli-support = "=(.*)"$/m.exec(readFileSync(join(ROOT, 'scripts/build/bindgen/Cargo.toml'), 'utf8'))[1];
