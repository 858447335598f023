// Requests that add events.

/** A request whose answer is waited for. */
export const post = ({ server, token }, body, more) => fetch(`${server}/v0/analytics`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  body,
  credentials: 'omit',
  ...more,
});

/**
 * The request of a page that goes. Where it is for another origin it is a beacon, with the token in the body: else the browser would have to
 * ask first whether the page may send it, and there would be nobody any more to do so; and Firefox drops others of a tab that is closed.
 * `takesPlain` is whether the server knows that. Nobody hears of the answer to a beacon.
 */
export function postLast(options, body, takesPlain) {
  const { server, token } = options;
  const isAbroad = takesPlain && globalThis.location && !`${server}/`.startsWith(`${location.origin}/`);
  if (isAbroad && navigator.sendBeacon?.(`${server}/v0/analytics`, `${token ?? ''}\n${body}`)) return undefined;
  return post(options, body, { keepalive: true });
}
