// The hand-written JavaScript of the npm package as modules for each environment, minified for pages.

import { readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), '../../pkg/src');

/** Private fields and top-level await as they are: a browser that lacks them lacks the WebAssembly, too. */
const TARGET = 'es2022';

/** Properties by which only our own modules know each other, and their names for pages: none is stored, sent, or of the browser. */
const INTERNAL = {
  admit: 'a', alone: 'b', choose: 'c', identity: 'd', isMuted: 'e', isStored: 'f', known: 'g', properties: 'h', soon: 'i', taken: 'j', learnOut: 'k',
  consent: 'l', departures: 'm', claim: 'n', isGone: 'o', going: 'p', newsOf: 'q', newsOfHeld: 'r', traceOf: 's', settle: 't', presence: 'u',
  hasFailed: 'v', pauseMs: 'w', forbiddenMs: 'x', writeAndGo: 'y', adopt: 'z', hold: 'A', lapse: 'B', lose: 'C', refuse: 'D', found: 'E', kept: 'F',
  latest: 'G', backOff: 'H', succeed: 'I', obey: 'J', hasLater: 'K', states: 'L', verdict: 'M', forget: 'N', stored: 'O', touch: 'P', note: 'Q',
};
const SHORT_NAMES = { mangleProps: new RegExp(`^(${Object.keys(INTERNAL).join('|')})$`), mangleCache: INTERNAL };

/** The environments by how the names of their files end. */
const ENVIRONMENTS = { web: '', node: '.node', workerd: '.workerd' };

/**
 * Writes every module that lies directly in pkg/src, and the aggregator, into a directory. These load each other by the
 * names of the environment; whatever else they import becomes part of them. `glues` is the directory with the JavaScript that wasm-bindgen has
 * made for each module of WebAssembly.
 */
export async function bundle(directory, glues) {
  const names = readdirSync(SOURCES).filter((name) => name.endsWith('.js')).map((name) => basename(name, '.js'));
  for (const [environment, suffix] of Object.entries(ENVIRONMENTS)) {
    const modules = { aggregator: `aggregator/${environment}.js`, ...Object.fromEntries(names.map((name) => [name, `${name}.js`])) };
    const links = {
      name: 'links',
      setup({ onResolve }) {
        onResolve({ filter: /^#wasm\/\w+$/ }, ({ path }) => ({ path: join(glues, `${basename(path)}.js`) }));
        onResolve({ filter: /^#environment$/ }, ({ resolveDir }) => ({ path: join(resolveDir, `${environment}.js`) }));
        onResolve({ filter: /^\.\/\w+\.wasm$/ }, ({ path }) => ({ path, external: true }));
        onResolve({ filter: /^\.\.?\/[\w-]+\.js$/ }, ({ kind, path, resolveDir }) => {
          const name = basename(path, '.js');
          const isModule = kind !== 'entry-point' && resolve(resolveDir, path) === join(SOURCES, `${name}.js`);
          return isModule ? { path: `./${name}${suffix}.js`, external: true } : undefined;
        });
      },
    };
    await build({
      absWorkingDir: SOURCES,
      entryPoints: Object.fromEntries(Object.entries(modules).map(([name, source]) => [`${name}${suffix}`, `./${source}`])),
      outdir: directory,
      bundle: true,
      charset: 'utf8',
      format: 'esm',
      legalComments: 'none',
      logLevel: 'warning',
      // Node shows the line of an error, and nobody downloads it for a page.
      minify: environment === 'web',
      ...(environment === 'web' && SHORT_NAMES),
      platform: environment === 'node' ? 'node' : 'neutral',
      plugins: [links],
      target: TARGET,
    });
  }
}
