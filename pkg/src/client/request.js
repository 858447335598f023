/** A request that adds events, with a `keepalive` that outlives the page. */
export const post = ({ server, token }, body, more) => fetch(`${server}/v0/analytics`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  body,
  credentials: 'omit',
  ...more,
});
