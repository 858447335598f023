// Numbers and times as people read them: by the browser's locale, in the viewer's zone.

const integer = new Intl.NumberFormat();
const decimal = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const compactNumber = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const percentage = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

/** Orders names as the viewer's language does. */
export const byName = new Intl.Collator().compare;

/** A number that the server shows; null where it hides it, because it is that of too few users. */
export type Shown = number | null;

/** What stands in the place of a number that is hidden. */
export const HIDDEN = 'hidden';

/** A whole number, such as 1,234. */
export const number = (value: Shown): string => (value === null ? HIDDEN : integer.format(value));

/** A number of at most two decimals. */
export const amount = (value: Shown): string => (value === null ? HIDDEN : decimal.format(value));

/** A short number, such as 1.2K. */
export const short = (value: Shown): string => (value === null ? HIDDEN : compactNumber.format(value));

/** Orders numbers with the greatest, or with `isUp` the least, first; hidden ones are last in any case. */
export function byNumber(a: Shown, b: Shown, isUp = false): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  if (a === b) return 0;
  return a < b === isUp ? -1 : 1;
}

/** A share between 0 and 1; one that is not nothing and not all is never shown as 0 % or 100 %. */
export function percent(share: Shown): string {
  if (share === null) return HIDDEN;
  if (share > 0 && share < 0.001) return `<${percentage.format(0.001)}`;
  if (share < 1 && share > 0.999) return `>${percentage.format(0.999)}`;
  return percentage.format(share);
}

/** How many times as much, such as 1.8×. */
export const times = (factor: Shown): string => (factor === null ? HIDDEN : `${decimal.format(factor)}×`);

/** A count with its noun; "few users" where it is hidden. */
export const count = (value: Shown, one: string, many = `${one}s`): string => `${value === null ? 'few' : number(value)} ${value === 1 ? one : many}`;

/** A time in Unix milliseconds, with its date. */
export const dateTime = (ms: number): string => moment.format(ms);

/** A time of day in Unix milliseconds. */
export const timeOfDay = (ms: number): string => clock.format(ms);

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** A time relative to now, such as "3 minutes ago"; `seconds` is negative for the past. */
export function fromNow(seconds: number): string {
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

/** An amount of memory, such as 1.5 MB. */
export function bytes(value: number): string {
  const power = value < 1000 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  const unit = BYTE_UNITS[power] ?? 'byte';
  return new Intl.NumberFormat(undefined, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: 1 }).format(value / 1000 ** power);
}
