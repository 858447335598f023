// What the numbers of GET /v0/analytics mean to a person: rows of events, the combinations before a goal, lift.
import type { Analytics, Combination, Count } from './api';

export interface Week {
  /** Year and week of ISO 8601, such as "2022-W07"; "other" for the sum over the weeks that have closed. */
  label: string;
  users: number;
}

export interface EventRow {
  name: string;
  users: number;
  /** Of all users of the namespace, 0 to 1. */
  share: number;
  isGoal: boolean;
  sum?: number;
  /** The sum per user of the event. */
  mean?: number;
  /** Ascending; empty where the event has no weekly cohorts. */
  weeks: Week[];
}

const WEEKLY = /^(.*) (?:(\d{4})(\d{1,2})|other)$/s;

/** One row an event, weekly counters within the row of their event. */
export function eventRows({ counts, users }: Analytics): EventRow[] {
  const weeks = new Map<string, Week[]>();
  for (const { name, type, count } of counts) {
    const parts = type === 'weekly' ? WEEKLY.exec(name) : null;
    if (!parts) continue;
    const [, event = '', year, week] = parts;
    const label = year && week ? `${year}-W${week.padStart(2, '0')}` : 'other';
    const list = weeks.get(event);
    if (list) list.push({ label, users: count });
    else weeks.set(event, [{ label, users: count }]);
  }
  return counts
    .filter(({ type }) => type === 'named')
    .map((count) => ({
      name: count.name,
      users: count.count,
      share: share(count.count, users),
      isGoal: isGoal(count),
      sum: count.value.sum,
      mean: count.value.sum === undefined || count.count === 0 ? undefined : count.value.sum / count.count,
      weeks: (weeks.get(count.name) ?? []).sort((a, b) => (a.label < b.label ? -1 : 1)),
    }));
}

/** The users of an event in each of these weeks; nothing at all where it is not counted by week. */
export function usersByWeek(weeks: Week[], labels: string[]): (number | undefined)[] {
  const users = new Map(weeks.map((week) => [week.label, week.users]));
  return labels.map((label) => (weeks.length === 0 ? undefined : (users.get(label) ?? 0)));
}

export const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

const isGoal = (count: Count): boolean => count.event_counts_other !== undefined;

export interface PriorEvent {
  name: string;
  /** Users who did it before they completed the goal. */
  users: number;
  /** Of the users with a record, 0 to 1. */
  share: number;
  /** Of the users of the event, those who completed the goal after it, 0 to 1. */
  conversion: number;
  /** How many times as likely the goal is for a user of the event than for any user: 1 says that it makes no difference. */
  lift: number;
}

export interface Goal {
  name: string;
  /** All who completed it. */
  users: number;
  /** Of all users of the namespace, 0 to 1. */
  conversion: number;
  /** Those who completed it since it became a goal: all combinations and `other` add up to them. */
  recorded: number;
  /** Most users first. */
  combinations: Combination[];
  /** Users whose combination is not listed. */
  other: number;
  /** Most users first. */
  prior: PriorEvent[];
  sum?: number;
}

export function goals({ counts, users }: Analytics): Goal[] {
  const done = new Map(counts.filter(({ type }) => type === 'named').map(({ name, count }) => [name, count]));
  return counts.filter(isGoal).map((count) => {
    const other = count.event_counts_other ?? 0;
    const recorded = total(count.event_counts) + other;
    const base = share(recorded, users);
    const prior = count.single_event_counts.map((single) => {
      const conversion = share(single.count, done.get(single.name) ?? 0);
      return { name: single.name, users: single.count, share: share(single.count, recorded), conversion, lift: share(conversion, base) };
    });
    return {
      name: count.name,
      users: count.count,
      conversion: share(count.count, users),
      recorded,
      combinations: count.event_counts,
      other,
      prior,
      sum: count.value.sum,
    };
  });
}

export const total = (combinations: Combination[]): number => combinations.reduce((sum, { count }) => sum + count, 0);

/** The combinations that contain all of `include` and none of `exclude`. */
export function matching(combinations: Combination[], include: string[], exclude: string[]): Combination[] {
  return combinations.filter(({ events }) => include.every((name) => events.includes(name)) && !exclude.some((name) => events.includes(name)));
}
