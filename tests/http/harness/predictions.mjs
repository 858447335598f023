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
 * The normalised naive Bayes probability of a goal after these events, with Laplace smoothing. `others` are the events
 * that are known not to be done: all others, where a user's whole history is given.
 */
function probability({ events, users }, goal, done, others = []) {
  const population = users - (goal.count - goal.completed);
  const without = population - goal.completed;
  const prior = (goal.completed + 1) / (population + 2);
  let [yes, no] = [prior, 1 - prior];
  const shares = (name) => {
    const single = goal.singles.get(name) ?? 0;
    return [(single + 1) / (goal.completed + 2), (Math.min(events.get(name).count - single, without) + 1) / (without + 2)];
  };
  for (const name of done) {
    const [withGoal, withoutGoal] = shares(name);
    [yes, no] = [yes * withGoal, no * withoutGoal];
  }
  for (const name of others) {
    const [withGoal, withoutGoal] = shares(name);
    [yes, no] = [yes * (1 - withGoal), no * (1 - withoutGoal)];
  }
  return yes / (yes + no);
}

/** The same for a user who has done these events and no others. */
function probabilityOfHistory(all, goalName, done) {
  const others = [...all.events].filter(([name, { count }]) => name !== goalName && count > 0 && !done.includes(name));
  return probability(all, all.events.get(goalName), done, others.map(([name]) => name));
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
        probability: probability(all, goal, [event]),
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
        yes, no, likelihood: yes / Math.max(no, 0.1), probability: probabilityOfHistory(all, name, done), support: support(all, done),
      }];
    })),
  };
}

/** What GET /v0/nudges answers for a user who has done these events. */
export function nudges(analytics, goals, goalName, user_id, done) {
  const all = figures(analytics, goals);
  const goal = all.events.get(goalName);
  const open = [...goal.singles.keys()].filter((name) => !done.includes(name));
  // Of the goal only what came before it counts.
  const before = done.filter((name) => name !== goalName);
  return {
    nudges: open.map((event_name) => ({
      event_name,
      prediction: bayes(all, goal, event_name),
      probability: probabilityOfHistory(all, goalName, [...before, event_name]),
      support: support(all, [...before, event_name]),
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
