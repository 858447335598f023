//! How much a batch may make the state grow, told before it is carried out.

use std::collections::BTreeMap;

use super::{Aggregator, Operation};
use crate::core::cohort::Week;
use crate::core::limits::NEW_ENTRY_BYTES;
use crate::core::user_set::UserSet;

impl Aggregator {
    /// Bytes by which these operations may make the state grow: what their sets would take if every user was new, and
    /// what is beside the sets.
    #[must_use]
    pub fn growth_bytes<'a>(&self, operations: impl Iterator<Item = &'a Operation>) -> usize {
        let mut insertions: BTreeMap<(u32, Option<Week>), u64> = BTreeMap::new();
        let (mut users, mut entries) = (0, 0);
        for operation in operations {
            entries += 1;
            if let Operation::Record { event, week, .. } = *operation {
                users += 1;
                *insertions.entry((event, None)).or_default() += 1;
                if week.is_some() {
                    *insertions.entry((event, week)).or_default() += 1;
                }
            }
        }
        let of_sets: usize =
            insertions.into_iter().map(|((event, week), insertions)| self.set_growth(event, week, insertions)).sum();
        // A completion has a combination, which has a bit for every event.
        let entry_bytes = NEW_ENTRY_BYTES + self.counters.len() / 8;
        self.users.growth_bytes(users) + of_sets + entries * entry_bytes
    }

    /// Bytes by which the set of an event, or of a week of it, may grow; one that is not there yet begins empty.
    fn set_growth(&self, event: u32, week: Option<Week>, insertions: u64) -> usize {
        let counter = self.counter(event);
        let set = match week {
            None => counter.map(|counter| &counter.users),
            Some(week) => counter.and_then(|counter| counter.cohorts.as_ref()).and_then(|cohorts| cohorts.users(week)),
        };
        set.map_or_else(|| UserSet::new().growth_bytes(insertions), |set| set.growth_bytes(insertions))
    }
}
