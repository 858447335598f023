//! Effects: what a batch changed in a shard.
//!
//! An effect names no user key, so replaying a journal is plain insertion. Its bytes in a row of the [`super::journal`] are
//!
//! | part | form |
//! |---|---|
//! | kind | 1 byte: `0` counter, `1` goal, `2` periods close, `3` a day is missed, `8` a grid changes, `65` a definition is noted, `64` counter with its own number of fingerprint bits; `32 + kind of set` insertions with short fingerprints, `48 + kind of set` insertions, `80 + kind of set` a set goes over; `128 + kind of set` insertion, `161` insertion into the users of an event that carries something, `192 + kind of set` closing, `224 + kind of set` insertion with a short fingerprint; 16 more where an insertion is a first occurrence in periods |
//! | event | LEB128, kinds `0`, `1`, `64` only |
//! | day | LEB128, its stored number, kinds `2` and `3` only |
//! | definition | kind `65` only (`definitions/`) |
//! | changes | kind `8` only: the number of the definition and that of changes (LEB128), then each: 1 byte, `0` joins, `1` returns, `2` returns and is of a cohort; the period; the upper 5 bytes of the fingerprint; who joins: bits of the periods in which they have returned (LEB128); who is of a cohort: the periods that it is behind, and those behind it in which they were seen last (1 byte each), the upper 5 bytes of the fingerprint in it |
//! | tag | 8 bytes, kinds `0` and `64` only |
//! | fingerprint bits | 1 byte, kind `64` only |
//! | parts of the key of the set | kinds with one ([`super::set_key`]) |
//! | day, units | first occurrences in periods only: LEB128, its stored number; 1 byte |
//! | fingerprints | insertions only: their number (LEB128), then each, ascending: 8 bytes, or short ones the upper 5 |
//! | fingerprint | insertions only: 8 bytes, or from `224` on, where the lower 24 bits are 0, the upper 5 |
//! | flags | 1 byte, kind `161` only: 1 value, 2 combination, 4 the combination counts in `other` |
//! | value | 8 bytes, if flag 1 |
//! | combination | if flag 2 |

