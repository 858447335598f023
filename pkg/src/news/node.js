// For Node: the wasm is read from the file beside the script.

import { readFileSync } from 'node:fs';

import { Seen, begin, imports } from '#wasm/news';

export { Seen };

export async function load() {
  const { instance } = await WebAssembly.instantiate(readFileSync(new URL('./news.wasm', import.meta.url)), imports());
  begin(instance);
}
