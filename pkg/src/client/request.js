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
 * The request of a page that goes. Where it is for another origin the token is in the body: else the browser would have to ask first whether
 * the page may send it, and the answer would come when there is nobody any more to do so. `takesPlain` is whether the server knows that.
 */
export function postLast(options, body, takesPlain) {
  const isAbroad = globalThis.location && !options.server.startsWith(`${location.origin}/`) && options.server !== location.origin;
  if (!isAbroad || !takesPlain) return post(options, body, { keepalive: true });
  const plain = { method: 'POST', body: `${options.token ?? ''}\n${body}`, credentials: 'omit', keepalive: true };
  return fetch(`${options.server}/v0/analytics`, plain);
}
