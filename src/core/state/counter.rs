//! A counter: everything that is known of one event in one shard.

use super::cohort::{CLOSES, Cohorts};
use super::goal::GoalRecord;
use super::sum::Sum;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::sets::user_set::UserSet;

/// One event's users, value sum, weekly cohorts and, if it is a goal, its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// What the event's fingerprints are derived with.
    pub tag: u64,
    /// Who did it.
    pub users: UserSet,
    /// The sum of the first values, if any first occurrence had one.
    pub sum: Option<Sum>,
    /// Present for a goal.
    pub goal: Option<Box<GoalRecord>>,
    /// Present once a weekly cohort has a user.
    pub cohorts: Option<Box<Cohorts>>,
}

const HAS_SUM: u8 = 1;
const IS_GOAL: u8 = 2;
const IS_SIZED: u8 = 4;
const HAS_COHORTS: u8 = 8;
const HAS_CLOSED: u8 = 16;

impl Counter {
    /// A counter without users.
    #[must_use]
    pub fn new(tag: u64) -> Self {
        Self { tag, users: UserSet::new(), sum: None, goal: None, cohorts: None }
    }

    /// A counter without users whose sets keep so many bits of each fingerprint; `None` where they cannot.
    #[must_use]
    pub fn with_fingerprint_bits(tag: u64, bits: u8) -> Option<Self> {
        Some(Self { users: UserSet::with_fingerprint_bits(bits)?, ..Self::new(tag) })
    }

    /// The least version of the formats that has everything in it.
    #[must_use]
    pub fn version(&self) -> u8 {
        match &self.cohorts {
            Some(cohorts) if cohorts.closed().is_some() => 3,
            Some(_) => 2,
            None => 1 + u8::from(self.is_sized()),
        }
    }

    fn is_sized(&self) -> bool {
        self.users.fingerprint_bits() != UserSet::FINGERPRINT_BITS
    }

    /// Bytes that the counter takes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<UserSet>()
            + self.users.memory_bytes()
            + self.goal.as_ref().map_or(0, |goal| goal.memory_bytes())
            + self.cohorts.as_ref().map_or(0, |cohorts| cohorts.memory_bytes())
    }

    /// Gives back the memory that removals left unused.
    pub(super) fn shrink(&mut self) {
        self.users.shrink();
        if let Some(cohorts) = &mut self.cohorts {
            cohorts.shrink();
            if cohorts.is_empty() {
                self.cohorts = None;
            }
        }
    }

    /// Appends the encoding: tag (8 bytes), flags (1 byte: 1 has a sum, 2 is a goal; since version 2: 4 has its own
    /// number of fingerprint bits, 8 has cohorts; since version 3: 16 some of them have closed), the number of bits if flagged
    /// (1 byte), user set, then the sum, the goal record and the cohorts as flagged.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag.to_le_bytes());
        let sum_flag = if self.sum.is_some() { HAS_SUM } else { 0 };
        let goal_flag = if self.goal.is_some() { IS_GOAL } else { 0 };
        let sized_flag = if self.is_sized() { IS_SIZED } else { 0 };
        let cohorts_flag = if self.cohorts.is_some() { HAS_COHORTS } else { 0 };
        let closed_flag = if self.version() == 3 { HAS_CLOSED } else { 0 };
        out.push(sum_flag | goal_flag | sized_flag | cohorts_flag | closed_flag);
        if self.is_sized() {
            out.push(self.users.fingerprint_bits());
        }
        self.users.encode(out);
        if let Some(sum) = self.sum {
            sum.encode(out);
        }
        if let Some(goal) = &self.goal {
            goal.encode(out);
        }
        if let Some(cohorts) = &self.cohorts {
            cohorts.encode(out);
        }
    }

    /// Reads an encoded counter.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Self::encode`] does not write.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let tag = reader.u64().within("tag")?;
        let flags = reader.u8().within("flags")?;
        let have_closed = flags & HAS_CLOSED != 0;
        let is_known = flags & !(HAS_SUM | IS_GOAL | IS_SIZED | HAS_COHORTS | HAS_CLOSED) == 0;
        if !is_known || (have_closed && (flags & HAS_COHORTS == 0 || !CLOSES)) {
            return Err(Corrupt::new(Defect::Range).within("flags"));
        }
        let is_sized = flags & IS_SIZED != 0;
        let bits = if is_sized { reader.u8().within("fingerprint bits")? } else { UserSet::FINGERPRINT_BITS };
        Ok(Self {
            tag,
            users: UserSet::decode(reader, bits)?,
            sum: if flags & HAS_SUM != 0 { Some(Sum::decode(reader)?) } else { None },
            goal: if flags & IS_GOAL != 0 { Some(Box::new(GoalRecord::decode(reader)?)) } else { None },
            cohorts: match flags & HAS_COHORTS {
                0 => None,
                _ => Some(Box::new(Cohorts::decode(reader, bits, have_closed)?)),
            },
        })
    }
}

/// Appends the number of an event.
pub(super) fn put_event(out: &mut Vec<u8>, event: u32) {
    put_varint(out, u64::from(event));
}
