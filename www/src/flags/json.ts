// Where a text is not JSON. Browsers say it differently, and some not at all.
import { parse } from 'lossless-json';

/** What is wrong with a text that is to be a JSON object; absent where nothing is. */
export function objectFault(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? undefined : 'This must be a JSON object, such as {"user_id": "ann"}.';
  } catch {
    return `This is not JSON${placeOf(text)}.`;
  }
}

function placeOf(text: string): string {
  try {
    parse(text);
  } catch (cause) {
    const [, at] = /at position (\d+)/.exec(String(cause)) ?? [];
    if (at === undefined) return '';
    const before = text.slice(0, Number(at)).split('\n');
    return `: look at line ${before.length}, character ${(before.at(-1) ?? '').length + 1}`;
  }
  return '';
}
