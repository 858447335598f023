// Plays the example's online store against a running server and shows which ways led to a purchase.
//
// Playing it again changes nothing, because every user's first occurrence of an event is the only one that counts.

import Table from 'cli-table3';

import { Client, Refusal } from '../lib/client.mjs';
import { startProgress } from '../lib/progress.mjs';
import { GOAL, combinationKey, expectedGoal, storeEvents } from '../../demo/store.mjs';

const BATCH_EVENTS = 100;
// A user set takes a new user for a known one with a probability of at most 1 in 10,000; of the about 1,800 look-ups
// here hardly ever one. Each shifts the counts of two combinations at most.
const SHIFTED_USERS_MAX = 8;

/**
 * Plays the store into a namespace of the server at `url`, and prints what it then counts.
 * @throws {Error} of one line
 */
export async function demo({ url, token, namespace }) {
  const client = new Client(url, token);
  try {
    await send(client, storeEvents(namespace));
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) throw new Error(`${error.message}; set TOKEN to one of its tokens`);
    throw error;
  }
  const { counts, users } = await client.report(namespace);
  // Where COUNTERS says so, events have counters of their weeks as well.
  const named = counts.filter(({ type }) => type === 'named');
  const goal = named.find(({ name }) => name === GOAL);
  if (goal === undefined) throw new Error(`the report of namespace "${namespace}" lacks "${GOAL}"`);

  console.log(`\n${users} users, ${goal.count} of them reached "${GOAL}", worth ${(goal.value.sum ?? 0).toFixed(2)} in total.\n`);
  console.log(combinationTable(goal));
  console.log(singleEventTable(named, goal, users));
  verify(goal);
  console.log(`All of it: curl '${url.replace(/\/+$/, '')}/v0/analytics?namespace=${encodeURIComponent(namespace)}'`);
}

async function send(client, events) {
  const bar = startProgress('Playing the store {bar} {percentage}% | {value}/{total} events', events.length);
  try {
    for (let from = 0; from < events.length; from += BATCH_EVENTS) {
      const batch = events.slice(from, from + BATCH_EVENTS);
      await client.postEvents(batch);
      bar.increment(batch.length);
    }
  } finally {
    bar.stop();
  }
}

function combinationTable({ count, event_counts: combinations, event_counts_other: other }) {
  const table = newTable(`Before "${GOAL}" they did`, 'users', 'share');
  for (const { events, count: users } of combinations) {
    table.push([events.join(' + ') || '(nothing)', users, percent(users, count)]);
  }
  if (other > 0) table.push(['(combinations past the limit)', other, percent(other, count)]);
  return table.toString();
}

function singleEventTable(named, goal, users) {
  const table = newTable('Event', 'users', 'share of all', `then "${GOAL}"`);
  const buyers = new Map(goal.single_event_counts.map(({ name, count }) => [name, count]));
  for (const { name, count } of named) {
    if (name !== GOAL) table.push([name, count, percent(count, users), percent(buyers.get(name) ?? 0, count)]);
  }
  return table.toString();
}

/** The first column holds names, the others numbers. */
function newTable(...head) {
  const colAligns = head.map((_, column) => (column === 0 ? 'left' : 'right'));
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}

function percent(part, whole) {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`;
}

/** Compares the goal with what was sent. */
function verify(goal) {
  const expected = expectedGoal();
  const actual = new Map(goal.event_counts.map(({ events, count }) => [combinationKey(events), count]));
  const keys = new Set([...expected.combinations.keys(), ...actual.keys()]);
  const shifted = [...keys].reduce(
    (total, key) => total + Math.abs((expected.combinations.get(key) ?? 0) - (actual.get(key) ?? 0)), 0);
  if (shifted > SHIFTED_USERS_MAX) {
    throw new Error('the combinations are not those that were sent; does the namespace hold other events? Try another NAMESPACE');
  }
  const exact = shifted === 0 && goal.count === expected.count && goal.value.sum === expected.value;
  console.log(exact
    ? 'Exactly what was sent: every combination, the users and the sum agree.'
    : 'As sent but for the user sets\' error: they take a new user for a known one at most once in 10,000 times.');
}
