// A real clickstream through HTTP: every count, combination and single count against exact sets.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { Model } from '../harness/model.mjs';
import { ROOT, serve } from '../harness/server.mjs';

const FILE = join(ROOT, '../shared/data/ecom.csv.gz');
const GOALS = ['purchase', 'add_to_cart'];
const BATCH = 1_000;
const TOLERANCE = 1e-4;

/** The rows as events; no field of this file is quoted. */
function clickstream() {
  const [head, ...lines] = gunzipSync(readFileSync(FILE)).toString('utf8').trimEnd().split(/\r?\n/);
  assert.deepEqual(head.split(',').slice(0, 4), ['user_id', 'session_id', 'event', 'timestamp']);
  return lines.map((line) => {
    assert.ok(!line.includes('"'), line);
    const [user_id, session, event_name, timestamp] = line.split(',');
    return { user_id, session, event_name, datetime: `${timestamp.replace(' ', 'T')}Z` };
  });
}

const near = (found, exact, what) => assert.ok(Math.abs(found - exact) <= exact * TOLERANCE, `${what}: ${found}, exactly ${exact}`);
const keyed = (list, key) => new Map(list.map((entry) => [JSON.stringify(entry[key]), entry.count]));

function compareLists(found, exact, key, what) {
  const truth = keyed(exact, key);
  assert.deepEqual([...keyed(found, key).keys()].sort(), [...truth.keys()].sort(), what);
  for (const entry of found) near(entry.count, truth.get(JSON.stringify(entry[key])), `${what} ${entry[key]}`);
}

// Users are few here and sessions many; both are loaded as the unit that is counted.
for (const unit of ['user_id', 'session']) {
  test(`the clickstream by ${unit} is counted to 0.01 %`, { skip: !existsSync(FILE) && `${FILE} is not there` }, async (t) => {
    const server = await serve(t);
    const model = new Model();
    for (const goal of GOALS) {
      await server.goal(goal);
      model.goal(goal);
    }
    const events = clickstream().map(({ event_name, datetime, [unit]: user_id }) => ({ event_name, user_id, datetime }));
    assert.ok(events.length > 30_000);
    for (let from = 0; from < events.length; from += BATCH) {
      const batch = events.slice(from, from + BATCH);
      await server.ingest(batch);
      model.applyAll(batch);
    }
    const found = await server.analytics();
    const exact = model.analytics();
    near(found.users, exact.users, 'users');
    assert.deepEqual(found.counts.map(({ name }) => name), exact.counts.map(({ name }) => name));
    for (const [i, event] of found.counts.entries()) {
      const truth = exact.counts[i];
      near(event.count, truth.count, event.name);
      compareLists(event.event_counts, truth.event_counts, 'events', `${event.name} after`);
      compareLists(event.single_event_counts, truth.single_event_counts, 'name', `${event.name} after`);
    }
    const goals = found.counts.filter(({ name }) => GOALS.includes(name));
    for (const goal of goals) assert.ok(goal.event_counts.length > 10, `${goal.name} has ${goal.event_counts.length} combinations`);
    // At this size 0.01 % is less than one user, so the two answers are equal as a whole.
    assert.deepEqual(found, exact);
    await server.restart();
    assert.deepEqual(await server.analytics(), exact);
  });
}
