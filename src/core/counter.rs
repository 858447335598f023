//! A counter: everything that is known of one event in one shard.

use super::bytes::{Reader, put_varint};
use super::error::Corrupt;
use super::goal::GoalRecord;
use super::sum::Sum;
use super::user_set::UserSet;

/// One event's users, value sum and, if it is a goal, its record.
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
}

const HAS_SUM: u8 = 1;
const IS_GOAL: u8 = 2;

impl Counter {
    /// A counter without users.
    #[must_use]
    pub fn new(tag: u64) -> Self {
        Self { tag, users: UserSet::new(), sum: None, goal: None }
    }

    /// Bytes that the counter takes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<UserSet>()
            + self.users.memory_bytes()
            + self.goal.as_ref().map_or(0, |goal| goal.memory_bytes())
    }

    /// Appends the encoding: tag (8 bytes), flags (1 byte: 1 has a sum, 2 is a goal), user set, then the sum and the
    /// goal record as flagged.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag.to_le_bytes());
        let sum_flag = if self.sum.is_some() { HAS_SUM } else { 0 };
        let goal_flag = if self.goal.is_some() { IS_GOAL } else { 0 };
        out.push(sum_flag | goal_flag);
        self.users.encode(out);
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
        let tag = reader.u64()?;
        let flags = reader.u8()?;
        if flags & !(HAS_SUM | IS_GOAL) != 0 {
            return Err(Corrupt::Value);
        }
        Ok(Self {
            tag,
            users: UserSet::decode(reader)?,
            sum: if flags & HAS_SUM != 0 { Some(Sum::decode(reader)?) } else { None },
            goal: if flags & IS_GOAL != 0 { Some(Box::new(GoalRecord::decode(reader)?)) } else { None },
        })
    }
}

/// Appends the number of an event.
pub(super) fn put_event(out: &mut Vec<u8>, event: u32) {
    put_varint(out, u64::from(event));
}
