// The example's online store: who does what, in which order, and the report that must come of it.

export const GOAL = 'Completed purchase';

const SIGN_UP = 'Sign up';
const LOGIN = 'Login';
const SEARCHED = 'Searched for a product';
const BROWSED = 'Browsed for a product';
const DIRECT_LINK = 'Direct link to product';

// Users who walk the same way. `purchase` is what each of them pays; those without one leave before the goal.
const JOURNEYS = [
  { users: 96, events: [SIGN_UP, LOGIN, SEARCHED], purchase: 25 },
  { users: 72, events: [SIGN_UP, LOGIN, BROWSED], purchase: 40 },
  { users: 57, events: [DIRECT_LINK], purchase: 12.5 },
  { users: 48, events: [SIGN_UP, LOGIN, SEARCHED, BROWSED], purchase: 60 },
  { users: 33, events: [LOGIN, SEARCHED, BROWSED], purchase: 35 },
  { users: 21, events: [LOGIN, DIRECT_LINK], purchase: 18 },
  { users: 9, events: [], purchase: 99 },
  { users: 64, events: [SIGN_UP] },
  { users: 40, events: [SIGN_UP, LOGIN, BROWSED] },
];

/**
 * All events in the order in which they happen: everybody's first step, then everybody's second, …
 * so that batches mix users while each user's own order holds.
 */
export function storeEvents(namespace) {
  const users = JOURNEYS.flatMap(({ users: count, events, purchase }, journey) =>
    Array.from({ length: count }, (_, index) => ({ id: `demo-${journey}-${index}`, steps: steps(events, purchase) })));
  const longest = Math.max(...users.map((user) => user.steps.length));
  return Array.from({ length: longest }, (_, step) =>
    users.filter((user) => step < user.steps.length)
      .map((user) => ({ namespace, user_id: user.id, ...user.steps[step] }))).flat();
}

function steps(events, purchase) {
  const prior = events.map((event_name) => ({ event_name }));
  return purchase === undefined ? prior : [...prior, { event_name: GOAL, ensure_goal: true, value: purchase }];
}

/** What the goal's record must say afterwards. */
export function expectedGoal() {
  const buyers = JOURNEYS.filter(({ purchase }) => purchase !== undefined);
  return {
    count: sum(buyers.map(({ users }) => users)),
    value: sum(buyers.map(({ users, purchase }) => users * purchase)),
    combinations: new Map(buyers.map(({ users, events }) => [combinationKey(events), users])),
  };
}

/** A combination is a set, so its key does not depend on the order of its events. */
export function combinationKey(events) {
  return JSON.stringify([...events].sort());
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
