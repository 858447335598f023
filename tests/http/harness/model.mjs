// The exact model: sets of user ids in memory, with the semantics of the API, answering as GET /v0/analytics does.
// It shares nothing with the product: no hashing, no sketches, no shards.

const DEFAULT = 'default';

export class Model {
  #namespaces = new Map();
  #isWeekly;
  #weeksMax;
  #now;

  /**
   * `isWeekly` says of an event's name whether it has weekly counters; at `weeksMax` the oldest closes, in one shard. `now` is the
   * present time.
   */
  constructor({ isWeekly = () => false, weeksMax = 520, now = () => new Date() } = {}) {
    this.#isWeekly = isWeekly;
    this.#weeksMax = weeksMax;
    this.#now = now;
  }

  #namespace(name) {
    if (!this.#namespaces.has(name)) {
      this.#namespaces.set(name, { events: new Map(), users: new Map() });
    }
    return this.#namespaces.get(name);
  }

  #event(namespace, name) {
    const { events } = this.#namespace(namespace);
    if (!events.has(name)) events.set(name, { users: new Set(), sum: new ExactSum(), valued: false, goal: null, weeks: new Map(), closed: -Infinity, other: 0 });
    return events.get(name);
  }

  /** Makes an event a goal from now on. */
  goal(name, namespace = DEFAULT) {
    const event = this.#event(namespace ?? DEFAULT, name);
    event.goal ??= { combinations: new Map(), singles: new Map() };
  }

  /** Applies one event; true if it was the user's first occurrence of it. */
  apply({ event_name, user_id, namespace, ensure_goal, value, datetime }) {
    const space = namespace ?? DEFAULT;
    if (ensure_goal) this.goal(event_name, space);
    const event = this.#event(space, event_name);
    const user = String(user_id);
    if (this.#isWeekly(event_name)) {
      this.#countInWeek(event, user, weekNumber(datetime ? new Date(datetime) : this.#now()));
    }
    if (event.users.has(user)) return false;
    event.users.add(user);
    if (value !== undefined && value !== null) {
      event.sum.add(value);
      event.valued = true;
    }
    const { users } = this.#namespace(space);
    if (!users.has(user)) users.set(user, new Set());
    const prior = users.get(user);
    if (event.goal) {
      const key = JSON.stringify([...prior].sort(byBytes));
      event.goal.combinations.set(key, (event.goal.combinations.get(key) ?? 0) + 1);
      for (const name of prior) event.goal.singles.set(name, (event.goal.singles.get(name) ?? 0) + 1);
    }
    prior.add(event_name);
    return true;
  }

  #countInWeek(event, user, week) {
    const latest = weekNumber(new Date(this.#now().getTime() + 7 * DAY_MS));
    if (week > latest || week <= event.closed) return;
    if (!event.weeks.has(week)) event.weeks.set(week, new Set());
    event.weeks.get(week).add(user);
    if (event.weeks.size <= this.#weeksMax) return;
    event.closed = Math.min(...event.weeks.keys());
    event.other += event.weeks.get(event.closed).size;
    event.weeks.delete(event.closed);
  }

  /** Applies events in order; how many were first occurrences. */
  applyAll(events) {
    return events.reduce((sum, event) => sum + (this.apply(event) ? 1 : 0), 0);
  }

  /** What GET /v0/analytics answers, as long as no goal has more combinations than are listed. */
  analytics(namespace = DEFAULT) {
    const { events, users } = this.#namespaces.get(namespace) ?? { events: new Map(), users: new Map() };
    const counts = [...events].map(([name, { users: set, sum, valued, goal }]) => ({
      name,
      type: 'named',
      count: set.size,
      event_counts: goal ? combinations(goal) : [],
      ...(goal ? { event_counts_other: 0 } : {}),
      single_event_counts: goal ? singles(goal) : [],
      value: valued ? { sum: sum.rounded() } : {},
    }));
    const weekly = [...events].flatMap(([name, { weeks, other }]) => [
      ...[...weeks].map(([week, set]) => [Math.floor(week / 100) + String(week % 100), set.size]), ...(other ? [['other', other]] : []),
    ].map(([week, count]) => ({ name: `${name} ${week}`, type: 'weekly', count, event_counts: [], single_event_counts: [], value: {} })));
    return { counts: [...counts, ...weekly].sort((a, b) => byBytes(a.name, b.name)), users: users.size };
  }

  /** What GET /v0/goals answers, sorted. */
  goals(namespace = DEFAULT) {
    const { events } = this.#namespaces.get(namespace) ?? { events: new Map() };
    return [...events].filter(([, event]) => event.goal).map(([name]) => name).sort(byBytes);
  }

  /** What GET /v0/namespaces answers, sorted. */
  namespaces() {
    return [...new Set([DEFAULT, ...this.#namespaces.keys()])].sort(byBytes);
  }
}

function combinations({ combinations: map }) {
  return [...map]
    .map(([key, count]) => ({ events: JSON.parse(key), count }))
    .sort((a, b) => b.count - a.count || byList(a.events, b.events));
}

function singles({ singles: map }) {
  return [...map]
    .map(([name, count]) => ({ name, count }))
    .sort((a, b) => b.count - a.count || byBytes(a.name, b.name));
}

const DAY_MS = 86_400_000;

/** The ISO year and week number of a time in UTC: a week belongs to the year that its Thursday is in. */
export function isoWeek(time) {
  const midnight = Math.floor(time.getTime() / DAY_MS) * DAY_MS;
  const thursday = new Date(midnight + (4 - (time.getUTCDay() || 7)) * DAY_MS);
  const year = thursday.getUTCFullYear();
  return [year, 1 + Math.floor((thursday - new Date(0).setUTCFullYear(year, 0, 1)) / (7 * DAY_MS))];
}

/** The ISO week as a number in the order of time: 202607. */
function weekNumber(time) {
  const [year, week] = isoWeek(time);
  return 100 * year + week;
}

/** The order of the UTF-8 bytes, which is not that of JavaScript's UTF-16 units. */
export function byBytes(a, b) {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function byList(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) {
    const order = byBytes(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/**
 * The sum of doubles without any rounding until the end: every double is a whole multiple of 2^-1074, so a BigInt
 * of those holds the sum, in whatever order the terms come.
 */
class ExactSum {
  #units = 0n;

  add(value) {
    this.#units += units(value);
  }

  /** The double nearest to the exact sum; ties to even. */
  rounded() {
    if (this.#units === 0n) return 0;
    const negative = this.#units < 0n;
    const magnitude = negative ? -this.#units : this.#units;
    const excess = magnitude.toString(2).length - 53;
    let mantissa = magnitude;
    if (excess > 0) {
      const shift = BigInt(excess);
      mantissa = magnitude >> shift;
      const rest = magnitude - (mantissa << shift);
      const half = 1n << (shift - 1n);
      if (rest > half || (rest === half && (mantissa & 1n) === 1n)) mantissa += 1n;
      mantissa <<= shift;
    }
    return (negative ? -1 : 1) * scaled(mantissa);
  }
}

function units(value) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = (bits >> 52n) & 0x7ffn;
  const fraction = bits & ((1n << 52n) - 1n);
  const magnitude = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return bits >> 63n ? -magnitude : magnitude;
}

/** A number of units with at most 53 significant bits, as a double. */
function scaled(magnitude) {
  const trailing = magnitude.toString(2).length > 53 ? BigInt(magnitude.toString(2).length - 53) : 0n;
  // Two exact steps: 2^-1074 times a large power would leave the range of a double in one.
  const exponent = Number(trailing) - 1074;
  const half = Math.trunc(exponent / 2);
  return Number(magnitude >> trailing) * 2 ** half * 2 ** (exponent - half);
}
