// The numbers of an aggregator in the form of GET /v0/analytics, to the byte once they are JSON.

import { Aggregator } from '#wasm/aggregator';

/** `[key, count]` of a list of `key, count, key, count…`. */
const pairs = (list) => Array.from({ length: list.length / 2 }, (_, at) => [list[2 * at], list[2 * at + 1]]);

/** The order of UTF-8, which is that of code points. */
function byName(a, b) {
  const [left, right] = [[...a], [...b]];
  const at = left.findIndex((char, index) => char !== right[index]);
  if (at < 0) return left.length - right.length;
  return (left[at].codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? -1);
}

function byNames(a, b) {
  const at = a.findIndex((name, index) => name !== b[index]);
  if (at < 0) return a.length - b.length;
  return at < b.length ? byName(a[at], b[at]) : 1;
}

Aggregator.prototype.report = function report(namespace) {
  const [users, counters] = this.numbers(namespace);
  const counts = [];
  for (const [name, count, sum, goal, weeks] of counters) {
    if (!count && !goal) continue;
    const [combinations, other, single] = goal ?? [[], 0, []];
    const listed = pairs(combinations).map(([events, users]) => ({ events: events.sort(byName), count: users }));
    counts.push({
      name,
      type: 'named',
      count,
      event_counts: listed.sort((a, b) => b.count - a.count || byNames(a.events, b.events)),
      ...(goal && { event_counts_other: other }),
      single_event_counts: pairs(single).map(([event, users]) => ({ name: event, count: users }))
        .sort((a, b) => b.count - a.count || byName(a.name, b.name)),
      value: sum === undefined ? {} : { sum },
    });
    for (const [week, users] of pairs(weeks)) {
      counts.push({
        name: `${name} ${week}`, type: 'weekly', count: users, event_counts: [], single_event_counts: [], value: {},
      });
    }
  }
  counts.sort((a, b) => byName(a.name, b.name) || byName(a.type, b.type));
  return { counts, users };
};

export { Aggregator };
