// The npm package of the server: server.mjs lays out what it holds in build/server/ and packs that into build/.
//
// It holds the files of this repository that serving needs, under their own paths, so that the program in it is the one
// that make runs. Its dependencies are those of the workspace that are not for development only.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { thirdParty } from './third-party.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const OUT = join(ROOT, 'build/server');
const MANIFEST = 'pkg/server/package.json';
const CONTENT = [
  'scripts/kimball-edge.mjs', 'scripts/commands', 'scripts/serve', 'scripts/load', 'scripts/lib', 'demo/store.mjs', 'src/edge/guard.js',
  'selfhost/workerd.capnp', 'selfhost/bindings.capnp', 'selfhost/assets.js', 'wrangler.toml',
  'build/index.js', 'build/index_bg.wasm', 'build/assets', 'LICENSE',
];
/** What the build needs and the server does not: its files are in the assets. */
const BUILT_IN = ['swagger-ui-dist'];
const FEATURES = ['--no-default-features', '--features', 'edge'];

const json = (path) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));

rmSync(OUT, { recursive: true, force: true });
for (const path of CONTENT) {
  mkdirSync(dirname(join(OUT, path)), { recursive: true });
  cpSync(join(ROOT, path), join(OUT, path), { recursive: true });
}
cpSync(join(ROOT, 'pkg/server/README.md'), join(OUT, 'README.md'));
const dependencies = Object.fromEntries(Object.entries(json('package.json').dependencies).filter(([name]) => !BUILT_IN.includes(name)));
writeFileSync(join(OUT, 'package.json'), `${JSON.stringify({ ...json(MANIFEST), dependencies }, null, 2)}\n`);
writeFileSync(join(OUT, 'THIRD-PARTY.txt'), thirdParty(ROOT, FEATURES, 'build/index_bg.wasm'));

for (const name of readdirSync(join(ROOT, 'build'))) {
  if (/^kimball-edge-server-.*\.tgz$/.test(name)) rmSync(join(ROOT, 'build', name));
}
const made = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', join(ROOT, 'build')], {
  cwd: OUT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'],
});
const [{ filename, size, unpackedSize }] = JSON.parse(made);
console.log(`build/${basename(filename)}: ${size} bytes, ${unpackedSize} unpacked`);
