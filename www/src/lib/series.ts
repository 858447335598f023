// What the numbers of GET /v0/series mean to a person: lines over periods, and what has to be said of them in words.
import type { Point, Series, Unit } from './api';
import { count, number } from './format';

const DAY_MS = 86_400_000;

/** How many periods may be shown. */
export const RANGES: Record<Unit, readonly number[]> = { day: [7, 30, 90], week: [12, 26, 52], month: [12] };

/** How many the server shows without being asked for a range. */
export const USUAL: Record<Unit, number> = { day: 30, week: 12, month: 12 };

export const unitOf = (text: string | undefined): Unit => (text === 'week' || text === 'month' ? text : 'day');

export const lastOf = (unit: Unit, text: string | undefined): number => RANGES[unit].find((known) => String(known) === text) ?? USUAL[unit];

/** The first day of so many periods up to now, by the clock of this page; none where the server chooses it, by its own. */
export function fromOf(unit: Unit, last: number, now: number): string | undefined {
  if (last === USUAL[unit]) return undefined;
  return new Date(now - (last - 1) * (unit === 'week' ? 7 : 1) * DAY_MS).toISOString().slice(0, 10);
}

const dayAndMonth = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric', timeZone: 'UTC' });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeZone: 'UTC' });
const month = new Intl.DateTimeFormat(undefined, { month: 'short', year: 'numeric', timeZone: 'UTC' });
const list = new Intl.ListFormat(undefined, { type: 'conjunction' });

const WEEK = /^(\d{4})-W(\d\d)$/;

/** The first moment of a period, in Unix milliseconds: the first week of a year is that of January 4 (ISO 8601). */
export function begin(period: string): number {
  const [, year, week] = WEEK.exec(period) ?? [];
  if (year === undefined) return Date.parse(period);
  const fourth = new Date(`${year}-01-04`);
  return fourth.getTime() + ((Number(week) - 1) * 7 - ((fourth.getUTCDay() + 6) % 7)) * DAY_MS;
}

/** A period in sentences: Nov 28, 2026-W48 or Nov 2026. */
export function short(period: string): string {
  if (WEEK.test(period)) return period;
  return (period.length === 7 ? month : dayAndMonth).format(begin(period));
}

/** A period at an axis, where the year of a week is plain. */
export const tick = (period: string): string => short(period).replace(/^\d{4}-W/, 'W');

/** A period by its full name: Nov 28, 2026, or 2026-W48 with its Monday. */
export function full(period: string): string {
  if (WEEK.test(period)) return `${period}, from ${dayAndMonth.format(begin(period))}`;
  return (period.length === 7 ? month : date).format(begin(period));
}

/** A day of the API, such as `since`, as people read it. */
export const dateOf = (day: string): string => date.format(Date.parse(day));

/** The users of one event, or of anybody: one point a period of the plot, none where there is none of it. */
export interface Line {
  kind: 'anybody' | 'event';
  name: string;
  now: (Point | undefined)[];
  /** As many periods before, side by side with those of now. */
  before: (Point | undefined)[];
}

export interface Plot {
  unit: Unit;
  since: string;
  /** Ascending. */
  periods: Point[];
  earlier: Point[];
  /** The days of `earlier`. */
  range?: { from: string; to: string };
  lines: Line[];
}

/** Anybody's users and those of an event over the same periods. */
export function plot(anybody: Series, event?: Series): Plot {
  const { unit, since, points, previous } = anybody;
  const lines: Line[] = [{ kind: 'anybody', name: 'Anybody', now: points, before: previous?.points ?? [] }];
  // They are read one after the other: a day may have begun in between.
  if (event?.unit === unit && event.series !== false) {
    const at = new Map(event.points.map((point, index) => [point.period, index]));
    const indices = points.map(({ period }) => at.get(period) ?? -1);
    lines.push({ kind: 'event', name: event.event ?? '', now: indices.map((index) => event.points[index]), before: indices.map((index) => event.previous?.points[index]) });
  }
  return { unit, since, periods: points, earlier: previous?.points ?? [], range: previous, lines };
}

type Maybe = Point | undefined;

export const isShown = (point: Maybe): point is Point & { users: number } => typeof point?.users === 'number';
export const isHidden = (point: Maybe): boolean => point?.users === null && point.suppressed === true;
const isUncounted = (point: Maybe): boolean => point === undefined || (point.users === null && !point.suppressed);
const isShort = (point: Maybe): boolean => point !== undefined && !isUncounted(point) && !point.complete;

/** Whether there is nobody to draw, and nothing hidden either. */
export const isEmpty = ({ lines }: Plot): boolean =>
  lines.every(({ now, before }) => [...now, ...before].every((point) => isUncounted(point) || point?.users === 0));

