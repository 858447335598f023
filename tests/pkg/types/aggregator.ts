// Compiled, never run: what the types of the aggregator allow, and what they do not.

import init, { Aggregator, anonymousId } from 'kimball-edge/aggregator';
import type { AggregatorOptions, Analytics, Batch, Level, RawEvent, WireEvent } from 'kimball-edge/aggregator';

const options: AggregatorOptions = { memoryBytesMax: 1 << 20, pendingBytesMax: 1 << 20, nameBytesMax: 64, weekly: true, preAggregate: 'day', key: new Uint8Array(32) };
const raw: RawEvent = { event: 'Login', user: 7, value: null, at: new Date(), ensureGoal: true, namespace: 'shop' };

export async function use(): Promise<WireEvent[]> {
  await init();
  await init('/aggregator.wasm');
  await init(new URL('https://analytics.example/sdk/aggregator.wasm'));
  await init(fetch('/aggregator.wasm'));
  await init(new Uint8Array(8));
  const user: string = anonymousId();
  using aggregator = new Aggregator(options);
  const news: 'first' | 'order' | false = aggregator.record(raw) || aggregator.record({ event: 'Login', user, at: 0 }) || aggregator.record({ event: 'Login', user, at: '2026-11-24' });
  const batch: Batch = aggregator.pending();
  const kept: Level = batch.kept;
  const report: Analytics = aggregator.report('shop');
  const sum: number = (report.counts[0]?.value.sum ?? 0) + report.users + aggregator.passedUnseen + aggregator.memoryBytes;
  const copy = Aggregator.fromBytes(aggregator.toBytes(), { weekly: news === 'first' });
  copy.merge(aggregator);
  copy.free();
  return aggregator.isSaturated || sum > 0 || kept === 'week' ? batch.events : aggregator.drain(10).events;
}

export function misuse(aggregator: Aggregator): void {
  // @ts-expect-error a user must be named
  aggregator.record({ event: 'Login' });
  // @ts-expect-error names are texts
  aggregator.record({ event: 1, user: 'ann' });
  // @ts-expect-error no such field
  aggregator.record({ event: 'Login', user: 'ann', goal: true });
  // @ts-expect-error counts cannot be set
  aggregator.pendingEvents = 0;
  // @ts-expect-error true says nothing
  new Aggregator({ preAggregate: true });
  // @ts-expect-error keys are bytes
  new Aggregator({ key: '00' });
  // @ts-expect-error bytes are asked for
  Aggregator.fromBytes('00');
}
