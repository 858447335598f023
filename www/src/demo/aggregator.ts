// The npm package's aggregator, as this server serves it to every page.
import type { Analytics, NewEvent } from '../lib/api';
import type { Raw } from './events';

export interface Aggregator {
  record(event: Raw): boolean;
  pending(max?: number): { events: NewEvent[] };
  drain(count: number): void;
  report(): Analytics;
  readonly pendingEvents: number;
  free(): void;
}

interface Module {
  default: () => Promise<unknown>;
  Aggregator: new () => Aggregator;
}

/** Loads it; it is a file of the server and not a part of this page. */
export async function load(): Promise<Module['Aggregator']> {
  const url = '/sdk/aggregator.js';
  const module = (await import(/* @vite-ignore */ url)) as Module;
  await module.default();
  return module.Aggregator;
}
