//! Rows of the journal: the effects of one batch, in their order.
//!
//! A row is a [`crate::core::format::bytes::frame`] of kind `J` around effects until the end ([`super::effect`]): version 7 where one of
//! them is about definitions, 6 where one is about periods, 5 where one has a short fingerprint, else 4. Before there was a version 5, a fingerprint that could have been short was written as a long one. Where it is stored it is sealed ([`crate::core::format::seal`]), because a row tells
//! which effects came together. Rows of versions 1 to 3 are read by `effect_older.rs`.

use super::effect::Effect;
use super::effect_older;
use crate::core::format::bytes::{Reader, check_version, close_frame, open_frame, unframe, version_of};
use crate::core::format::corrupt::Corrupt;

const KIND: u8 = b'J';
const VERSION: u8 = 7;
const VERSION_WITHOUT_SHORT: u8 = 4;

/// Encodes the effects of a batch as a row.
#[must_use]
pub fn encode(effects: &[Effect]) -> Vec<u8> {
    let mut out = open_frame(KIND, effects.len() * 12);
    for effect in effects {
        effect.encode(&mut out);
    }
    close_frame(version(effects), &mut out);
    out
}

/// Decodes a row.
///
/// # Errors
/// [`Corrupt`] for anything that [`encode`] does not write, in this version or an earlier one.
pub fn decode(row: &[u8]) -> Result<Vec<Effect>, Corrupt> {
    let mut reader = Reader::new(unframe(KIND, VERSION, row)?);
    let found = version_of(row);
    if found < VERSION_WITHOUT_SHORT {
        return effect_older::decode(row, reader);
    }
    let (mut effects, mut nth) = (Vec::new(), 0);
    while !reader.is_empty() {
        effects.push(Effect::decode(&mut reader, nth, found)?);
        nth += 1;
    }
    if found > VERSION_WITHOUT_SHORT {
        check_version(row, version(&effects))?;
    }
    Ok(effects)
}

/// The least version that has everything in it.
fn version(effects: &[Effect]) -> u8 {
    effects.iter().map(Effect::version).max().unwrap_or(VERSION_WITHOUT_SHORT)
}
