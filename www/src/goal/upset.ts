// The shape of an UpSet plot (Lex et al. 2014): sets as rows, combinations as columns.
import type { Combination } from '../lib/api';
import type { Shown } from '../lib/format';
import type { PriorEvent } from '../lib/funnel';

export interface SetRow {
  name: string;
  users: Shown;
}

export interface Column {
  events: string[];
  count: Shown;
  /** Rows that have a dot, ascending. */
  rows: number[];
  /** Users whose combination is not known. */
  isOther: boolean;
}

export interface Plot {
  sets: SetRow[];
  /** Sets that have no row of their own; those of a combination are one dot in the row after the last. */
  unlisted: number;
  columns: Column[];
}

/** The plot of combinations, with rows for the `rowsMax` most common sets that are in any. */
export function plot(combinations: Combination[], other: Shown, prior: PriorEvent[], rowsMax: number): Plot {
  const present = new Set(combinations.flatMap(({ events }) => events));
  const sets = prior.filter(({ name }) => present.has(name));
  // One further row would take as much room as the row for all others.
  const shown = sets.length <= rowsMax + 1 ? sets : sets.slice(0, rowsMax);
  const rowOf = new Map(shown.map(({ name }, index) => [name, index]));
  const columns = combinations.map(({ events, count }): Column => {
    const rows = new Set(events.map((name) => rowOf.get(name) ?? shown.length));
    return { events, count, rows: [...rows].sort((a, b) => a - b), isOther: false };
  });
  if (other === null || other > 0) columns.push({ events: [], count: other, rows: [], isOther: true });
  return { sets: shown, unlisted: sets.length - shown.length, columns };
}
