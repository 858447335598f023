//! Effects: what a batch changed in a shard, and the journal row that says so.
//!
//! An effect names no user key, so replaying a journal is plain insertion. A row lists the effects of one batch in
//! their order; where it is stored it is sealed ([`crate::core::format::seal`]), because a row tells which effects came together.
//!
//! Payload of a row (in a [`crate::core::format::bytes::frame`] of kind `J`, version 1, 2 or 3): effects until the end. Each is
//!
//! | part | form |
//! |---|---|
//! | kind | 1 byte: `0` counter, `1` goal, `2 + flags` first occurrence (flags: 4 value, 8 combination, 16 new user, 32 the combination counts in `other`); since version 2: `64` counter with its own number of fingerprint bits, `65` first occurrence in a week; since version 3: `66` weeks close |
//! | event | LEB128 |
//! | tag | 8 bytes, kinds `0` and `64` only |
//! | fingerprint bits | 1 byte, kind `64` only |
//! | week | LEB128, kinds `65` and `66` only ([`crate::core::periods::week::Week`]) |
//! | fingerprint | 8 bytes, first occurrences only |
//! | fingerprint in the set of all users | 8 bytes, if flag 16 |
//! | value | 8 bytes, if flag 4 |
//! | combination | if flag 8 |
//!
//! A row is written as the least version that has everything in it.

use super::combination::Combination;
use super::counter::put_event;
use super::goal::Bucket;
use crate::core::format::bytes::{Reader, check_version, frame, unframe};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::week::Week;
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

/// One change of a shard's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// An event has a counter now.
    Counter {
        /// The event's number.
        event: u32,
        /// What its fingerprints are derived with.
        tag: u64,
        /// How many bits of them its sets keep.
        fingerprint_bits: u8,
    },
    /// An event is a goal now.
    Goal {
        /// The event's number.
        event: u32,
    },
    /// A user did an event for the first time.
    First(First),
    /// A user did an event for the first time in a week.
    Week {
        /// The event's number.
        event: u32,
        /// The week under which this counts.
        week: Week,
        /// The user in the set of this event and week.
        fingerprint: u64,
    },
    /// The weeks of an event up to this one close.
    Close {
        /// The event's number.
        event: u32,
        /// The latest week that closes.
        week: Week,
    },
}

/// A first occurrence.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    /// The event's number.
    pub event: u32,
    /// The user in the set of this event.
    pub fingerprint: u64,
    /// The user in the set of all users, if not seen before in the namespace.
    pub new_user: Option<u64>,
    /// The value that came with it.
    pub value: Option<f64>,
    /// If the event is a goal: what the user had done before, and where that counts.
    pub completion: Option<(Combination, Bucket)>,
}

const KIND: u8 = b'J';
const VERSION_MAX: u8 = 3;

const COUNTER: u8 = 0;
const GOAL: u8 = 1;
const FIRST: u8 = 2;
const HAS_VALUE: u8 = 4;
const HAS_COMBINATION: u8 = 8;
const IS_NEW_USER: u8 = 16;
const COUNTS_IN_OTHER: u8 = 32;
const SIZED_COUNTER: u8 = 64;
const WEEK: u8 = 65;
const CLOSE: u8 = 66;
const FIRST_FLAGS: u8 = FIRST | HAS_VALUE | HAS_COMBINATION | IS_NEW_USER | COUNTS_IN_OTHER;

/// Encodes the effects of a batch as a journal row.
#[must_use]
pub fn encode(effects: &[Effect]) -> Vec<u8> {
    let mut out = Vec::with_capacity(effects.len() * 20);
    for effect in effects {
        match effect {
            Effect::Counter { event, tag, fingerprint_bits: UserSet::FINGERPRINT_BITS } => {
                out.push(COUNTER);
                put_event(&mut out, *event);
                out.extend_from_slice(&tag.to_le_bytes());
            }
            Effect::Counter { event, tag, fingerprint_bits } => {
                out.push(SIZED_COUNTER);
                put_event(&mut out, *event);
                out.extend_from_slice(&tag.to_le_bytes());
                out.push(*fingerprint_bits);
            }
            Effect::Goal { event } => {
                out.push(GOAL);
                put_event(&mut out, *event);
            }
            Effect::First(first) => put_first(&mut out, first),
            Effect::Week { event, week, fingerprint } => {
                out.push(WEEK);
                put_event(&mut out, *event);
                week.encode(&mut out);
                out.extend_from_slice(&fingerprint.to_le_bytes());
            }
            Effect::Close { event, week } => {
                out.push(CLOSE);
                put_event(&mut out, *event);
                week.encode(&mut out);
            }
        }
    }
    frame(KIND, version(effects), &out)
}

/// The least version that has all of these in it.
fn version(effects: &[Effect]) -> u8 {
    let least = |effect: &Effect| match effect {
        Effect::Close { .. } => 3,
        Effect::Week { .. } => 2,
        Effect::Counter { fingerprint_bits, .. } => 1 + u8::from(*fingerprint_bits != UserSet::FINGERPRINT_BITS),
        Effect::Goal { .. } | Effect::First(_) => 1,
    };
    effects.iter().map(least).max().unwrap_or(1)
}

