// The npm package's aggregator, as this server serves it to every page.
import type { Aggregator } from '../../../pkg/src/aggregator';

export type { Aggregator };

interface Module {
  default: () => Promise<unknown>;
  Aggregator: typeof Aggregator;
}

/** Loads it; it is a file of the server and not a part of this page. */
export async function load(): Promise<Module['Aggregator']> {
  const url = '/sdk/aggregator.js';
  const module = (await import(/* @vite-ignore */ url)) as Module;
  await module.default();
  return module.Aggregator;
}
