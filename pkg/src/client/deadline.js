/** What a promise comes to, or an error where that takes longer. */
export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} takes longer than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What a request comes to, which gets a signal that ends it where it takes longer. */
export async function bounded(ms, use) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error('the request takes too long')), ms);
  try {
    return await use(late.signal);
  } finally {
    clearTimeout(timer);
  }
}
