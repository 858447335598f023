//! Effects: what a batch changed in a shard.
//!
//! An effect names no user key, so replaying a journal is plain insertion. Its bytes in a row of the [`super::journal`] are
//!
//! | part | form |
//! |---|---|
//! | kind | 1 byte: `0` counter, `1` goal, `64` counter with its own number of fingerprint bits; `128 + kind of set` insertion, `161` insertion into the users of an event that carries something, `192 + kind of set` closing, `224 + kind of set` insertion with a short fingerprint |
//! | event | LEB128, kinds below 128 |
//! | tag | 8 bytes, kinds `0` and `64` only |
//! | fingerprint bits | 1 byte, kind `64` only |
//! | parts of the key of the set | from `128` on ([`super::set_key`]) |
//! | fingerprint | insertions only: 8 bytes, or from `224` on, where the lower 24 bits are 0, the upper 5 |
//! | flags | 1 byte, kind `161` only: 1 value, 2 combination, 4 the combination counts in `other` |
//! | value | 8 bytes, if flag 1 |
//! | combination | if flag 2 |

use super::combination::Combination;
use super::goal::Bucket;
use super::set_key::SetKey;
use crate::core::format::bytes::{Reader, flags_of, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
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
    /// A user is in a set now.
    Insert {
        /// The set.
        set: SetKey,
        /// The user in it.
        fingerprint: u64,
        /// What came with the first occurrence of an event, if anything did; it counts only if the user is new in the set.
        carried: Option<Box<Carried>>,
    },
    /// The sets of an event and kind up to this one become a number.
    Close {
        /// The last of them.
        last: SetKey,
    },
}

/// What a first occurrence of an event carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// The value that came with it.
    pub value: Option<f64>,
    /// If the event is a goal: what the user had done before, and where that counts.
    pub completion: Option<(Combination, Bucket)>,
}

pub(super) const COUNTER: u8 = 0;
pub(super) const GOAL: u8 = 1;
pub(super) const SIZED_COUNTER: u8 = 64;
const INSERT: u8 = 128;
const INSERT_CARRYING: u8 = 160;
const CLOSE: u8 = 192;
const INSERT_SHORT: u8 = 224;
const SET_KINDS: u8 = 31;

const HAS_VALUE: u8 = 1;
const HAS_COMBINATION: u8 = 2;
const COUNTS_IN_OTHER: u8 = 4;

impl Effect {
    /// That a user is in a set, with nothing carried.
    #[must_use]
    pub const fn insert(set: SetKey, fingerprint: u64) -> Self {
        Self::Insert { set, fingerprint, carried: None }
    }

    /// Appends the encoding.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Counter { event, tag, fingerprint_bits } => {
                let is_sized = *fingerprint_bits != UserSet::FINGERPRINT_BITS;
                out.push(if is_sized { SIZED_COUNTER } else { COUNTER });
                put_varint(out, u64::from(*event));
                out.extend_from_slice(&tag.to_le_bytes());
                if is_sized {
                    out.push(*fingerprint_bits);
                }
            }
            Self::Goal { event } => {
                out.push(GOAL);
                put_varint(out, u64::from(*event));
            }
            Self::Insert { set, fingerprint, carried } => {
                let is_short = self.is_short();
                let kind = if carried.is_some() {
                    INSERT_CARRYING
                } else if is_short {
                    INSERT_SHORT
                } else {
                    INSERT
                };
                out.push(kind + set.kind());
                set.encode_parts(out);
                let bytes = fingerprint.to_le_bytes();
                if is_short {
                    out.extend_from_slice(bytes.split_at(bytes.len() - SHORT_BYTES).1);
                } else {
                    out.extend_from_slice(&bytes);
                }
                if let Some(carried) = carried {
                    carried.encode(out);
                }
            }
            Self::Close { last } => {
                out.push(last.kind() + CLOSE);
                last.encode_parts(out);
            }
        }
    }

    /// Whether its encoding has a short fingerprint.
    pub(super) const fn is_short(&self) -> bool {
        matches!(self, Self::Insert { fingerprint, carried: None, .. } if is_short(*fingerprint))
    }

    /// Reads the effect at this position of a row in which fingerprints that can be short are so, or none is.
    pub(super) fn decode(reader: &mut Reader<'_>, nth: u64, has_short: bool) -> Result<Self, Corrupt> {
        let kind = reader.u8().within("kind").within_nth("effect", nth)?;
        if kind < INSERT {
            let noun = noun(kind).ok_or_else(|| Corrupt::new(Defect::Unknown).within("kind"));
            let noun = noun.within_nth("effect", nth)?;
            let event = reader.varint_below(EVENTS_PER_NAMESPACE.max).within("event").within_nth("effect", nth)? as u32;
            return Self::decode_counter(reader, kind, event).within_noted("effect", nth, noun, Some(event.into()));
        }
        let set = SetKey::decode_parts(kind & SET_KINDS, reader).within_nth("effect", nth)?;
        let (noun, event) = (SetKey::noun(set.kind()), set.event().map(u64::from));
        Self::decode_change(reader, kind & !SET_KINDS, set, has_short).within_noted("effect", nth, noun, event)
    }

    /// Reads what is behind the event of a counter or a goal.
    pub(super) fn decode_counter(reader: &mut Reader<'_>, kind: u8, event: u32) -> Result<Self, Corrupt> {
        if kind == GOAL {
            return Ok(Self::Goal { event });
        }
        let tag = reader.u64().within("tag")?;
        let is_sized = kind == SIZED_COUNTER;
        let fingerprint_bits =
            if is_sized { reader.u8().within("fingerprint bits")? } else { UserSet::FINGERPRINT_BITS };
        if is_sized && fingerprint_bits == UserSet::FINGERPRINT_BITS {
            return Err(Corrupt::new(Defect::Form).within("fingerprint bits"));
        }
        Ok(Self::Counter { event, tag, fingerprint_bits })
    }

    fn decode_change(reader: &mut Reader<'_>, kind: u8, set: SetKey, has_short: bool) -> Result<Self, Corrupt> {
        if kind == CLOSE {
            return Ok(Self::Close { last: set });
        }
        let fingerprint = match kind {
            INSERT => match reader.u64().within("fingerprint")? {
                long if has_short && is_short(long) => return Err(Corrupt::new(Defect::Form).within("fingerprint")),
                long => long,
            },
            INSERT_CARRYING if matches!(set, SetKey::Event(_)) => reader.u64().within("fingerprint")?,
            INSERT_SHORT if has_short => {
                let kept: [u8; SHORT_BYTES] = reader.array().within("fingerprint")?;
                kept.into_iter().rev().fold(0, |upper, byte| upper << 8 | u64::from(byte)) << SHORT_SHIFT
            }
            _ => return Err(Corrupt::new(Defect::Unknown).within("kind")),
        };
        let carried = if kind == INSERT_CARRYING { Carried::decode(reader)? } else { None };
        Ok(Self::Insert { set, fingerprint, carried })
    }

    /// Names the effect at this position of a row as what is corrupt.
    pub(super) fn corrupt(&self, corrupt: Corrupt, nth: u64) -> Corrupt {
        let (noun, event) = match self {
            Self::Counter { event, .. } => (COUNTER_OF, Some(*event)),
            Self::Goal { event } => (GOAL_OF, Some(*event)),
            Self::Insert { set, .. } => (SetKey::noun(set.kind()), set.event()),
            Self::Close { last } => (CLOSE_OF, last.event()),
        };
        corrupt.within_noted("effect", nth, noun, event.map(u64::from))
    }
}

