// An independent reader of stored snapshot rows, written from ARCHITECTURE.md, to see what an attacker would.

const FINGERPRINT_BITS = 36n;

/** How many parts the key of a set has, by its kind. */
const PARTS = [0, 1, 2, 2, 1];
/** Stands in the place of a kind for a series, which is numbers. */
const SERIES = 31;

/** The fingerprints, as BigInts, in one stored section of version 4 or 5: those of a set, and none of a counter or a series. */
export function decodeSection(row) {
  const bytes = unpacked(row);
  const head = Buffer.from(bytes.subarray(0, 8));
  if (head.toString('latin1', 0, 3) !== 'KES' || ![4, 5].includes(head[3])) throw new Error(`not a snapshot section: ${head.toString('hex')}`);
  const reader = new Reader(bytes, 8);
  if (reader.varint() > 0) return { fingerprints: [] };
  const kind = reader.byte();
  if (kind === SERIES) return { fingerprints: [] };
  for (let parts = PARTS[kind]; parts > 0; parts -= 1) reader.varint();
  const bits = reader.byte();
  if (BigInt(bits) !== FINGERPRINT_BITS) throw new Error(`fingerprints of ${bits} bits`);
  return { fingerprints: reader.userSet() };
}

/** What is in a row: that of a set of a period has 512 zeros and the length in front of it, and zeros behind it. */
export function unpacked(row) {
  return row[0] === 0 ? row.subarray(516, 516 + Buffer.from(row).readUInt32LE(512)) : row;
}

class Reader {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    this.at += 1;
    return this.bytes[this.at - 1];
  }

  varint() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at];
      this.at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** Rice-coded gaps between ascending fingerprints, least significant bit first. */
  userSet() {
    const count = this.varint();
    if (count === 0) return [];
    const k = this.bytes[this.at];
    this.at += 1;
    const length = this.varint();
    const start = this.at * 8;
    this.at += length;
    let bit = start;
    const next = () => {
      const value = (this.bytes[bit >> 3] >> (bit & 7)) & 1;
      bit += 1;
      return value;
    };
    const fingerprints = [];
    let least = 0n;
    while (fingerprints.length < count) {
      let high = 0n;
      while (next() === 1) high += 1n;
      let low = 0n;
      for (let i = 0; i < k; i += 1) low |= BigInt(next()) << BigInt(i);
      const fingerprint = least + (high << BigInt(k)) + low;
      if (fingerprint >> FINGERPRINT_BITS !== 0n) throw new Error('a fingerprint is out of range');
      fingerprints.push(fingerprint);
      least = fingerprint + 1n;
    }
    if (Math.ceil((bit - start) / 8) !== length) throw new Error('the bit stream has another length');
    return fingerprints;
  }
}

/** How often 8 consecutive bytes, as a little-endian integer, have one of these fingerprints as their upper bits. */
export function fingerprintsWithin(bytes, fingerprints) {
  const known = new Set(fingerprints);
  const buffer = Buffer.from(bytes);
  let found = 0;
  for (let at = 0; at + 8 <= buffer.length; at += 1) {
    if (known.has(buffer.readBigUInt64LE(at) >> (64n - FINGERPRINT_BITS))) found += 1;
  }
  return found;
}
