//! What the fuzz targets share.

use kimball_edge::core::format::bytes::frame;
use kimball_edge::core::settings::limits::{FlagLimits, RequestLimits};

/// Bytes as they came, as golden files do; or, where the first is even, the rest as the payload of a frame with a right checksum,
/// because no fuzzer guesses one. `versions` are those that the decoder knows.
#[must_use]
pub fn framed(kind: u8, versions: u8, data: &[u8]) -> Vec<u8> {
    match data.split_first() {
        Some((&first, payload)) if first & 1 == 0 => frame(kind, 1 + (first >> 1) % versions, payload),
        _ => data.to_vec(),
    }
}

/// Limits that small inputs meet.
pub const REQUEST: RequestLimits =
    RequestLimits { body_bytes: 4_096, batch_events: 5, batch_namespaces: 2, name_bytes: 16 };

/// Likewise.
pub const FLAGS: FlagLimits = FlagLimits { flags: 10, conditions: 3, values: 3, bytes: 4_096 };