use super::combination::Combination;
#[cfg(not(feature = "browser"))]
use super::definitions::Definition;
use super::fingerprint::{is_short, put_fingerprint, read_short};
use super::goal::Bucket;
#[cfg(not(feature = "browser"))]
use super::grids::GridChange;
use super::series::Occurrence;
#[cfg(not(feature = "browser"))]
use super::set_key::read_definition;
use super::set_key::{COUNTS_IN_PERIODS, KINDS_MAX, SetKey, read_event};
use crate::core::format::bytes::{Reader, flags_of, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::periods::period::Units;
use crate::core::sets::user_set::UserSet;

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
        /// The periods of which it is a first occurrence ever, if any; it counts only if the user is new in the set.
        first: Option<Occurrence>,
        /// What came with the first occurrence of an event, if anything did; it counts only if the user is new in the set.
        carried: Option<Box<Carried>>,
    },
    /// Users are in a set now.
    InsertMany {
        /// The set.
        set: SetKey,
        /// The users in it, ascending.
        fingerprints: Box<[u64]>,
    },
    /// The sets of an event and kind up to this one become a number.
    Close {
        /// The last of them.
        last: SetKey,
    },
    /// The set of a period becomes a number before its time, because there is no room.
    Over {
        /// The set.
        set: SetKey,
    },
    /// The sets of periods that ended up to this day become numbers.
    ClosePeriods {
        /// The day.
        last: Day,
    },
    /// There was no room to note the first occurrences of a day.
    Miss {
        /// The day.
        day: Day,
    },
    /// The shard has heard of a definition.
    #[cfg(not(feature = "browser"))]
    Define(Box<Definition>),
    /// A retention grid changes.
    #[cfg(not(feature = "browser"))]
    Grid {
        /// The number of its definition.
        definition: u32,
        /// What changes, in this order.
        changes: Box<[GridChange]>,
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
const CLOSE_PERIODS: u8 = 2;
const MISS: u8 = 3;
#[cfg(not(feature = "browser"))]
const GRID: u8 = 8;
#[cfg(not(feature = "browser"))]
const DEFINE: u8 = 65;
const INSERT_MANY_SHORT: u8 = 32;
const INSERT_MANY: u8 = 48;
pub(super) const SIZED_COUNTER: u8 = 64;
const OVER: u8 = 80;
const INSERT: u8 = 128;
const INSERT_CARRYING: u8 = 160;
const CLOSE: u8 = 192;
const INSERT_SHORT: u8 = 224;
const IS_FIRST: u8 = 16;
const SET_KINDS: u8 = KINDS_MAX - 1;

const HAS_VALUE: u8 = 1;
const HAS_COMBINATION: u8 = 2;
const COUNTS_IN_OTHER: u8 = 4;

impl Effect {
    /// That a user is in a set, with nothing carried.
    #[must_use]
    pub const fn insert(set: SetKey, fingerprint: u64) -> Self {
        Self::Insert { set, fingerprint, first: None, carried: None }
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
            Self::Insert { set, fingerprint, first, carried } => {
                let is_short = self.is_short();
                let kind = if carried.is_some() {
                    INSERT_CARRYING
                } else if is_short {
                    INSERT_SHORT
                } else {
                    INSERT
                };
                out.push(kind + if first.is_some() { IS_FIRST } else { 0 } + set.kind());
                set.encode_parts(out);
                if let Some(Occurrence { day, units }) = first {
                    put_varint(out, u64::from(day.number()));
                    out.push(units.bits());
                }
                put_fingerprint(out, *fingerprint, is_short);
                if let Some(carried) = carried {
                    carried.encode(out);
                }
            }
            Self::InsertMany { set, fingerprints } => {
                let is_short = fingerprints.iter().all(|&fingerprint| is_short(fingerprint));
                out.push(set.kind() + if is_short { INSERT_MANY_SHORT } else { INSERT_MANY });
                set.encode_parts(out);
                put_varint(out, fingerprints.len() as u64);
                fingerprints.iter().for_each(|&fingerprint| put_fingerprint(out, fingerprint, is_short));
            }
            Self::Close { last } => {
                out.push(last.kind() + CLOSE);
                last.encode_parts(out);
            }
            Self::Over { set } => {
                out.push(set.kind() + OVER);
                set.encode_parts(out);
            }
            Self::ClosePeriods { last: day } | Self::Miss { day } => {
                out.push(if matches!(self, Self::Miss { .. }) { MISS } else { CLOSE_PERIODS });
                put_varint(out, u64::from(day.number()));
            }
            #[cfg(not(feature = "browser"))]
            Self::Define(definition) => {
                out.push(DEFINE);
                definition.encode(out);
            }
            #[cfg(not(feature = "browser"))]
            Self::Grid { definition, changes } => {
                out.push(GRID);
                put_varint(out, u64::from(*definition));
                put_varint(out, changes.len() as u64);
                changes.iter().for_each(|change| change.encode(out));
            }
        }
    }

    /// The least version of a row that has it: 7 where it is about definitions, 6 where it is about periods, 5 where its fingerprint is short.
    pub(super) const fn version(&self) -> u8 {
        match self {
            #[cfg(not(feature = "browser"))]
            Self::Define(_) | Self::Grid { .. } => 7,
            Self::Over { set } if set.definition().is_some() => 7,
            Self::Insert { first: Some(_), .. }
            | Self::InsertMany { .. }
            | Self::Over { .. }
            | Self::ClosePeriods { .. }
            | Self::Miss { .. } => 6,
            _ if self.is_short() => 5,
            _ => 4,
        }
    }

    /// Whether its encoding has a short fingerprint.
    const fn is_short(&self) -> bool {
        matches!(self, Self::Insert { fingerprint, carried: None, .. } if is_short(*fingerprint))
    }

    /// Reads the effect at this position of a row of a version.
    pub(super) fn decode(reader: &mut Reader<'_>, nth: u64, version: u8) -> Result<Self, Corrupt> {
        let kind = reader.u8().within("kind").within_nth("effect", nth)?;
        if let COUNTER | GOAL | SIZED_COUNTER = kind {
            let event = read_event(reader).within_nth("effect", nth)?;
            let noun = noun(kind).unwrap_or(COUNTER_OF);
            return Self::decode_counter(reader, kind, event).within_noted("effect", nth, noun, Some(event.into()));
        }
        let knows_periods = COUNTS_IN_PERIODS && version >= 6;
        if knows_periods && matches!(kind, CLOSE_PERIODS | MISS) {
            let day =
                reader.varint().and_then(|number| Day::of_number(number).ok_or_else(|| Corrupt::new(Defect::Range)));
            let day = day.within("day").within_nth("effect", nth)?;
            return Ok(if kind == MISS { Self::Miss { day } } else { Self::ClosePeriods { last: day } });
        }
        #[cfg(not(feature = "browser"))]
        if version >= 7 && matches!(kind, GRID | DEFINE) {
            return Self::decode_definition(reader, kind).within_noted("effect", nth, DEFINITION, None);
        }
        let is_of_set = kind >= INSERT
            || (knows_periods && (INSERT_MANY_SHORT..SIZED_COUNTER).contains(&kind))
            || (knows_periods && kind & !SET_KINDS == OVER);
        if !is_of_set {
            return Err(Corrupt::new(Defect::Unknown).within("kind").within_nth("effect", nth));
        }
        let set = SetKey::decode_parts(kind & SET_KINDS, reader).within_nth("effect", nth)?;
        let (noun, event) = (SetKey::noun(set.kind()), set.event().map(u64::from));
        Self::decode_change(reader, kind & !SET_KINDS, set, version).within_noted("effect", nth, noun, event)
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

    fn decode_change(reader: &mut Reader<'_>, kind: u8, set: SetKey, version: u8) -> Result<Self, Corrupt> {
        match kind {
            CLOSE => return Ok(Self::Close { last: set }),
            OVER if set.is_of_period() => return Ok(Self::Over { set }),
            INSERT_MANY | INSERT_MANY_SHORT if set.period().is_some() => {
                return Self::decode_many(reader, set, kind == INSERT_MANY_SHORT);
            }
            _ => {}
        }
        let is_first = kind & IS_FIRST != 0;
        let kind = kind & !IS_FIRST;
        let first = if is_first { Some(read_first(reader, set, version)?) } else { None };
        let fingerprint = match kind {
            INSERT => match reader.u64().within("fingerprint")? {
                long if version >= 5 && is_short(long) => return Err(Corrupt::new(Defect::Form).within("fingerprint")),
                long => long,
            },
            INSERT_CARRYING if matches!(set, SetKey::Event(_)) => reader.u64().within("fingerprint")?,
            INSERT_SHORT if version >= 5 => read_short(reader)?,
            _ => return Err(Corrupt::new(Defect::Unknown).within("kind")),
        };
        if set.is_of_period() {
            return Err(Corrupt::new(Defect::Unknown).within("kind"));
        }
        let carried = if kind == INSERT_CARRYING { Carried::decode(reader)? } else { None };
        Ok(Self::Insert { set, fingerprint, first, carried })
    }

    /// Reads what is about definitions.
    #[cfg(not(feature = "browser"))]
    fn decode_definition(reader: &mut Reader<'_>, kind: u8) -> Result<Self, Corrupt> {
        if kind == DEFINE {
            return Ok(Self::Define(Box::new(Definition::decode(reader)?)));
        }
        let definition = read_definition(reader)?;
        let (count, mut changes) = (reader.varint().within("number of changes")?, Vec::new());
        for nth in 0..count {
            changes.push(GridChange::decode(reader).within_nth("change", nth)?);
        }
        if changes.is_empty() {
            return Err(Corrupt::new(Defect::Form).within("changes"));
        }
        Ok(Self::Grid { definition, changes: changes.into() })
    }

    fn decode_many(reader: &mut Reader<'_>, set: SetKey, are_short: bool) -> Result<Self, Corrupt> {
        let count = reader.varint().within("number of fingerprints")?;
        let mut fingerprints = Vec::new();
        for nth in 0..count {
            let fingerprint = if are_short { read_short(reader) } else { reader.u64().within("fingerprint") };
            let fingerprint = fingerprint.within_nth("user", nth)?;
            if fingerprints.last().is_some_and(|&last| last >= fingerprint) {
                return Err(Corrupt::new(Defect::Order).within("fingerprint").within_nth("user", nth));
            }
            fingerprints.push(fingerprint);
        }
        let could_be_short = fingerprints.iter().all(|&fingerprint| is_short(fingerprint));
        if fingerprints.is_empty() || could_be_short != are_short {
            return Err(Corrupt::new(Defect::Form).within("fingerprints"));
        }
        Ok(Self::InsertMany { set, fingerprints: fingerprints.into() })
    }

    /// Names the effect at this position of a row as what is corrupt.
    pub(super) fn corrupt(&self, corrupt: Corrupt, nth: u64) -> Corrupt {
        let (noun, event) = match self {
            Self::Counter { event, .. } => (COUNTER_OF, Some(*event)),
            Self::Goal { event } => (GOAL_OF, Some(*event)),
            Self::Insert { set, .. } | Self::InsertMany { set, .. } | Self::Over { set } => {
                (SetKey::noun(set.kind()), set.event())
            }
            Self::Close { last } => (CLOSE_OF, last.event()),
            Self::ClosePeriods { .. } | Self::Miss { .. } => (PERIODS, None),
            #[cfg(not(feature = "browser"))]
            Self::Define(_) | Self::Grid { .. } => (DEFINITION, None),
        };
        corrupt.within_noted("effect", nth, noun, event.map(u64::from))
    }
}

/// Reads when a first occurrence was.
fn read_first(reader: &mut Reader<'_>, set: SetKey, version: u8) -> Result<Occurrence, Corrupt> {
    if !COUNTS_IN_PERIODS || version < 6 || !matches!(set, SetKey::AllUsers | SetKey::Event(_)) {
        return Err(Corrupt::new(Defect::Unknown).within("kind"));
    }
    let day =
        Day::of_number(reader.varint().within("day")?).ok_or_else(|| Corrupt::new(Defect::Range).within("day"))?;
    let bits = reader.u8().within("units")?;
    let units = Units::of_bits(bits);
    let is_sound = units.bits() == bits && units != Units::NONE;
    if is_sound { Ok(Occurrence { day, units }) } else { Err(Corrupt::new(Defect::Range).within("units")) }
}

const COUNTER_OF: &str = "counter of event";
const GOAL_OF: &str = "goal of event";
const CLOSE_OF: &str = "closed sets of event";
const PERIODS: &str = "periods";
#[cfg(not(feature = "browser"))]
const DEFINITION: &str = "definition";

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
