// kimball-edge demo: the example's online store, on a running server.

import { serverOptions } from './server-options.mjs';

export const command = 'demo';
export const describe = 'Play an online store against a running server, and show which ways led to a purchase';

export const builder = (yargs) => serverOptions(yargs).option('namespace', {
  type: 'string', requiresArg: true, default: process.env.NAMESPACE || 'demo', defaultDescription: 'NAMESPACE, or demo', describe: 'where to play it',
});

export async function handler({ url, token, namespace }) {
  const { demo } = await import('../load/demo.mjs');
  await demo({ url, token, namespace });
}
