// The draw of a rollout, written from the published algorithms: MurmurHash3 (x86, 32 bits) by Austin Appleby, and
// CBOR text headers (RFC 8949, section 3.1). Thresholds are BigInts, so nothing is rounded.

const WHOLE = 2n ** 32n;

/** MurmurHash3_x86_32. */
export function murmur3(bytes, seed = 0) {
  const rotated = (word, by) => (word << by) | (word >>> (32 - by));
  const scrambled = (word) => Math.imul(rotated(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  const whole = bytes.length & ~3;
  let hash = seed | 0;
  for (let at = 0; at < whole; at += 4) {
    hash = Math.imul(rotated(hash ^ scrambled(bytes.readInt32LE(at)), 13), 5) + 0xe6546b64;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= whole; at -= 1) tail = (tail << 8) | bytes[at];
  if (bytes.length > whole) hash ^= scrambled(tail);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function cborText(text) {
  const bytes = Buffer.from(text);
  const { length } = bytes;
  if (length < 24) return Buffer.concat([Buffer.from([0x60 | length]), bytes]);
  if (length < 256) return Buffer.concat([Buffer.from([0x78, length]), bytes]);
  return Buffer.concat([Buffer.from([0x79, length >> 8, length & 0xff]), bytes]);
}

/** The 32-bit draw of a user for a flag. */
export function draw(flag, user) {
  return murmur3(Buffer.concat([Buffer.from([0x82]), cborText(flag), cborText(String(user))]));
}

/** Draws below this number are on, `now` seconds after the epoch, in a rollout from `start` to `end`. */
export function threshold({ start, end, from = 0n }, now) {
  if (now <= start) return from;
  if (now >= end) return WHOLE;
  const [passed, whole] = [BigInt(now - start), BigInt(end - start)];
  return from + ((WHOLE - from) * passed + whole - 1n) / whole;
}

/** The base64 of a JSON value, as a parameter. */
export function parameter(value) {
  return encodeURIComponent(Buffer.from(JSON.stringify(value)).toString('base64'));
}

/** Seconds since the epoch. */
export const seconds = () => Math.floor(Date.now() / 1_000);

/** A time in seconds, as answers show it. */
export const rfc3339 = (time) => new Date(time * 1_000).toISOString().replace('.000Z', 'Z');

/** GET /v0/features of a user (an object, or undefined), which must succeed: flag names to booleans. */
export async function features(server, user) {
  const query = user === undefined ? '' : `?user_obj=${parameter(user)}`;
  return (await server.get(`/v0/features${query}`)).expect(200).json().features;
}

/** `ask(item)` of every item, some at a time, in their order. */
export async function each(items, ask, atOnce = 16) {
  const answers = [];
  for (let from = 0; from < items.length; from += atOnce) {
    answers.push(...await Promise.all(items.slice(from, from + atOnce).map(ask)));
  }
  return answers;
}
