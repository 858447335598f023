// What a page says about its client, with every default filled in.

const DEFAULTS = {
  batchEvents: 100,
  batchMs: 2_000,
  queueEventsMax: 1_000,
  featuresMs: 60_000,
  featuresTimeoutMs: 3_000,
  onError: console.warn,
};

/** What is undefined has its default. `server` is the address of the server, without a slash at its end. */
export function readOptions(given) {
  const options = { ...DEFAULTS };
  for (const name in given) options[name] = given[name] ?? DEFAULTS[name];
  return { ...options, server: serverOf(options.url ?? '') };
}

/** Undefined for a relative address where no page tells what it is relative to. */
function serverOf(url) {
  const { document, location } = globalThis;
  const base = document?.baseURI ?? location?.href;
  const text = typeof url === 'string' || url instanceof URL ? `${url}` : '?:';
  if (!base && !/^[^/?#]*:/.test(text)) return undefined;
  try {
    const { protocol, origin, pathname } = new URL(text || '/', base);
    if (/^https?:$/.test(protocol)) return (origin + pathname).replace(/\/+$/, '');
  } catch {
    // Said below.
  }
  throw new TypeError(`kimball-edge: the option url is no address of a server: ${text === '?:' ? typeof url : text}`);
}
