//! Merging the states of two aggregators that count under one key.

use super::{Aggregator, full};
#[cfg(not(feature = "browser"))]
use crate::core::periods::week::Week;
use crate::core::sets::user_set::{Full, UserSet};
#[cfg(not(feature = "browser"))]
use crate::core::state::counter::Closed;
use crate::core::state::counter::Counter;
use crate::core::state::error::Refusal;
use crate::core::state::set_key::{COUNTS_IN_PERIODS, SetKey};
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
    /// What counts in periods is not merged: only pages merge, and they have no periods.
    ///
    /// # Errors
    /// [`Unmergeable`]; the state then holds a part of `other` and is of no use.
    pub fn merge(&mut self, other: &Self, numbers: &[u32], limits: &ShardLimits) -> Result<(), Unmergeable> {
        let counts_in_periods = |state: &Self| state.series.places().next().is_some() || state.sets.in_periods() > 0;
        if COUNTS_IN_PERIODS && (counts_in_periods(self) || counts_in_periods(other)) {
            return Err(Unmergeable::Refused(Refusal::Tag));
        }
        if let Some(users) = other.sets.get(SetKey::AllUsers) {
            self.sets.merge(SetKey::AllUsers, users)?;
        }
        for (number, theirs) in other.counters() {
            let event = *numbers.get(number as usize).ok_or(Unmergeable::Refused(Refusal::Tag))?;
            if self.counter(event).is_none() {
                let empty = Counter::new(theirs.tag, theirs.fingerprint_bits);
                self.put(event, empty.ok_or(Unmergeable::Refused(Refusal::Tag))?);
            }
            let users = other.sets.get(SetKey::Event(number));
            let before = self.sets.len(SetKey::Event(event));
            users.map_or(Ok(()), |users| self.sets.merge(SetKey::Event(event), users))?;
            let new = self.sets.len(SetKey::Event(event)) - before;
            self.merge_counter(event, theirs, (new, users.map_or(0, UserSet::len)), numbers, limits)?;
            for (set, users) in other.sets.others(number) {
                self.merge_set(set.of_event(event), users)?;
            }
        }
        self.counters_bytes = self.counters().map(|(_, counter)| counter.memory_bytes()).sum();
        if self.memory_bytes() as u64 > limits.memory_bytes {
            return Err(Unmergeable::Refused(Refusal::Memory));
        }
        Ok(())
    }

    /// Merges what is beside the sets, of an event of whose users some are new here. What has closed in either has closed in
    /// both, and the numbers of closed weeks add up: who was in the same one of both counts twice.
    fn merge_counter(
        &mut self,
        event: u32,
        theirs: &Counter,
        (new, users): (u64, u64),
        numbers: &[u32],
        limits: &ShardLimits,
    ) -> Result<(), Unmergeable> {
        let counter = self.counter_mut(event).filter(|counter| counter.tag == theirs.tag);
        let counter = counter.ok_or(Unmergeable::Refused(Refusal::Tag))?;
        let counts = theirs.sum.is_some() || theirs.goal.as_ref().is_some_and(|goal| goal.completions() > 0);
        let are_known = new == 0 && users > 0;
        if counts && !are_known {
            if new != users {
                return Err(Unmergeable::Overlap { event });
            }
            if let Some(sum) = theirs.sum {
                counter.sum.get_or_insert_default().merge(sum);
            }
        }
        if let Some(goal) = &theirs.goal {
            let record = counter.goal.get_or_insert_default();
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
        #[cfg(not(feature = "browser"))]
        if let Some(closed) = theirs.closed {
            self.close_merged(event, closed)?;
        }
        Ok(())
    }

    #[cfg(not(feature = "browser"))]
    fn close_merged(&mut self, event: u32, theirs: Closed) -> Result<(), Unmergeable> {
        let counter = self.counter_mut(event).ok_or(Unmergeable::Refused(Refusal::Tag))?;
        // Nothing has closed before the first of all weeks.
        let closed = counter.closed.get_or_insert(Closed { week: Week::OTHER, users: 0 });
        closed.users += theirs.users;
        if closed.week < theirs.week {
            self.close(SetKey::Week(event, theirs.week), &mut Vec::new()).map_err(Unmergeable::Refused)?;
        }
        Ok(())
    }

    fn merge_set(&mut self, set: SetKey, users: &UserSet) -> Result<(), Unmergeable> {
        if !self.has_closed(set) {
            return Ok(self.sets.merge(set, users)?);
        }
        let counter = set.event().and_then(|event| self.counter_mut(event));
        if let Some(closed) = counter.and_then(|counter| counter.closed.as_mut()) {
            closed.users += users.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::periods::week::Week;
    use crate::core::state::effect::Effect;

    fn nth(n: u32) -> Week {
        Week::of_unix_s(1_645_000_000 + i64::from(n) * 604_800).unwrap()
    }

    /// One user in each of these weeks, of which those up to `closed` have closed.
    fn with_weeks(weeks: &[u32], closed: Option<u32>) -> Aggregator {
        let mut effects = vec![Effect::Counter { event: 0, tag: 1, fingerprint_bits: 36 }];
        effects.extend(weeks.iter().map(|&n| Effect::insert(SetKey::Week(0, nth(n)), u64::from(n) << 40)));
        effects.extend(closed.map(|n| Effect::Close { last: SetKey::Week(0, nth(n)) }));
        let mut state = Aggregator::default();
        state.restore(&effects).unwrap();
        state
    }

    fn merged(mine: &Aggregator, theirs: &Aggregator) -> (Aggregator, Vec<(Week, u64)>) {
        let mut state = mine.clone();
        state.merge(theirs, &[0], &ShardLimits::NONE).unwrap();
        let weeks =
            state.report().counters.first().unwrap().weeks.iter().map(|(&week, &users)| (week, users)).collect();
        (state, weeks)
    }

    #[test]
    fn what_has_closed_in_one_has_closed_in_the_merged() {
        let (mine, theirs) = (with_weeks(&[3, 5, 7], None), with_weeks(&[4, 5, 8], Some(5)));
        let (forward, weeks) = merged(&mine, &theirs);
        assert_eq!(weeks, [(Week::OTHER, 4), (nth(7), 1), (nth(8), 1)]);
        assert_eq!(merged(&theirs, &mine).1, weeks);
        let (_, weeks) = merged(&forward, &with_weeks(&[3, 5, 7], Some(7)));
        assert_eq!(weeks, [(Week::OTHER, 8), (nth(8), 1)]);
        let empty = Aggregator::default();
        assert_eq!(merged(&empty, &forward).1, merged(&forward, &empty).1);
    }
}
