#!/usr/bin/env node
// The program kimball-edge: what the npm package kimball-edge-server, make, the container and the systemd unit run. A
// command is a file in commands/; all of an error that a user sees is one line.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';

import * as demo from './commands/demo.mjs';
import * as deploy from './commands/deploy.mjs';
import * as doctor from './commands/doctor.mjs';
import * as healthcheck from './commands/healthcheck.mjs';
import * as load from './commands/load.mjs';
import * as start from './commands/start.mjs';
import { ROOT } from './serve/server.mjs';

const COMMANDS = [start, demo, load, deploy, doctor, healthcheck];
const WIDTH_MAX = 120;

const program = yargs(hideBin(process.argv));
program
  .scriptName('kimball-edge')
  .usage('$0 COMMAND [OPTIONS]\n\nUnique users, goals and feature flags that store nothing about who did what.')
  .parserConfiguration({ 'boolean-negation': false, 'dot-notation': false, 'parse-positional-numbers': false })
  .command(COMMANDS)
  .demandCommand(1, 1, 'name a command (--help lists them)', 'one command at a time')
  .strict()
  .recommendCommands()
  .completion('completion', 'Print a script that completes commands and options in bash or zsh')
  .version(version())
  .middleware(onlyOnce, true)
  .wrap(Math.min(program.terminalWidth(), WIDTH_MAX))
  .exitProcess(false)
  .fail((message, error) => { throw error ?? new Error(message); });
try {
  await program.parseAsync();
} catch (error) {
  const [name] = hideBin(process.argv);
  const command = COMMANDS.some(({ command: form }) => form.split(' ')[0] === name) ? ` ${name}` : '';
  console.error(`kimball-edge${command}: ${asGiven(error.message)}`);
  process.exit(1);
}

/** What is unknown, as it was typed: yargs leaves the dashes out. */
function asGiven(message) {
  return message.replace(/^(Unknown arguments?): (.*)$/s, (_, what, names) => `${what}: ${names.split(', ')
    .map((name) => hideBin(process.argv).find((given) => given.replace(/^-+/, '').split('=')[0] === name) ?? name).join(', ')}`);
}

/** In a clone it stands with the package's sources, in the package itself at its root. */
function version() {
  const [path] = ['pkg/server/package.json', 'package.json'].map((name) => join(ROOT, name)).filter(existsSync);
  return JSON.parse(readFileSync(path, 'utf8')).version;
}

/** An option that is given twice would be a list, which no command expects but where it says so. */
function onlyOnce(argv) {
  for (const [name, value] of Object.entries(argv)) {
    if (Array.isArray(value) && name !== '_' && name !== 'goal' && !/[A-Z]/.test(name)) throw new Error(`--${name}: given more than once`);
  }
}
