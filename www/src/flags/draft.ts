// A flag while it is edited: texts as they stand in a form. What was not touched is sent back as it came.
import { shareAt, type Condition, type Flag, type Rollout, type Value } from './spec';

export interface ConditionDraft {
  property: string;
  comparator: '=' | 'in';
  kind: 'text' | 'number';
  /** For `=` the value; for `in` one a line, in quotes where it could not stand in a line otherwise. */
  text: string;
  /** What the text was made from. */
  from?: { text: string; kind: 'text' | 'number'; values: Value[] };
}

export interface Draft {
  name: string;
  isOn: boolean;
  conditions: ConditionDraft[];
  isRolledOut: boolean;
  /** As `datetime-local` has it, in the viewer's zone; empty for now. */
  start: string;
  end: string;
}

export type Faults = Record<string, string>;

const pad = (value: number, length = 2) => String(value).padStart(length, '0');

/** A time in Unix milliseconds as the value of a `datetime-local`. */
export function localText(ms: number): string {
  const at = new Date(ms);
  const date = `${pad(at.getFullYear(), 4)}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${date}T${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

const isoText = (local: string) => new Date(local).toISOString().replace(/\.\d+Z$/, 'Z');

export const emptyCondition = (): ConditionDraft => ({ property: '', comparator: '=', kind: 'text', text: '' });

/** A text that is empty, has line breaks or begins with a quote, as JSON; any other value as it is. */
const lineOf = (value: Value) => (typeof value === 'string' && /^$|^"|[\r\n]/.test(value) ? JSON.stringify(value) : String(value));

function textOf(line: string): string {
  try {
    const value: unknown = line.startsWith('"') ? JSON.parse(line) : line;
    return typeof value === 'string' ? value : line;
  } catch {
    return line;
  }
}

function conditionDraft({ property, comparator, values }: Condition): ConditionDraft {
  const kind = typeof values[0] === 'bigint' ? 'number' : 'text';
  const text = comparator === '=' ? String(values[0]) : values.map(lineOf).join('\n');
  return { property, comparator, kind, text, from: { text, kind, values } };
}

/** The form of a flag, or of a new one. */
export function draftOf(flag?: Flag): Draft {
  const rollout = flag?.rollout;
  return {
    name: flag?.name ?? '',
    isOn: flag?.boolean ?? false,
    conditions: flag?.conditions.map(conditionDraft) ?? [],
    isRolledOut: rollout !== undefined,
    start: rollout ? localText(rollout.start) : '',
    end: rollout ? localText(rollout.end) : '',
  };
}

const WHOLE_MIN = -(2n ** 63n);
const WHOLE_MAX = 2n ** 64n - 1n;

function valuesOf({ comparator, kind, text, from }: ConditionDraft): Value[] | string {
  const isSameLength = comparator === 'in' || from?.values.length === 1;
  if (from && isSameLength && text === from.text && kind === from.kind) return from.values;
  if (comparator === '=' && /[\r\n]/.test(text)) return 'This is more than one value: choose “one of”, or leave one.';
  const lines = comparator === '=' ? [text] : text.split('\n').filter((line) => line !== '');
  if (kind === 'text') return comparator === '=' ? lines : lines.map(textOf);
  const values: bigint[] = [];
  for (const line of lines) {
    if (!/^\s*-?\d+\s*$/.test(line)) return `“${line.trim()}” is not a whole number.`;
    const value = BigInt(line.trim());
    if (value < WHOLE_MIN || value > WHOLE_MAX) return `${value} is beyond 64 bits.`;
    values.push(value);
  }
  return values;
}

// eslint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** As the server has it (`is_blank`), but for a few marks of old scripts. */
const BLANK = /^[\s\p{Default_Ignorable_Code_Point}\u2800]+$/u;

function nameFault(name: string, what: string): string | undefined {
  if (name === '') return `${what} is needed.`;
  return CONTROL.test(name) ? `${what} must not hold control characters.` : undefined;
}

/** What the server would refuse, by the field as it names it; the bounds that an operator can set are left to it. */
export function check({ name, conditions, isRolledOut, start, end }: Draft, now: number): Faults {
  const faults: Faults = {};
  const put = (field: string, fault: string | undefined) => {
    if (fault) faults[field] = fault;
  };
  put('name', nameFault(name, 'A name') ?? (BLANK.test(name) ? 'A name must have a visible character.' : undefined));
  conditions.forEach((condition, index) => {
    put(`user[${index}].property`, nameFault(condition.property, 'A property'));
    const values = valuesOf(condition);
    if (typeof values === 'string') put(`user[${index}].value`, values);
  });
  if (!isRolledOut) return faults;
  if (end === '') put('rollout_end', 'A time is needed at which everybody has the flag.');
  else if (Date.parse(end) < (start === '' ? now : Date.parse(start))) put('rollout_end', start === '' ? 'It must not lie in the past.' : 'It must not be before the start.');
  return faults;
}

/** What becomes of the rollout that a flag has, by the rule of the API. */
export type Change = 'goes-on' | 'begins-anew' | 'ends';

/** Absent where nobody has the flag by its rollout yet, so that nobody can lose it. */
export function rolloutChange({ isOn, isRolledOut, start }: Draft, { rollout }: Flag, now: number): Change | undefined {
  if (isOn || !rollout || shareAt(rollout, now) === 0) return undefined;
  if (!isRolledOut) return 'ends';
  const goesOn = start === '' ? now < rollout.end : start === localText(rollout.start) || Date.parse(start) === rollout.start;
  return goesOn ? 'goes-on' : 'begins-anew';
}

/** The body of POST /v0/featureSpecs. `flag` is what was edited. */
export function bodyOf(draft: Draft, flag?: Flag): Record<string, unknown> {
  const { name, isOn, conditions, isRolledOut, start, end } = draft;
  const user = conditions.map((condition) => {
    const values = valuesOf(condition) as Value[];
    return { property: condition.property, comparator: condition.comparator, value: condition.comparator === '=' ? values[0] : values };
  });
  const body: Record<string, unknown> = { name, boolean: isOn, user };
  if (isRolledOut) {
    const kept = (text: string, of: (rollout: Rollout) => [number, string]) => {
      const [ms, original] = flag?.rollout ? of(flag.rollout) : [Number.NaN, ''];
      return text === localText(ms) ? original : isoText(text);
    };
    if (start !== '') body.rollout_start = kept(start, (rollout) => [rollout.start, rollout.startText]);
    body.rollout_end = kept(end, (rollout) => [rollout.end, rollout.endText]);
  }
  return body;
}
