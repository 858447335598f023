// For pages and bundlers: the wasm lies beside the script, and is fetched when it is needed.

import { Seen, begin, imports } from '#wasm/news';

export { Seen };

export async function load() {
  // Written like this, Vite and webpack find the file and take it along.
  const response = await fetch(new URL('./news.wasm', import.meta.url));
  if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
  // All at once: it is small, and some servers know no type for it.
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), imports());
  begin(instance);
}
