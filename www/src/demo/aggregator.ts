// The npm package's aggregator, as this server serves it to every page.
import type { Aggregator } from '../../../pkg/src/aggregator';
import { at } from '../lib/place';

export type { Aggregator };

interface Module {
  default: () => Promise<unknown>;
  Aggregator: typeof Aggregator;
}

/** Loads it; it is a file of the server and not a part of this page. */
export async function load(): Promise<Module['Aggregator']> {
  const module = (await import(/* @vite-ignore */ at('/sdk/aggregator.js'))) as Module;
  await module.default();
  return module.Aggregator;
}
