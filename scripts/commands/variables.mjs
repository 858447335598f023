// The variables of the server, as flags, in a file, and in the environment: a flag is said last and counts, then the
// environment, then the file.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';

import { ROOT } from '../serve/server.mjs';

const BINDINGS = join(ROOT, 'selfhost/bindings.capnp');
const BOUND = /\(name = "(\w+)", fromEnvironment = "\w+"\), *# *(.+)$/gm;
const NAME = /^[A-Z][A-Z0-9_]*$/;

/** The Worker's variables with what they are for, from the one file that binds them. */
export function readVariables() {
  return Object.fromEntries([...readFileSync(BINDINGS, 'utf8').matchAll(BOUND)].map(([, name, what]) => [name, what]));
}

export const flagOf = (name) => name.toLowerCase().replaceAll('_', '-');

/** Adds a flag for each variable, and one for the file of them. */
export function variableFlags(yargs, first, group) {
  const all = { ...first, ...readVariables() };
  for (const [name, describe] of Object.entries(all)) {
    const of = name in first ? group : 'Worker:';
    yargs.option(flagOf(name), { type: 'string', requiresArg: true, describe, group: of });
  }
  return yargs
    .option('config', { type: 'string', requiresArg: true, group, describe: 'a file of variables, a line each: NAME=value' })
    .epilogue('Every flag is a variable of the environment too (--api-tokens is API_TOKENS); tokens and keys are better kept there or in the file, '
      + 'for everybody on a machine can read the flags of its processes. README.md, "Configuration", says what each means.');
}

/**
 * The variables that were given: the environment of the process, and of the others the known ones.
 * @throws {Error} where the file cannot be read or has something else
 */
export function variablesOf(argv, known, environment) {
  const flags = Object.keys(known).filter((name) => argv[flagOf(name)] !== undefined).map((name) => [name, argv[flagOf(name)]]);
  const file = argv.config === undefined ? {} : variablesOfFile(argv.config, known);
  const set = Object.entries(environment).filter(([name, value]) => value !== '' || !(name in file));
  return { ...file, ...Object.fromEntries(set), ...Object.fromEntries(flags) };
}

function variablesOfFile(path, known) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`--config: ${path} cannot be read (${error.code})`);
  }
  const lines = text.split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    // A value in quotes may go on over lines; parseEnv knows, and what it makes of them is looked at below.
    const name = /^\s*(?:export\s+)?([^=#\s]+)\s*=/.exec(line)?.[1];
    if (name !== undefined && NAME.test(name) && !(name in known)) {
      throw new Error(`--config: ${path}, line ${index + 1}: there is no variable ${name}${closest(name, known)}`);
    }
    if (index === 0 && /^\s*[{[]/.test(line)) throw new Error(`--config: ${path}, line 1: a line is NAME=value, and this is JSON`);
  }
  return parseEnv(text);
}

/** The variable that was meant, where one has the same letters or begins alike. */
function closest(name, known) {
  const plain = (text) => text.replaceAll('_', '');
  const meant = Object.keys(known).find((other) => plain(other) === plain(name) || other.startsWith(name) || name.startsWith(other));
  return meant === undefined ? '' : `; is it ${meant}?`;
}
