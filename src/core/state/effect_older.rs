//! Journal rows of versions 1 to 3, which nothing writes any more.
//!
//! | part of an effect | form |
//! |---|---|
//! | kind | 1 byte: `0` counter, `1` goal, `2 + flags` first occurrence (flags: 4 value, 8 combination, 16 new user, 32 the combination counts in `other`); since version 2: `64` counter with its own number of fingerprint bits, `65` first occurrence in a week; since version 3: `66` weeks close |
//! | event | LEB128 |
//! | tag | 8 bytes, kinds `0` and `64` only |
//! | fingerprint bits | 1 byte, kind `64` only |
//! | week | LEB128, kinds `65` and `66` only ([`Week`]) |
//! | fingerprint | 8 bytes, first occurrences only |
//! | fingerprint in the set of all users | 8 bytes, if flag 16 |
//! | value | 8 bytes, if flag 4 |
//! | combination | if flag 8 |
//!
//! A row was written as the least version that has everything in it.

use super::effect::{COUNTER, Carried, Effect, GOAL, SIZED_COUNTER, noun};
use super::goal::Bucket;
use super::set_key::{SetKey, read_event};
use crate::core::format::bytes::{Reader, check_version};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::week::Week;

const FIRST: u8 = 2;
const HAS_VALUE: u8 = 4;
const HAS_COMBINATION: u8 = 8;
const IS_NEW_USER: u8 = 16;
const COUNTS_IN_OTHER: u8 = 32;
const WEEK: u8 = 65;
const CLOSE: u8 = 66;
const FIRST_FLAGS: u8 = FIRST | HAS_VALUE | HAS_COMBINATION | IS_NEW_USER | COUNTS_IN_OTHER;

/// Decodes the payload of a row.
///
/// # Errors
/// [`Corrupt`] for anything that those versions did not write.
pub(super) fn decode(row: &[u8], mut reader: Reader<'_>) -> Result<Vec<Effect>, Corrupt> {
    let (mut effects, mut version, mut nth) = (Vec::new(), 1, 0);
    while !reader.is_empty() {
        let kind = reader.u8().within("kind").within_nth("effect", nth)?;
        version = version.max(match kind {
            CLOSE => 3,
            WEEK | SIZED_COUNTER => 2,
            _ => 1,
        });
        let note = match kind {
            WEEK => "first occurrence in a week of event",
            CLOSE => "closed weeks of event",
            _ if kind & FIRST != 0 && kind & !FIRST_FLAGS == 0 => "first occurrence of event",
            _ => noun(kind).ok_or_else(|| Corrupt::new(Defect::Unknown).within("kind").within_nth("effect", nth))?,
        };
        let event = read_event(&mut reader).within_nth("effect", nth)?;
        change(&mut reader, kind, event, &mut effects).within_noted("effect", nth, note, Some(event.into()))?;
        nth += 1;
    }
    check_version(row, version)?;
    Ok(effects)
}

fn change(reader: &mut Reader<'_>, kind: u8, event: u32, effects: &mut Vec<Effect>) -> Result<(), Corrupt> {
    match kind {
        COUNTER | SIZED_COUNTER | GOAL => effects.push(Effect::decode_counter(reader, kind, event)?),
        WEEK => {
            let week = Week::decode(reader).within("week")?;
            effects.push(Effect::insert(SetKey::Week(event, week), reader.u64().within("fingerprint")?));
        }
        CLOSE => effects.push(Effect::Close { last: SetKey::Week(event, Week::decode(reader).within("week")?) }),
        _ => first(reader, kind, event, effects)?,
    }
    Ok(())
}

/// A first occurrence, which was one effect together with what the set of all users learnt from it.
fn first(reader: &mut Reader<'_>, kind: u8, event: u32, effects: &mut Vec<Effect>) -> Result<(), Corrupt> {
    let fingerprint = reader.u64().within("fingerprint")?;
    let is_new_user = kind & IS_NEW_USER != 0;
    let new_user = if is_new_user { Some(reader.u64().within("fingerprint of a new user")?) } else { None };
    let bucket = match kind & (HAS_COMBINATION | COUNTS_IN_OTHER) {
        0 => None,
        HAS_COMBINATION => Some(Bucket::Listed),
        COUNTS_IN_OTHER => return Err(Corrupt::new(Defect::Unknown).within("kind")),
        _ => Some(Bucket::Other),
    };
    let carried = Carried::read(reader, kind & HAS_VALUE != 0, bucket)?;
    effects.push(Effect::Insert { set: SetKey::Event(event), fingerprint, first: None, carried });
    effects.extend(new_user.map(|fingerprint| Effect::insert(SetKey::AllUsers, fingerprint)));
    Ok(())
}
