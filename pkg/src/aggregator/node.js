// For Node: the wasm is read from the file beside this one, at import.

import { readFileSync } from 'node:fs';

import { anonymousId, initSync } from '#wasm/aggregator';

import { Aggregator } from './report.js';

export { Aggregator, anonymousId };

initSync({ module: readFileSync(new URL('./aggregator.wasm', import.meta.url)) });

export default async function init() {
  // It is there; the function is, so that the same code runs in a page.
}
