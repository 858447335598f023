//! The encoding of a user set: its fingerprints ascending, as Rice-coded gaps.
//!
//! | part | form |
//! |---|---|
//! | number of fingerprints `n` | LEB128 |
//! | `k`, bits of a gap's lower part | 1 byte, only if `n > 0` |
//! | length of the bit stream in bytes | LEB128, only if `n > 0` |
//! | bit stream | per fingerprint: `gap >> k` one bits, a zero bit, then the `k` lower bits; least significant first, zero-padded |
//!
//! The gap of the first fingerprint is itself, that of a later one the distance to its predecessor minus one. `k` is
//! `floor(log2(2^b / n))` for fingerprints of `b` bits (36 unless `COUNTERS` says otherwise), about 1.5 bits a user from the entropy (R. F. Rice, 1979). Equal sets have equal bytes.

use super::UserSet;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};

impl UserSet {
    /// Appends the encoding to `out`. About `b + 2 - log2(n)` bits a user.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let len = self.len();
        put_varint(out, len);
        if len == 0 {
            return;
        }
        let k = gap_bits(len, self.fingerprint_bits());
        // The gaps' upper parts are ones, of which there are less than two a fingerprint: `2^b >> k`.
        let mut bits =
            BitWriter { bytes: Vec::with_capacity(len as usize * (k as usize + 3) / 8 + 8), pending: 0, count: 0 };
        let mut next = 0;
        for fingerprint in self.fingerprints() {
            let gap = fingerprint - next;
            let (ones, low) = ((gap >> k) as u32, gap & ((1 << k) - 1));
            let (whole, rest) = (ones / ONES_AT_ONCE, ones % ONES_AT_ONCE);
            for _ in 0..whole {
                bits.put((1 << ONES_AT_ONCE) - 1, ONES_AT_ONCE);
            }
            // The zero bit behind the ones is there already.
            if rest + 1 + k <= PUT_MAX {
                bits.put(((1 << rest) - 1) | (low << (rest + 1)), rest + 1 + k);
            } else {
                bits.put((1 << rest) - 1, rest + 1);
                bits.put(low, k);
            }
            next = fingerprint + 1;
        }
        let stream = bits.finish();
        out.push(k as u8);
        put_varint(out, stream.len() as u64);
        out.extend_from_slice(&stream);
    }

    /// Reads one encoded set of fingerprints of so many bits.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Self::encode`] does not write. Memory is taken in proportion to the input only.
    pub fn decode(reader: &mut Reader<'_>, fingerprint_bits: u8) -> Result<Self, Corrupt> {
        decode(reader, fingerprint_bits).within("user set")
    }
}

fn decode(reader: &mut Reader<'_>, fingerprint_bits: u8) -> Result<UserSet, Corrupt> {
    let empty = UserSet::with_fingerprint_bits(fingerprint_bits);
    let empty = empty.ok_or_else(|| Corrupt::new(Defect::Range).within("fingerprint bits"))?;
    let len = reader.varint_below(empty.capacity_max() + 1).within("number of fingerprints")?;
    if len == 0 {
        return Ok(empty);
    }
    let k = u32::from(reader.u8().within("bits of a lower part")?);
    if k != gap_bits(len, fingerprint_bits) {
        return Err(Corrupt::new(Defect::Form).within("bits of a lower part"));
    }
    let stream_bytes = reader.varint().within("length of the gaps")?;
    let stream_bytes = usize::try_from(stream_bytes).unwrap_or(usize::MAX);
    let stream = reader.slice(stream_bytes).within("gaps")?;
    let gaps = Gaps { stream, bit: 0, k, fingerprint_bits, left: len, next: 0 };
    // Memory is taken for so many fingerprints only where the stream can hold them.
    let is_possible = len * u64::from(k + 1) <= stream_bytes as u64 * 8;
    let (users, check) = if is_possible {
        let laid = UserSet::from_sorted(&gaps, len, fingerprint_bits);
        laid.ok_or_else(|| Corrupt::new(Defect::Range).within("gaps"))?
    } else {
        let mut check = gaps;
        check.by_ref().for_each(drop);
        (empty, check)
    };
    let read = len - check.left;
    if read != len {
        let defect = if check.bit > stream_bytes * 8 { Defect::Short } else { Defect::Space };
        return Err(Corrupt::new(defect).within_nth("gap", read));
    }
    if check.bit.div_ceil(8) != stream_bytes {
        return Err(Corrupt::new(Defect::Long).within_nth("gap", read - 1));
    }
    if !check.padding_is_zero() {
        return Err(Corrupt::new(Defect::Form).within("padding"));
    }
    Ok(users)
}

fn gap_bits(len: u64, fingerprint_bits: u8) -> u32 {
    ((1_u64 << fingerprint_bits) / len.max(1)).ilog2()
}

/// More are rare: the mean is below two.
const ONES_AT_ONCE: u32 = 32;

/// The most bits that are put at once.
const PUT_MAX: u32 = 56;

struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the lower `count` (at most [`PUT_MAX`]) bits of `value`, which has no others.
    fn put(&mut self, value: u64, count: u32) {
        self.pending |= value << self.count;
        let filled = self.count + count;
        if filled < u64::BITS {
            self.count = filled;
        } else {
            self.bytes.extend_from_slice(&self.pending.to_le_bytes());
            // `self.count` is above 0 here.
            self.pending = value >> (u64::BITS - self.count);
            self.count = filled - u64::BITS;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let left = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(self.pending.to_le_bytes().get(..left).unwrap_or_default());
        self.bytes
    }
}

/// Decodes fingerprints; ends early where the stream does not hold `left` of them in range.
#[derive(Clone)]
struct Gaps<'a> {
    stream: &'a [u8],
    bit: usize,
    k: u32,
    fingerprint_bits: u8,
    left: u64,
    next: u64,
}

impl Gaps<'_> {
    /// At least 56 bits from the current position on, zeros behind the end.
    fn peek(&self) -> u64 {
        let at = self.bit / 8;
        let rest = self.stream.get(at..).unwrap_or_default();
        let bytes = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut bytes = [0; 8];
            for (to, from) in bytes.iter_mut().zip(rest) {
                *to = *from;
            }
            bytes
        });
        u64::from_le_bytes(bytes) >> (self.bit % 8)
    }

    fn padding_is_zero(&self) -> bool {
        self.bit.is_multiple_of(8) || self.peek() == 0
    }
}

impl Iterator for Gaps<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.left == 0 {
            return None;
        }
        let mut high = 0;
        loop {
            let ones = self.peek().trailing_ones().min(ONES_AT_ONCE);
            high += u64::from(ones);
            self.bit += ones as usize;
            if ones < ONES_AT_ONCE {
                break;
            }
        }
        self.bit += 1;
        let low = self.peek() & ((1 << self.k) - 1);
        self.bit += self.k as usize;
        if self.bit > self.stream.len() * 8 || high > 1 << (u32::from(self.fingerprint_bits) - self.k) {
            return None;
        }
        let fingerprint = self.next + (high << self.k) + low;
        if fingerprint >> self.fingerprint_bits != 0 {
            return None;
        }
        self.left -= 1;
        self.next = fingerprint + 1;
        Some(fingerprint)
    }
}
