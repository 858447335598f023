// What the numbers of GET /v0/analytics mean to a person: rows of events, the combinations before a goal, lift.
import type { Analytics, Combination, Count } from './api';
import type { Shown } from './format';

export interface Week {
  /** Year and week of ISO 8601, such as "2022-W07"; "other" for the sum over the weeks that have closed. */
  label: string;
  users: Shown;
}

export interface EventRow {
  name: string;
  users: Shown;
  /** Of all users of the namespace, 0 to 1. */
  share: Shown;
  isGoal: boolean;
  sum?: Shown;
  /** The sum per user of the event. */
  mean?: Shown;
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
      mean: mean(count),
      weeks: (weeks.get(count.name) ?? []).sort((a, b) => (a.label < b.label ? -1 : 1)),
    }));
}

function mean({ count, value: { sum } }: Count): Shown | undefined {
  if (sum === undefined || count === 0) return undefined;
  return sum === null || count === null ? null : sum / count;
}

/** Whether any number of the namespace is hidden. */
export const hasHidden = ({ counts, users }: Analytics): boolean =>
  users === null || counts.some(({ suppressed, single_event_counts }) => suppressed || single_event_counts.some(({ count }) => count === null));

/** The users of an event in each of these weeks; nothing at all where it is not counted by week. */
export function usersByWeek(weeks: Week[], labels: string[]): (Shown | undefined)[] {
  const users = new Map(weeks.map((week) => [week.label, week.users]));
  return labels.map((label) => {
    if (weeks.length === 0) return undefined;
    const shown = users.get(label);
    // A week that is hidden is there, with null.
    return shown === undefined ? 0 : shown;
  });
}

/** A part of a whole, 0 to 1; hidden where one of them is. */
export function share(part: number, whole: number): number;
export function share(part: Shown, whole: Shown): Shown;
export function share(part: Shown, whole: Shown): Shown {
  if (part === null || whole === null) return null;
  return whole > 0 ? part / whole : 0;
}

const isGoal = (count: Count): boolean => count.event_counts_other !== undefined;

export interface PriorEvent {
  name: string;
  /** Users who did it before they completed the goal. */
  users: Shown;
  /** Of the users with a record, 0 to 1. */
  share: Shown;
  /** Of the users of the event, those who completed the goal after it, 0 to 1. */
  conversion: Shown;
  /** How many times as likely the goal is for a user of the event than for any user: 1 says that it makes no difference. */
  lift: Shown;
}

export interface Goal {
  name: string;
  /** All who completed it. */
  users: Shown;
  /** Of all users of the namespace, 0 to 1. */
  conversion: Shown;
  /** Those who completed it since it became a goal: all combinations and `other` add up to them. Where `other` is hidden, without those. */
  recorded: number;
  /** Most users first. */
  combinations: Combination[];
  /** Users whose combination is not listed. */
  other: Shown;
  /** Most users first. */
  prior: PriorEvent[];
  sum?: Shown;
}

export function goals({ counts, users }: Analytics): Goal[] {
  const done = new Map(counts.filter(({ type }) => type === 'named').map(({ name, count }) => [name, count]));
  return counts.filter(isGoal).map((count) => {
    const other = count.event_counts_other ?? null;
    const recorded = total(count.event_counts) + (other ?? 0);
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
