// For Cloudflare Workers and workerd, where wasm is compiled before the Worker starts and comes as a module.

import wasm from './aggregator.wasm';

import { anonymousId, initSync } from '#wasm/aggregator';

import { Aggregator } from './report.js';

export { Aggregator, anonymousId };

initSync({ module: wasm });

export default async function init() {
  // It is there; the function is, so that the same code runs in a page.
}