fn put_first(out: &mut Vec<u8>, first: &First) {
    let mut kind = FIRST;
    for (flag, is_set) in [
        (HAS_VALUE, first.value.is_some()),
        (HAS_COMBINATION, first.completion.is_some()),
        (COUNTS_IN_OTHER, matches!(first.completion, Some((_, Bucket::Other)))),
        (IS_NEW_USER, first.new_user.is_some()),
    ] {
        if is_set {
            kind |= flag;
        }
    }
    out.push(kind);
    put_event(out, first.event);
    out.extend_from_slice(&first.fingerprint.to_le_bytes());
    if let Some(fingerprint) = first.new_user {
        out.extend_from_slice(&fingerprint.to_le_bytes());
    }
    if let Some(value) = first.value {
        out.extend_from_slice(&value.to_le_bytes());
    }
    if let Some((combination, _)) = &first.completion {
        combination.encode(out);
    }
}

impl Effect {
    /// The event's number.
    #[must_use]
    pub const fn event(&self) -> u32 {
        match self {
            Self::Counter { event, .. }
            | Self::Goal { event }
            | Self::Week { event, .. }
            | Self::Close { event, .. } => *event,
            Self::First(first) => first.event,
        }
    }

    /// Names the effect at this position of a row as what is corrupt.
    pub(super) fn corrupt(&self, corrupt: Corrupt, nth: u64) -> Corrupt {
        let kind = match self {
            Self::Counter { .. } => COUNTER_OF,
            Self::Goal { .. } => GOAL_OF,
            Self::First(_) => FIRST_OF,
            Self::Week { .. } => WEEK_OF,
            Self::Close { .. } => CLOSE_OF,
        };
        corrupt.within_noted("effect", nth, kind, Some(u64::from(self.event())))
    }
}

const COUNTER_OF: &str = "counter of event";
const GOAL_OF: &str = "goal of event";
const FIRST_OF: &str = "first occurrence of event";
const WEEK_OF: &str = "first occurrence in a week of event";
const CLOSE_OF: &str = "closed weeks of event";

/// Decodes a journal row.
///
/// # Errors
/// [`Corrupt`] for anything that [`encode`] does not write.
pub fn decode(row: &[u8]) -> Result<Vec<Effect>, Corrupt> {
    let mut reader = Reader::new(unframe(KIND, VERSION_MAX, row)?);
    let mut effects = Vec::new();
    while !reader.is_empty() {
        effects.push(get(&mut reader, effects.len() as u64)?);
    }
    check_version(row, version(&effects))?;
    Ok(effects)
}

/// Reads the effect at this position.
fn get(reader: &mut Reader<'_>, nth: u64) -> Result<Effect, Corrupt> {
    let kind = reader.u8().within("kind").within_nth("effect", nth)?;
    let note = match kind {
        COUNTER | SIZED_COUNTER => COUNTER_OF,
        GOAL => GOAL_OF,
        WEEK => WEEK_OF,
        CLOSE => CLOSE_OF,
        _ if kind & FIRST != 0 && kind & !FIRST_FLAGS == 0 => FIRST_OF,
        _ => return Err(Corrupt::new(Defect::Unknown).within("kind").within_nth("effect", nth)),
    };
    let event = reader.varint_below(EVENTS_PER_NAMESPACE.max).within("event").within_nth("effect", nth)? as u32;
    get_change(reader, kind, event).within_noted("effect", nth, note, Some(u64::from(event)))
}

fn get_change(reader: &mut Reader<'_>, kind: u8, event: u32) -> Result<Effect, Corrupt> {
    Ok(match kind {
        COUNTER => {
            Effect::Counter { event, tag: reader.u64().within("tag")?, fingerprint_bits: UserSet::FINGERPRINT_BITS }
        }
        SIZED_COUNTER => Effect::Counter {
            event,
            tag: reader.u64().within("tag")?,
            fingerprint_bits: reader.u8().within("fingerprint bits")?,
        },
        WEEK => Effect::Week {
            event,
            week: Week::decode(reader).within("week")?,
            fingerprint: reader.u64().within("fingerprint")?,
        },
        CLOSE => Effect::Close { event, week: Week::decode(reader).within("week")? },
        GOAL => Effect::Goal { event },
        _ => Effect::First(get_first(reader, kind, event)?),
    })
}

fn get_first(reader: &mut Reader<'_>, kind: u8, event: u32) -> Result<First, Corrupt> {
    let fingerprint = reader.u64().within("fingerprint")?;
    let is_new_user = kind & IS_NEW_USER != 0;
    let new_user = if is_new_user { Some(reader.u64().within("fingerprint of a new user")?) } else { None };
    let value = if kind & HAS_VALUE != 0 { Some(reader.f64().within("value")?) } else { None };
    let completion = match kind & (HAS_COMBINATION | COUNTS_IN_OTHER) {
        0 => None,
        HAS_COMBINATION => Some((Combination::decode(reader).within("combination")?, Bucket::Listed)),
        COUNTS_IN_OTHER => return Err(Corrupt::new(Defect::Unknown).within("kind")),
        _ => Some((Combination::decode(reader).within("combination")?, Bucket::Other)),
    };
    Ok(First { event, fingerprint, new_user, value, completion })
}
