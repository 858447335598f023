// What the licences of the crates inside the package's wasm ask for: their names, and their texts where they are not ours.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const head = (wasm) => `${wasm} contains code of these projects, in Rust, and of Rust's standard library (MIT OR Apache-2.0).

Those that offer Apache-2.0 are used under it; its text is in the file LICENSE. The texts of the others follow.
`;

/** The text of THIRD-PARTY.txt: every crate that is compiled into the wasm of this name with these cargo arguments. */
export function thirdParty(root, args, wasm) {
  const query = ['metadata', '--format-version', '1', '--locked', '--filter-platform', 'wasm32-unknown-unknown', ...args];
  const metadata = JSON.parse(execFileSync('cargo', query, { cwd: root, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] }));
  const crates = linked(metadata).sort((a, b) => (a.name < b.name ? -1 : 1));
  const list = crates.map(({ name, version, license }) => `${name} ${version} (${license})`);
  const texts = crates.filter(({ license }) => !offersApache(license)).map(({ name, license, manifest_path }) => {
    const directory = dirname(manifest_path);
    const files = readdirSync(directory).filter((file) => /^(licen[cs]e|copying|unlicense)/i.test(file)).sort();
    if (files.length === 0) throw new Error(`${name} (${license}) comes without the text of its licence`);
    const text = files.map((file) => readFileSync(join(directory, file), 'utf8').replaceAll('\r\n', '\n').trim()).join('\n\n');
    return `${'-'.repeat(80)}\n${name}\n\n${text}\n`;
  });
  return `${head(wasm)}\n${list.join('\n')}\n\n${texts.join('\n')}`;
}

/** An expression such as `MIT OR Apache-2.0`, of which one part is enough. */
function offersApache(license) {
  return !/\bAND\b|\bWITH\b/.test(license) && license.split(/ OR |\//).includes('Apache-2.0');
}

/** The packages that end up in the artefact: neither build scripts' nor macros' own. */
function linked({ packages, resolve }) {
  const byId = new Map(packages.map((item) => [item.id, item]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const seen = new Set();
  const pending = [resolve.root];
  while (pending.length > 0) {
    const id = pending.pop();
    if (seen.has(id) || byId.get(id).targets.some(({ kind }) => kind.includes('proc-macro'))) continue;
    seen.add(id);
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      if (kinds.some(({ kind }) => kind === null)) pending.push(pkg);
    }
  }
  seen.delete(resolve.root);
  return [...seen].map((id) => byId.get(id));
}