/// Whether the upper 5 bytes say everything, as with [`UserSet::FINGERPRINT_BITS`].
const fn is_short(fingerprint: u64) -> bool {
    fingerprint.trailing_zeros() >= SHORT_SHIFT
}

const SHORT_BYTES: usize = 5;
const SHORT_SHIFT: u32 = u64::BITS - 8 * SHORT_BYTES as u32;
const _: () = assert!(UserSet::FINGERPRINT_BITS as usize <= 8 * SHORT_BYTES);

const COUNTER_OF: &str = "counter of event";
const GOAL_OF: &str = "goal of event";
const CLOSE_OF: &str = "closed sets of event";

/// What an effect of this kind, below those of sets, is called.
pub(super) const fn noun(kind: u8) -> Option<&'static str> {
    match kind {
        COUNTER | SIZED_COUNTER => Some(COUNTER_OF),
        GOAL => Some(GOAL_OF),
        _ => None,
    }
}

impl Carried {
    /// What came with a first occurrence, where something did.
    #[must_use]
    pub fn of(value: Option<f64>, completion: Option<(Combination, Bucket)>) -> Option<Box<Self>> {
        (value.is_some() || completion.is_some()).then(|| Box::new(Self { value, completion }))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(flags_of([
            (HAS_VALUE, self.value.is_some()),
            (HAS_COMBINATION, self.completion.is_some()),
            (COUNTS_IN_OTHER, matches!(self.completion, Some((_, Bucket::Other)))),
        ]));
        if let Some(value) = self.value {
            out.extend_from_slice(&value.to_le_bytes());
        }
        if let Some((combination, _)) = &self.completion {
            combination.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Option<Box<Self>>, Corrupt> {
        let flags = reader.u8().within("flags")?;
        let bucket = match flags & !HAS_VALUE {
            0 if flags != 0 => None,
            HAS_COMBINATION => Some(Bucket::Listed),
            found if found == HAS_COMBINATION | COUNTS_IN_OTHER => Some(Bucket::Other),
            _ => return Err(Corrupt::new(Defect::Unknown).within("flags")),
        };
        Self::read(reader, flags & HAS_VALUE != 0, bucket)
    }

    /// Reads a value and a combination, as far as they are there; the bucket of a combination is known before.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        has_value: bool,
        bucket: Option<Bucket>,
    ) -> Result<Option<Box<Self>>, Corrupt> {
        let value = if has_value { Some(reader.f64().within("value")?) } else { None };
        let completion = match bucket {
            Some(bucket) => Some((Combination::decode(reader).within("combination")?, bucket)),
            None => None,
        };
        Ok(Self::of(value, completion))
    }
}
