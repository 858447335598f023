// Files under a directory, and the search for bytes in them.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The paths of all files under a directory. */
export function filesUnder(directory) {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.path, entry.name));
}

/** The ways in which a text could have been written down. */
export function spellings(text) {
  const utf8 = Buffer.from(text);
  const utf16 = Buffer.from(text, 'utf16le');
  const found = {
    'UTF-8': utf8,
    'UTF-16LE': utf16,
    'UTF-16BE': Buffer.from(utf16).swap16(),
    'JSON-escaped': Buffer.from([...text].map((sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')),
    'percent-encoded': Buffer.from([...utf8].map((byte) => `%${byte.toString(16).padStart(2, '0').toUpperCase()}`).join('')),
    hexadecimal: Buffer.from(utf8.toString('hex')),
    'hexadecimal upper case': Buffer.from(utf8.toString('hex').toUpperCase()),
    reversed: Buffer.from(utf8).reverse(),
  };
  // In base64 three alignments look different; the signs that hold bits of neighbours are cut off.
  for (let shift = 0; shift < 3; shift += 1) {
    const encoded = Buffer.concat([Buffer.alloc(shift), utf8]).toString('base64').replace(/=+$/, '');
    const start = Math.ceil((shift * 8) / 6);
    const end = Math.floor(((shift + utf8.length) * 8) / 6);
    found[`base64 at ${shift}`] = Buffer.from(encoded.slice(start, end));
  }
  return found;
}

/** Where the bytes of any spelling of `text` occur: in files under `directory`, their names, or `log`. */
export function occurrences(text, directory, log = '') {
  const found = [];
  const sources = [['the log', Buffer.from(log)]];
  for (const path of filesUnder(directory)) sources.push([path, Buffer.concat([Buffer.from(path), readFileSync(path)])]);
  for (const [spelling, bytes] of Object.entries(spellings(text))) {
    for (const [source, content] of sources) if (content.includes(bytes)) found.push(`${spelling} in ${source}`);
  }
  return found;
}
