//! Fingerprints in rows of the journal: 8 bytes, or short ones the upper 5.

use crate::core::format::bytes::Reader;
use crate::core::format::corrupt::{Corrupt, Within};
use crate::core::sets::user_set::UserSet;

/// Appends a fingerprint, short or not.
pub(super) fn put_fingerprint(out: &mut Vec<u8>, fingerprint: u64, is_short: bool) {
    let bytes = fingerprint.to_le_bytes();
    if is_short {
        out.extend_from_slice(bytes.split_at(bytes.len() - SHORT_BYTES).1);
    } else {
        out.extend_from_slice(&bytes);
    }
}

/// Reads a short fingerprint.
pub(super) fn read_short(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    let kept: [u8; SHORT_BYTES] = reader.array().within("fingerprint")?;
    Ok(kept.into_iter().rev().fold(0, |upper, byte| upper << 8 | u64::from(byte)) << SHORT_SHIFT)
}

/// Whether the upper 5 bytes say everything, as with [`UserSet::FINGERPRINT_BITS`].
pub(super) const fn is_short(fingerprint: u64) -> bool {
    fingerprint.trailing_zeros() >= SHORT_SHIFT
}

const SHORT_BYTES: usize = 5;
const SHORT_SHIFT: u32 = u64::BITS - 8 * SHORT_BYTES as u32;
const _: () = assert!(UserSet::FINGERPRINT_BITS as usize <= 8 * SHORT_BYTES);
