// The hand-written JavaScript of the npm package as one module per entry and environment, minified for pages.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Private fields and top-level await as they are: a browser that lacks them lacks the WebAssembly, too. */
const TARGET = 'es2022';

/** The environments by how the names of their files end. */
const ENVIRONMENTS = { web: '', node: '.node', workerd: '.workerd' };

/** Writes `index*.js` and `aggregator*.js` into a directory; `glue` is the JavaScript that wasm-bindgen has made. */
export async function bundle(directory, glue) {
  for (const [environment, suffix] of Object.entries(ENVIRONMENTS)) {
    const links = {
      name: 'links',
      setup({ onResolve }) {
        onResolve({ filter: /^#wasm$/ }, () => ({ path: glue }));
        onResolve({ filter: /^\.\/aggregator\.wasm$/ }, ({ path }) => ({ path, external: true }));
        onResolve({ filter: /^\.\/aggregator\.js$/ }, () => ({ path: `./aggregator${suffix}.js`, external: true }));
      },
    };
    await build({
      absWorkingDir: ROOT,
      entryPoints: { [`index${suffix}`]: 'pkg/src/index.js', [`aggregator${suffix}`]: `pkg/src/aggregator/${environment}.js` },
      outdir: directory,
      bundle: true,
      charset: 'utf8',
      format: 'esm',
      legalComments: 'none',
      logLevel: 'warning',
      // Node shows the line of an error, and nobody downloads it for a page.
      minify: environment === 'web',
      platform: environment === 'node' ? 'node' : 'neutral',
      plugins: [links],
      target: TARGET,
    });
  }
}
