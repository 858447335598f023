// For Cloudflare Workers and workerd, where wasm is compiled before the Worker starts and comes as a module.

import wasm from './news.wasm';

import { Seen, begin, imports } from '#wasm/news';

export { Seen };

export async function load() {
  begin(await WebAssembly.instantiate(wasm, imports()));
}
