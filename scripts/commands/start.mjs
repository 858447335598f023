// kimball-edge start: serves, with variables from a file, the environment and flags.

import { readVariables, variableFlags, variablesOf } from './variables.mjs';

export const command = 'start';
export const describe = 'Serve, on http://127.0.0.1:8787 where nothing else is said';

const SERVER = {
  PORT: 'where to listen; 0 takes a free port (8787)',
  HOST: 'the address to listen on (127.0.0.1)',
  STATE_DIR: 'the directory of the databases (.state)',
};

export const builder = (yargs) => variableFlags(yargs, SERVER, 'Server:')
  .option('parent', { type: 'number', hidden: true })
  .example('$0 start', 'tries it out: without tokens, for this machine only')
  .example('$0 start --config kimball.env', 'HASH_KEY=…, API_TOKENS=… and whatever else in a file');

export async function handler(argv) {
  const { start } = await import('../serve/start.mjs');
  process.exitCode = await start(variablesOf(argv, { ...SERVER, ...readVariables() }, process.env), argv.parent);
}
