// kimball-edge load: a CSV file into a running server.

import { encodingOf } from '../load/text.mjs';
import { serverOptions } from './server-options.mjs';

export const command = 'load [FILE]';
export const describe = 'Load a CSV file of events into a running server';

const BATCH_MAX = 10_000;
const CONCURRENCY_MAX = 64;
const text = (describe, more = {}) => ({ type: 'string', requiresArg: true, describe, ...more });

export const builder = (yargs) => serverOptions(yargs)
  .positional('FILE', { type: 'string', describe: 'UTF-8 with a header line, or UTF-16 with a byte-order mark; gzip is recognised' })
  .options({
    user: text('the column of who did it', { default: 'user_id', group: 'Columns:' }),
    event: text('the column of what was done', { default: 'event', group: 'Columns:' }),
    value: text('the column of a number, summed once per user', { group: 'Columns:' }),
    time: text('the column of when; without an offset it is taken as UTC', { group: 'Columns:' }),
    namespace: text('the column of the namespace of each row', { group: 'Columns:' }),
    into: text('one namespace for all rows'),
    goal: text('makes this event a goal; may be given several times'),
    encoding: text('of another file: windows-1252 (Latin-1), utf-16le, shift_jis, …'),
    delimiter: text('between the columns; \\t for a tab', { default: ',' }),
    batch: text('rows per request', { default: '1000' }),
    concurrency: text('requests at a time; one user\'s rows stay in order', { default: '1' }),
  })
  .epilogue('With --time, what goes into a namespace that has no events yet is loaded as history, by an admin token: day after day, in the '
    + 'order of times, so that every day, week and month has its users. Loading is safe to repeat, in part or whole: only a user\'s first '
    + 'occurrence of an event counts.')
  .example('$0 load events.csv --goal purchase', 'columns user_id and event')
  .example('$0 load visits.csv.gz --user id --event action --time at', 'six months of them as history');

export async function handler(argv) {
  const { load } = await import('../load/load.mjs');
  const { FILE, into, namespace } = argv;
  if (FILE === undefined) throw new Error('name one FILE (--help lists the options)');
  if (into !== undefined && namespace !== undefined) throw new Error('--into and --namespace exclude each other');
  await load(FILE, {
    ...argv,
    goal: [argv.goal ?? []].flat(),
    encoding: argv.encoding === undefined ? undefined : encodingOf(argv.encoding),
    delimiter: argv.delimiter.replace('\\t', '\t'),
    batch: wholeNumber('batch', argv.batch, BATCH_MAX),
    concurrency: wholeNumber('concurrency', argv.concurrency, CONCURRENCY_MAX),
  });
}

function wholeNumber(name, given, max) {
  const number = Number(given);
  if (!/^\d+$/.test(given) || number < 1 || number > max) throw new Error(`--${name}: must be a whole number from 1 to ${max}, got "${given}"`);
  return number;
}
