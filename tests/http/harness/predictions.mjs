// The formulas of predictions and nudges, computed from what GET /v0/analytics answers and nothing else.

import assert from 'node:assert/strict';

const RELATIVE_ERROR_MAX = 1e-9;

/** The named events of an answer of GET /v0/analytics, by name, with what a prediction needs. */
function figures({ counts, users }, goals) {
  const named = counts.filter(({ type }) => type === 'named');
  const events = new Map(named.map((event) => [event.name, {
    count: event.count,
    isGoal: goals.includes(event.name),
    singles: new Map(event.single_event_counts.map(({ name, count }) => [name, count])),
    completed: event.event_counts.reduce((sum, { count }) => sum + count, event.event_counts_other ?? 0),
  }]));
  return { events, users, goals: [...events].filter(([, { isGoal }]) => isGoal) };
}

/**
 * The normalised naive Bayes probability of a goal after these events and, where they are `all` that was done, without
 * any other event that somebody has done; with Laplace smoothing.
 */
function probability({ events, users }, goal, done, { all }) {
  const population = users - (goal.count - goal.completed);
  const without = population - goal.completed;
  const prior = (goal.completed + 1) / (population + 2);
  let [yes, no] = [prior, 1 - prior];
  for (const [name, event] of events) {
    const isDone = done.includes(name);
    if (event === goal || event.count === 0 || !(isDone || all)) continue;
    const single = goal.singles.get(name) ?? 0;
    const [likely, unlikely] = [(single + 1) / (goal.completed + 2), (Math.min(event.count - single, without) + 1) / (without + 2)];
    yes *= isDone ? likely : 1 - likely;
    no *= isDone ? unlikely : 1 - unlikely;
  }
  return yes / (yes + no);
}

function support({ events, users }, done) {
  return Math.min(users, ...done.map((name) => events.get(name).count));
}

function bayes({ events, users }, goal, name) {
  const likelihood = (goal.singles.get(name) / goal.count) * (goal.count / users);
  return Math.min(1, Math.max(0, likelihood / (events.get(name).count / users)));
}

/** What GET /v0/predictions answers without other parameters. */
export function perEvent(analytics, goals) {
  const all = figures(analytics, goals);
  return {
    goals: Object.fromEntries(all.goals.filter(([, goal]) => goal.singles.size > 0).map(([name, goal]) => [name, {
      events: Object.fromEntries([...goal.singles.keys()].map((event) => [event, {
        bayes: bayes(all, goal, event),
        probability: probability(all, goal, [event], { all: false }),
        support: support(all, [event]),
      }])),
    }])),
  };
}

/** What GET /v0/predictions answers to these events; `notes` are the goals among them, whose text is free. */
export function afterEvents(analytics, goals, done) {
  const all = figures(analytics, goals);
  const notes = all.goals.filter(([name]) => done.includes(name)).map(([name]) => name);
  const others = all.goals.filter(([name, { count }]) => !done.includes(name) && count > 0);
  const product = (factors) => factors.reduce((a, b) => a * b, 1);
  return {
    notes,
    goals: Object.fromEntries(others.map(([name, goal]) => {
      const single = (event) => goal.singles.get(event) ?? 0;
      const yes = product(done.map((event) => single(event) / goal.count));
      const no = product(done.map((event) => (all.events.get(event).count - single(event)) / goal.count));
      return [name, {
        yes, no, likelihood: yes / Math.max(no, 0.1), probability: probability(all, goal, done, { all: true }), support: support(all, done),
      }];
    })),
  };
}

/** What GET /v0/nudges answers for a user who has done these events. */
export function nudges(analytics, goals, goalName, user_id, done) {
  const all = figures(analytics, goals);
  const goal = all.events.get(goalName);
  const open = [...goal.singles.keys()].filter((name) => !done.includes(name));
  return {
    nudges: open.map((event_name) => ({
      event_name,
      prediction: bayes(all, goal, event_name),
      probability: probability(all, goal, [...done, event_name], { all: true }),
      support: support(all, [...done, event_name]),
    })).sort((a, b) => b.prediction - a.prediction || Buffer.compare(Buffer.from(a.event_name), Buffer.from(b.event_name))),
    goal: goalName,
    user_id,
  };
}

/** Asserts that two JSON values are the same but for the rounding of their numbers. */
export function assertClose(actual, expected, path = '$') {
  if (typeof expected === 'number' && typeof actual === 'number') {
    const error = Math.abs(actual - expected);
    assert.ok(error <= RELATIVE_ERROR_MAX * Math.max(Math.abs(expected), Number.MIN_VALUE), `${path}: ${actual} is not ${expected}`);
  } else if (expected !== null && typeof expected === 'object' && actual !== null && typeof actual === 'object') {
    assert.equal(Array.isArray(actual), Array.isArray(expected), path);
    assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), path);
    for (const key of Object.keys(expected)) assertClose(actual[key], expected[key], `${path}.${key}`);
  } else {
    assert.deepEqual(actual, expected, path);
  }
}

/** Asserts the answer of GET /v0/predictions to these events; a goal among them has a note and nothing else. */
export function assertAfterEvents(answer, analytics, goals, done) {
  const { notes, goals: expected } = afterEvents(analytics, goals, done);
  const rest = { ...answer.goals };
  for (const name of notes) {
    assert.deepEqual(Object.keys(rest[name] ?? {}), ['note'], name);
    assert.ok(typeof rest[name].note === 'string' && rest[name].note.length > 0);
    delete rest[name];
  }
  assertClose({ ...answer, goals: rest }, { goals: expected });
}
