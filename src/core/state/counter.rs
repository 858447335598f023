//! A counter: what is known of one event in one shard beside its sets of users ([`super::sets`]).

use super::all_series::AllSeries;
use super::goal::GoalRecord;
use super::set_key::COUNTS_IN_PERIODS;
use super::sets::Slot;
use super::sum::Sum;
use crate::core::format::bytes::{Reader, flags_of, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::week::Week;
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::CLOSED_USERS_MAX;

/// One event's value sum, what has closed of its weeks and, if it is a goal, its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// What the event's fingerprints are derived with.
    pub tag: u64,
    /// How many bits of them its sets keep.
    pub fingerprint_bits: u8,
    /// The sum of the first values, if any first occurrence had one.
    pub sum: Option<Sum>,
    /// Present for a goal.
    pub goal: Option<Box<GoalRecord>>,
    /// What is left of the weeks that have closed, if any has.
    pub closed: Option<Closed>,
}

/// What is left of the weeks that have closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The latest of them: nobody is counted any more in it or an earlier one.
    pub week: Week,
    /// The sum of their numbers of users. Who was in two of them counts twice.
    pub users: u64,
}

/// A page keeps every week that it has room for: it does not fetch the code that closes them.
pub(super) const CLOSES: bool = cfg!(not(feature = "browser"));

const HAS_SUM: u8 = 1;
const IS_GOAL: u8 = 2;
const IS_SIZED: u8 = 4;
pub(super) const HAS_CLOSED: u8 = 16;

impl Counter {
    /// A counter whose sets keep so many bits of each fingerprint; `None` where they cannot.
    #[must_use]
    pub fn new(tag: u64, fingerprint_bits: u8) -> Option<Self> {
        UserSet::with_fingerprint_bits(fingerprint_bits)?;
        Some(Self { tag, fingerprint_bits, sum: None, goal: None, closed: None })
    }

    /// Whether a week has closed.
    #[must_use]
    pub fn has_closed(&self, week: Week) -> bool {
        CLOSES && self.closed.is_some_and(|closed| week <= closed.week)
    }

    /// Bytes that the counter takes in memory, with the places of its sets and series.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let places = size_of::<Slot>() + if COUNTS_IN_PERIODS { AllSeries::place_bytes() } else { 0 };
        size_of::<Self>() + places + self.goal.as_ref().map_or(0, |goal| goal.memory_bytes())
    }

    /// Whether its sets keep another number of bits than most.
    pub(super) const fn is_sized(&self) -> bool {
        self.fingerprint_bits != UserSet::FINGERPRINT_BITS
    }

    /// Appends the encoding: tag (8 bytes), flags (1 byte: 1 has a sum, 2 is a goal, 4 has its own number of fingerprint
    /// bits, 16 has closed weeks), the number of bits if flagged (1 byte), then the sum, the goal record and what is left of the
    /// closed weeks (stored number of the latest, number of users, LEB128) as flagged.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out, 0);
        self.encode_counts(out);
        if let Some(closed) = self.closed {
            closed.week.encode(out);
            put_varint(out, closed.users);
        }
    }

    /// Appends tag, flags, `more_flags` among them, and bits.
    pub(super) fn encode_head(&self, out: &mut Vec<u8>, more_flags: u8) {
        let flags = flags_of([
            (HAS_SUM, self.sum.is_some()),
            (IS_GOAL, self.goal.is_some()),
            (IS_SIZED, self.is_sized()),
            (HAS_CLOSED, CLOSES && self.closed.is_some()),
        ]);
        out.extend_from_slice(&self.tag.to_le_bytes());
        out.push(more_flags | flags);
        if self.is_sized() {
            out.push(self.fingerprint_bits);
        }
    }

    /// Appends sum and goal record.
    pub(super) fn encode_counts(&self, out: &mut Vec<u8>) {
        if let Some(sum) = self.sum {
            sum.encode(out);
        }
        if let Some(goal) = &self.goal {
            goal.encode(out);
        }
    }

    /// Reads an encoded counter.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Self::encode`] does not write.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let (mut counter, flags) = Self::decode_head(reader, 0)?;
        counter.decode_counts(reader, flags)?;
        counter.decode_closed(reader, flags)?;
        Ok(counter)
    }

    /// Reads what [`Self::encode_head`] writes with such flags more; answers the flags.
    pub(super) fn decode_head(reader: &mut Reader<'_>, more_flags: u8) -> Result<(Self, u8), Corrupt> {
        let tag = reader.u64().within("tag")?;
        let flags = reader.u8().within("flags")?;
        let known = HAS_SUM | IS_GOAL | IS_SIZED | more_flags | if CLOSES { HAS_CLOSED } else { 0 };
        if flags & !known != 0 {
            return Err(Corrupt::new(Defect::Range).within("flags"));
        }
        let is_sized = flags & IS_SIZED != 0;
        let bits = if is_sized { reader.u8().within("fingerprint bits")? } else { UserSet::FINGERPRINT_BITS };
        let counter = Self::new(tag, bits).filter(|counter| counter.is_sized() == is_sized);
        Ok((counter.ok_or_else(|| Corrupt::new(Defect::Range).within("fingerprint bits"))?, flags))
    }

    /// Reads what [`Self::encode_counts`] writes.
    pub(super) fn decode_counts(&mut self, reader: &mut Reader<'_>, flags: u8) -> Result<(), Corrupt> {
        if flags & HAS_SUM != 0 {
            self.sum = Some(Sum::decode(reader)?);
        }
        if flags & IS_GOAL != 0 {
            self.goal = Some(Box::new(GoalRecord::decode(reader)?));
        }
        Ok(())
    }

    /// Reads what is left of closed weeks, if that is flagged.
    pub(super) fn decode_closed(&mut self, reader: &mut Reader<'_>, flags: u8) -> Result<(), Corrupt> {
        if CLOSES && flags & HAS_CLOSED != 0 {
            self.closed = Some(Closed::decode(reader).within("closed weeks")?);
        }
        Ok(())
    }
}

impl Closed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let week = Week::decode(reader).within("week number")?;
        Ok(Self { week, users: reader.varint_below(CLOSED_USERS_MAX).within("users")? })
    }
}
