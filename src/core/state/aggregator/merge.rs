//! Merging the states of two aggregators that count under one key.

use super::{Aggregator, full};
use crate::core::sets::user_set::{Full, UserSet};
use crate::core::state::counter::Counter;
use crate::core::state::error::Refusal;
use crate::core::state::shard_limits::ShardLimits;

/// Why two states cannot be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmergeable {
    /// Of an event with values or completions, some users are in both states and some are not. Their sums and goal
    /// records cannot be told apart by user, so they can neither be added up nor left.
    Overlap {
        /// The event's number in the state that is merged into.
        event: u32,
    },
    /// The merged state would pass a limit.
    Refused(Refusal),
}

impl From<Full> for Unmergeable {
    fn from(cause: Full) -> Self {
        Self::Refused(full(cause))
    }
}

impl Aggregator {
    /// Adds what `other` has counted, whose events have the `numbers` here, by their number there.
    ///
    /// User sets and weeks unite. Where an event of `other` has values or completions, these add up if its users are new
    /// here, and leave what is here as it is if they are all known.
    ///
    /// # Errors
    /// [`Unmergeable`]; the state then holds a part of `other` and is of no use.
    pub fn merge(&mut self, other: &Self, numbers: &[u32], limits: &ShardLimits) -> Result<(), Unmergeable> {
        self.users.merge(&other.users)?;
        for (number, theirs) in other.counters() {
            let event = *numbers.get(number as usize).ok_or(Unmergeable::Refused(Refusal::Tag))?;
            if self.counter(event).is_none() {
                let empty = Counter::with_fingerprint_bits(theirs.tag, theirs.users.fingerprint_bits());
                self.put(event, empty.ok_or(Unmergeable::Refused(Refusal::Tag))?);
            }
            let counter = self.counter_mut(event).filter(|counter| counter.tag == theirs.tag);
            let counter = counter.ok_or(Unmergeable::Refused(Refusal::Tag))?;
            merge_counter(counter, theirs, event, numbers, limits)?;
        }
        let counters = self.counters().map(|(_, counter)| counter.memory_bytes());
        self.memory_bytes = counters.sum::<usize>() + self.users.memory_bytes() - size_of::<UserSet>();
        if self.memory_bytes as u64 > limits.memory_bytes {
            return Err(Unmergeable::Refused(Refusal::Memory));
        }
        Ok(())
    }
}

fn merge_counter(
    mine: &mut Counter,
    theirs: &Counter,
    event: u32,
    numbers: &[u32],
    limits: &ShardLimits,
) -> Result<(), Unmergeable> {
    let before = mine.users.len();
    mine.users.merge(&theirs.users)?;
    let new = mine.users.len() - before;
    let counts = theirs.sum.is_some() || theirs.goal.as_ref().is_some_and(|goal| goal.completions() > 0);
    let are_known = new == 0 && !theirs.users.is_empty();
    if counts && !are_known {
        if new != theirs.users.len() {
            return Err(Unmergeable::Overlap { event });
        }
        if let Some(sum) = theirs.sum {
            mine.sum.get_or_insert_default().merge(sum);
        }
    }
    if let Some(goal) = &theirs.goal {
        let record = mine.goal.get_or_insert_default();
        if !are_known {
            let here = |event: u32| numbers.get(event as usize).copied();
            let combinations = goal
                .combinations()
                .iter()
                .map(|(combination, &count)| (combination.events().filter_map(here).collect(), count));
            let single = goal.single().filter_map(|(event, count)| Some((here(event)?, count)));
            record.merge(combinations, goal.other(), single, limits.combinations_per_goal);
        }
    }
    if let Some(cohorts) = &theirs.cohorts {
        mine.cohorts.get_or_insert_default().merge(cohorts)?;
    }
    Ok(())
}
