// Files of what is shown, made in the page.
import { csvFormatRows } from 'd3-dsv';

export type Cell = string | number | undefined;

/** Names come from whoever may send events: spreadsheets must not take one for a formula. */
function inert(cell: Cell): string {
  const text = cell === undefined ? '' : String(cell);
  return typeof cell === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

/** CSV (RFC 4180) with a row of column names. */
export function csv(columns: string[], rows: Cell[][]): string {
  return `${csvFormatRows([columns, ...rows.map((row) => row.map(inert))])}\n`;
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
