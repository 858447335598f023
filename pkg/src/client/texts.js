// Pairs as texts by name: in localStorage or a plain object.

/** The key of the mark of a store, which it has from its beginning: another one, or none, says that it was cleared. */
export const MARK = '!';

export function openTexts(texts, prefix) {
  texts[prefix + MARK] ??= Math.random();
  return {
    close() {},

    async read() {
      const keys = Object.keys(texts).filter((key) => key.startsWith(prefix));
      return keys.sort().map((key) => [key.slice(prefix.length), parse(texts[key])]);
    },

    async write(changes) {
      for (const [key, value] of changes) {
        if (value === undefined) delete texts[prefix + key];
        else texts[prefix + key] = JSON.stringify(value);
      }
    },
  };
}

/** What is damaged is null. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
