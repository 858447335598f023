// Files of what is shown, made in the page.
import { csvFormatRows } from 'd3-dsv';

import { HIDDEN } from './format';

/** Null is a number that is hidden, and says so in the file: an empty cell is one that there is not. */
export type Cell = string | number | null | undefined;

/**
 * Where spreadsheets begin a formula, in full width too and behind what nobody sees: at the beginning of a cell, or behind what
 * some of them, by the country that they are set to, take for the end of one.
 */
const FORMULA = /(^|[;\t\r\n])(?=[\s\p{Default_Ignorable_Code_Point}]*[=+\-@＝＋－＠])/gu;

/** Names come from whoever may send events: none may become a formula. Numbers stay numbers. */
function inert(cell: Cell): string {
  if (cell === null) return HIDDEN;
  if (typeof cell !== 'string') return String(cell ?? '');
  const text = cell.replace(FORMULA, "$1'");
  return /^[\t\r\n]/.test(text) ? `'${text}` : text;
}

/** CSV (RFC 4180) with a row of column names, and the mark by which spreadsheets know UTF-8. */
export function csv(columns: string[], rows: Cell[][]): string {
  return `\ufeff${csvFormatRows([columns, ...rows.map((row) => row.map(inert))])}\n`;
}

/** Names in one cell, such as `Sign up + "1 + 1"`: one that could be taken for two, or for a remark of ours, is in quotes. */
export function joined(names: string[]): string {
  return names.map((name) => (/[+"]|^[\s(]|\s$/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)).join(' + ');
}

export function save(name: string, type: 'text/csv' | 'application/json', text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The name of a file: what it shows, with nothing that a file system minds. */
export function fileName(parts: string[], extension: 'csv' | 'json'): string {
  return `${parts.map((part) => part.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '')).filter(Boolean).join('-').slice(0, 100)}.${extension}`;
}
