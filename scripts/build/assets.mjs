// Puts the files that lie beside the Worker together: assets.mjs DIRECTORY. Only what pages refer to is taken from packages.

import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const VIEWER = 'node_modules/swagger-ui-dist';
const PACKAGE = 'pkg/dist';
const DASHBOARD = 'www/dist';
const FILES = {
  'api-docs/index.html': 'www/api-docs/index.html',
  'api-docs/page.js': 'www/api-docs/page.js',
  'api-docs/openapi.json': 'www/api-docs/openapi.json',
  'api-docs/swagger.json': 'www/api-docs/openapi.json',
  'api-docs/swagger-ui.css': `${VIEWER}/swagger-ui.css`,
  'api-docs/swagger-ui-bundle.js': `${VIEWER}/swagger-ui-bundle.js`,
  'api-docs/swagger-ui-bundle.js.LICENSE.txt': `${VIEWER}/swagger-ui-bundle.js.LICENSE.txt`,
  'api-docs/favicon-32x32.png': `${VIEWER}/favicon-32x32.png`,
  'index.html': `${DASHBOARD}/index.html`,
};

for (const name of readdirSync(join(ROOT, DASHBOARD, 'dashboard'))) FILES[`dashboard/${name}`] = `${DASHBOARD}/dashboard/${name}`;


// What pages load, and the licences of it; not what other environments do.
for (const name of readdirSync(join(ROOT, PACKAGE))) {
  if (/^[\w-]+\.(js|wasm|txt)$/.test(name)) FILES[`sdk/${name}`] = `${PACKAGE}/${name}`;
}

const [directory] = process.argv.slice(2);
if (!directory) throw new Error('usage: assets.mjs DIRECTORY');
// The directory itself stays: a server that is running has it open.
mkdirSync(directory, { recursive: true });
for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true });
for (const [name, source] of Object.entries(FILES)) {
  const target = join(directory, name);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(join(ROOT, source), target);
}
