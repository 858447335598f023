// What every environment runs with the package that it has installed; the answer is the same everywhere.

import init, { Aggregator, anonymousId } from 'kimball-edge/aggregator';

export default async function exercise() {
  await init();
  await init();
  const key = new Uint8Array(32).fill(7);
  const aggregator = new Aggregator({ key });
  const at = '2026-11-24T10:11:12Z';
  const news = ['Login', 'Buy', 'Login', 'Buy'].map((event) => aggregator.record({ event, user: 'ann', at, value: event === 'Buy' ? 2.5 : null }));
  const repeat = aggregator.record({ event: 'Buy', user: 'ann', at });
  const weekly = new Aggregator({ preAggregate: 'week' });
  const isAsWanted = String(['Login', 'Buy', 'Login'].map((event) => weekly.record({ event, user: 'ann', at }))) === 'first,first,false';
  const copy = Aggregator.fromBytes(aggregator.toBytes());
  const isExact = String(copy.toBytes()) === String(aggregator.toBytes());
  const other = new Aggregator({ key });
  other.record({ event: 'Login', user: 7, at });
  copy.merge(other);
  let refusal;
  try {
    aggregator.record({ event: '', user: 'ann' });
  } catch (error) {
    refusal = error.message;
  }
  const pending = aggregator.pendingEvents;
  const batch = aggregator.drain();
  const eventIds = new Set(batch.events.map(({ id }) => id)).size;
  for (const event of batch.events) delete event.id;
  const outcome = {
    news, repeat, eventIds, isAsWanted, isExact, pending, batch, left: aggregator.pendingEvents, report: aggregator.report(), merged: copy.report(),
    isSaturated: aggregator.isSaturated, passedUnseen: aggregator.passedUnseen, isCounted: aggregator.memoryBytes > 0,
    refused: refusal?.includes('event') === true, ids: new Set([anonymousId(), anonymousId()]).size, id: /^[0-9a-f]{32}$/.test(anonymousId()),
  };
  for (const used of [aggregator, copy, other, weekly]) used.free();
  return outcome;
}
