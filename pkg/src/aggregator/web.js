// For pages and bundlers: the wasm lies beside this file, and is fetched when `init` is called.

import load, { anonymousId } from '#wasm/aggregator';

import { Aggregator } from './report.js';

export { Aggregator, anonymousId };

// Written like this, Vite and webpack find the file and take it along.
export default async function init(input = new URL('./aggregator.wasm', import.meta.url)) {
  await load({ module_or_path: input });
}
