//! How much a batch may make the state grow, told before it is carried out.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::{Aggregator, Operation};
use crate::core::periods::week::Week;
use crate::core::settings::limits::NEW_ENTRY_BYTES;
use crate::core::state::set_key::SetKey;

impl Aggregator {
    /// Bytes by which these operations may make the state grow: what their sets would take if every user was new, and
    /// what is beside the sets.
    #[must_use]
    pub fn growth_bytes(&self, operations: impl Iterator<Item = impl Borrow<Operation>>) -> usize {
        let mut entries = 0;
        let mut by_week: BTreeMap<(u32, Option<Week>), u64> = BTreeMap::new();
        for operation in operations {
            entries += 1;
            if let Operation::Record { event, week, .. } = *operation.borrow() {
                *by_week.entry((event, week)).or_default() += 1;
            }
        }
        let mut of_sets = self.sets.growth_bytes(SetKey::AllUsers, by_week.values().sum());
        let by_week: Vec<_> = by_week.into_iter().collect();
        for weeks in by_week.chunk_by(|((event, _), _), ((next, _), _)| event == next) {
            let event = weeks.first().map_or(0, |((event, _), _)| *event);
            of_sets += self.sets.growth_bytes(SetKey::Event(event), weeks.iter().map(|(_, users)| users).sum());
            for &((event, week), users) in weeks {
                of_sets += week.map_or(0, |week| self.sets.growth_bytes(SetKey::Week(event, week), users));
            }
        }
        // A completion has a combination, which has a bit for every event.
        let entry_bytes = NEW_ENTRY_BYTES + self.counters.len() / 8;
        of_sets + entries * entry_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::Keys;
    use crate::core::periods::day::Day;
    use crate::core::state::shard_limits::ShardLimits;

    #[test]
    fn a_state_grows_by_no_more_than_was_told_and_by_nothing_for_nothing() {
        let keys = Keys::new(&[7; 32]);
        let unlink = keys.unlink("default");
        let mut state = Aggregator::default();
        assert_eq!(state.growth_bytes([].iter() as std::slice::Iter<'_, Operation>), 0);
        let mut user = 0_u32;
        for batch in 0..60_u32 {
            let record = |i: u32| {
                let event = i % (batch % 7 + 1);
                let week = Week::of_unix_s(i64::from(i % 5) * 700_000 + 1_600_000_000).filter(|_| batch % 3 == 0);
                let user = keys.user("default", &(user + i).to_string());
                Operation::Record { event, tag: unlink.tag(&event.to_string()), user, value: None, week }
            };
            let mut operations: Vec<Operation> = (0..batch * batch).map(record).collect();
            if batch % 10 == 5 {
                let event = batch % 7;
                operations.push(Operation::Goal { event, tag: unlink.tag(&event.to_string()) });
            }
            let (before, told) = (state.memory_bytes(), state.growth_bytes(operations.iter()));
            state.apply(&operations, &unlink, &ShardLimits::NONE, Day::MAX).unwrap();
            let grown = state.memory_bytes() - before;
            assert!(grown <= told, "batch {batch}: {grown} bytes, {told} were told");
            user += batch * batch / 2;
        }
    }
}
