// Compiled, never run: what the types of the client allow.

import { KimballClient, type KimballError, type KimballOptions, type KimballState } from 'kimball-edge';
import * as parts from 'kimball-edge/parts';

const options: KimballOptions = {
  url: 'https://analytics.example',
  memory: { memoryBytesMax: 1 << 16 },
  preAggregate: false,
  optedOut: true,
  featuresTimeoutMs: undefined,
  onError: (error: KimballError) => console.log(error.code, error.count),
  parts: async () => parts,
};

export async function everything(): Promise<boolean> {
  const client = new KimballClient(options);
  await client.track('Buy', { value: 2.5, ensureGoal: true, namespace: 'shop', at: new Date() });
  await client.identify(7, { plan: 'pro' });
  await client.identify(null);
  const state: KimballState = client.state();
  console.log(state === 'counting');
  const stop = client.onChange((features) => console.log(features['new-checkout']));
  stop();
  const isOn: boolean = await client.feature('new-checkout', true);
  await client.optOut();
  await client.optIn();
  await client.track('Buy', null);
  // @ts-expect-error a user id is a text or a number
  client.identify({});
  // @ts-expect-error an event has a name
  client.track();
  // @ts-expect-error a value is a number
  client.track('Buy', { value: '2.5' });
  return isOn && (await client.flush()) && (await client.close());
}
