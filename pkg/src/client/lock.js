/**
 * Keeps other tabs out of what has this name while `use` runs, where the browser can do that. Who does not get it within `waitMs` takes it:
 * then a page has it that stands still. It is given back when `going` says that this page goes, and not asked for behind that.
 */
export async function alone(name, use, waitMs, going) {
  going.throwIfAborted();
  const waiting = new AbortController();
  const ended = new AbortController();
  const timer = setTimeout(() => waiting.abort(), waitMs);
  going.addEventListener('abort', () => waiting.abort(), { signal: ended.signal });
  let result;
  const hold = () => new Promise((release) => {
    clearTimeout(timer);
    going.addEventListener('abort', release, { signal: ended.signal });
    result = use();
    result.then(release, release);
  });

  try {
    await navigator.locks.request(name, { signal: waiting.signal }, hold);
  } catch {
    // There are no locks here, or none for this page; or another page has taken this one, or keeps it.
    if (!result && waiting.signal.aborted) {
      going.throwIfAborted();
      await navigator.locks.request(name, { steal: true }, hold).catch(() => {});
    }
    result ??= use();
  } finally {
    clearTimeout(timer);
    ended.abort();
  }
  return result;
}
