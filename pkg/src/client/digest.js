/** The hash of a user id that is to be blind: SHA-256 of salt, zero byte and id, in hexadecimal. */
export async function blind(id, salt = globalThis.location?.hostname) {
  const text = new TextEncoder().encode(`${salt}\0${id}`);
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', text));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