/** The most users of a period. */
export const most = ({ lines }: Plot): number =>
  Math.max(0, ...lines.flatMap(({ now, before }) => [...now, ...before].map((point) => point?.users ?? 0)));

/** Where a line ends in a period that is not over: its index, and that of the one before where the two are joined. */
export function openEnds({ now }: Line): number[][] {
  return now.flatMap((point, index) => {
    if (!isShown(point) || point.state !== 'open') return [];
    return [isShown(now[index - 1]) ? [index - 1, index] : [index]];
  });
}

/** A number of a point as text; a dash where it was not counted. */
export const written = (point: Maybe, what: 'users' | 'first_users' = 'users'): string => (isUncounted(point) ? '–' : number(point?.[what] ?? null));

/** The same for a file, where a cell is empty if the number was not counted. */
export const cell = (point: Maybe, what: 'users' | 'first_users' | 'value' = 'users'): number | null | undefined => {
  if (isUncounted(point)) return undefined;
  // Without a value nothing is hidden: a first user that is shown would have shown it.
  if (what === 'value' && point?.value === null && point.first_users !== null) return undefined;
  return point?.[what];
};

const STATES = { open: 'not over', late: 'takes late events', closed: 'over' };

/** What is to be known of the numbers of a period. */
export function state({ periods, lines }: Plot, index: number): string {
  const missing = lines.filter(({ now }) => isShort(now[index])).map(({ name }) => name);
  const which = missing.length < lines.length && missing.length > 0 ? ` of ${list.format(missing)}` : '';
  return `${STATES[periods[index]?.state ?? 'closed']}${missing.length > 0 ? `, users${which} may be missing` : ''}`;
}

/** The numbers of a period in words, a sentence a line. */
export function words({ earlier, lines }: Plot, index: number): string[] {
  return lines.map(({ name, now, before }) => {
    const point = now[index];
    if (isHidden(point)) return `${name}: hidden`;
    if (!isShown(point)) return `${name}: not counted`;
    const first = point.first_users === null ? '' : `, ${number(point.first_users)} for the first time`;
    const period = earlier[index]?.period;
    const other = period === undefined ? '' : `; before, ${short(period)}: ${isUncounted(before[index]) ? 'not counted' : written(before[index])}`;
    return `${name}: ${count(point.users, 'user')}${first}${other}`;
  });
}

const RUNS_MAX = 3;

/** Periods that follow each other become one, such as Nov 3 to Nov 7; where they are many, only how many they are. */
function runs(periods: string[], indices: number[], unit: Unit): string {
  const found: [number, number][] = [];
  for (const index of indices) {
    const run = found.at(-1);
    if (run && run[1] === index - 1) run[1] = index;
    else found.push([index, index]);
  }
  const name = (index: number | undefined) => short(periods[index ?? 0] ?? '');
  if (found.length > RUNS_MAX) return `${count(indices.length, unit)} between ${name(indices[0])} and ${name(indices.at(-1))}`;
  return list.format(found.map(([from, to]) => (from === to ? name(from) : to === from + 1 ? list.format([name(from), name(to)]) : `${name(from)} to ${name(to)}`)));
}

/** What a look at the lines does not tell: late, missing, hidden and uncounted users. */
export function remarks({ unit, since, periods, earlier, lines }: Plot): string[] {
  const said: string[] = [];
  const tell = (points: Maybe[], is: (point: Maybe) => boolean, names: Point[], say: (which: string) => string) => {
    const indices = points.flatMap((point, index) => (is(point) ? [index] : []));
    if (indices.length > 0) said.push(say(runs(names.map(({ period }) => period), indices, unit)));
  };
  tell(periods, (point) => isShown(point) && point.state === 'late', periods, (which) => `Events that come late still count: ${which}.`);
  for (const { kind, name, now, before } of lines) {
    const who = lines.length === 1 ? '' : kind === 'event' ? ` of ${name}` : ' of anybody';
    for (const [points, names, when] of [[now, periods, ''], [before, earlier, ' in the period before']] as const) {
      tell(points, isShort, names, (which) => `Users${who} may be missing${when}: ${which}.`);
      tell(points, isHidden, names, (which) => `Users${who} are hidden${when}: ${which}. They are few, or none.`);
    }
  }
  if (lines.some(({ now, before }) => [...now, ...before].some(isShort))) said.push('Where users may be missing, the server had no room for all of them, or counting began within the period.');
  const missing = [...earlier, ...periods].filter(isUncounted);
  if (missing.some(({ period }) => begin(period) < Date.parse(since))) said.push(`Counting by ${unit} began on ${dateOf(since)}: there is nothing before.`);
  if (missing.some(({ period }) => begin(period) >= Date.parse(since))) said.push('What is older than the server keeps is missing.');
  return said;
}
