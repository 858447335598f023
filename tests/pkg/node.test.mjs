// The installed package in Node, by the conditions that Node itself chooses.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { serve } from '../http/harness/server.mjs';
import { LOGINS, MODULES, OUTCOME, everything } from './harness/outcome.mjs';
import { project, run, start } from './harness/project.mjs';

const server = await serve({ after });
const { directory } = await project({ after }, {
  'start.js': await start('start.js', server.url),
  ...MODULES,
  'main.js': `${everything(server.url)}console.log(JSON.stringify(outcome));\n`,
  'relative.js': `import { KimballClient } from 'kimball-edge';
const codes = [];
const client = new KimballClient({ url: '/kimball', onError: ({ code }) => codes.push(code) });
client.track('Login');
const isSent = await client.flush();
let refused;
try {
  new KimballClient({ url: 'ftp://a.example' });
} catch ({ name }) {
  refused = name;
}
console.log(JSON.stringify({ codes, state: client.state(), isSent, refused }));
`,
  'resolve.js': 'for (const name of process.argv.slice(2)) console.log(import.meta.resolve(name));\n',
  'require.cjs': 'import(\'kimball-edge/aggregator\').then(({ default: init }) => init()).then(() => console.log(\'loaded\'));\n',
});
const node = async (...args) => (await run(directory, process.execPath, args)).stdout.trim();

test('the start of the README counts', async () => {
  await node('start.js');
  const { counts, users } = await server.analytics();
  assert.deepEqual(counts.map(({ name, count }) => [name, count]), [['Login', 1]]);
  assert.equal(users, 1);
});

test('the aggregator and the client do all that they do, and let the process end', async () => {
  assert.deepEqual(JSON.parse(await node('main.js')), OUTCOME);
  const { counts } = await server.analytics();
  assert.deepEqual(counts.map(({ name, count }) => [name, count]), [['Login', LOGINS]]);
});

test('conditions choose the file of the environment', async () => {
  const chosen = async (...conditions) => (await node(...conditions.map((name) => `--conditions=${name}`), 'resolve.js', 'kimball-edge', 'kimball-edge/aggregator'))
    .split('\n').map((url) => url.split('/').pop());
  assert.deepEqual(await chosen(), ['index.node.js', 'aggregator.node.js']);
  assert.deepEqual(await chosen('workerd', 'worker', 'browser'), ['index.workerd.js', 'aggregator.workerd.js']);
});

test('CommonJS gets it by import()', async () => {
  assert.equal(await node('require.cjs'), 'loaded');
});

test('a relative address, where there is no page: it is said at once, and nothing is thrown or sent', async () => {
  const told = JSON.parse(await node('relative.js'));
  assert.deepEqual(told, { codes: ['invalid', 'closed', 'closed'], state: 'closed', isSent: false, refused: 'TypeError' });
});
