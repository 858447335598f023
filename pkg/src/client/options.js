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
export function readOptions(given, parts) {
  const options = { ...DEFAULTS, parts };
  for (const name in given) options[name] = given[name] ?? options[name];
  return { ...options, server: serverOf(options.url ?? '') };
}

/** Undefined for a relative address where no page tells what it is relative to. */
function serverOf(url) {
  const { document, location } = globalThis;
  const base = document?.baseURI ?? location?.href;
  try {
    if (typeof url !== 'string' && !(url instanceof URL)) throw url;
    if (!base && !/^[^/?#]*:/.test(url)) return undefined;
    const { protocol, origin, pathname } = new URL(url || '/', base);
    if (!/^https?:$/.test(protocol)) throw url;
    return (origin + pathname).replace(/\/+$/, '');
  } catch {
    throw new TypeError(`kimball-edge: the option url is no address of a server: ${url}`);
  }
}
