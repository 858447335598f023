//! How much a batch may make the state grow, told before it is carried out.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::{Aggregator, Operation};
#[cfg(not(feature = "browser"))]
use crate::core::periods::day::Day;
use crate::core::periods::period::{Period, Unit};
use crate::core::settings::limits::NEW_ENTRY_BYTES;
#[cfg(not(feature = "browser"))]
use crate::core::state::definitions::Spec;
use crate::core::state::series::Occurrence;
use crate::core::state::set_key::{COUNTS_IN_PERIODS, SetKey};

impl Aggregator {
    /// Bytes by which these operations may make the state grow: what their sets would take if every user was new, and
    /// what is beside the sets.
    #[must_use]
    pub fn growth_bytes(&self, operations: impl Iterator<Item = impl Borrow<Operation>>) -> usize {
        let mut entries = 0;
        let mut by_set: BTreeMap<SetKey, u64> = BTreeMap::new();
        #[cfg(not(feature = "browser"))]
        let mut by_definition: BTreeMap<(u32, Day), u64> = BTreeMap::new();
        for operation in operations {
            entries += 1;
            if let Operation::Record { event, week, time, .. } = *operation.borrow() {
                let mut count = |set| *by_set.entry(set).or_default() += 1;
                count(SetKey::AllUsers);
                count(SetKey::Event(event));
                if let Some(week) = week {
                    count(SetKey::Week(event, week));
                }
                if let Some(Occurrence { day, units }) = time.filter(|_| COUNTS_IN_PERIODS) {
                    units.iter().for_each(|unit| count(SetKey::EventPeriod(event, Period::of(unit, day))));
                    for unit in Unit::ALL {
                        count(SetKey::AnyPeriod(Period::of(unit, day)));
                    }
                    #[cfg(not(feature = "browser"))]
                    for definition in self.definitions.about(event).filter(|definition| definition.counts_on(day)) {
                        *by_definition.entry((definition.number, day)).or_default() += 1;
                    }
                }
            }
        }
        let of_sets: usize = by_set.into_iter().map(|(set, users)| self.sets.growth_bytes(set, users)).sum();
        // A completion has a combination, which has a bit for every event.
        let entry_bytes = NEW_ENTRY_BYTES + self.counters.len() / 8;
        #[cfg(not(feature = "browser"))]
        let of_sets = of_sets
            + by_definition
                .into_iter()
                .filter_map(|((number, day), visits)| match self.definitions.get(number)?.spec {
                    Spec::Retention(grid) => Some(self.grid_growth_bytes(number, grid, day, visits)),
                })
                .sum::<usize>();
        of_sets + entries * entry_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::Keys;
    use crate::core::periods::day::Day;
    use crate::core::periods::period::Units;
    use crate::core::periods::week::Week;
    use crate::core::state::shard_limits::ShardLimits;

    #[test]
    fn a_state_grows_by_no_more_than_was_told_and_by_nothing_for_nothing() {
        let keys = Keys::new(&[7; 32]);
        let unlink = keys.unlink("default");
        let mut state = Aggregator::default();
        assert_eq!(state.growth_bytes([].iter() as std::slice::Iter<'_, Operation>), 0);
        let (mut user, today) = (0_u32, Day::of_unix_s(1_645_000_000));
        for batch in 0..60_u32 {
            let record = |i: u32| {
                let event = i % (batch % 7 + 1);
                let week = Week::of_unix_s(i64::from(i % 5) * 700_000 + 1_600_000_000).filter(|_| batch % 3 == 0);
                let user = keys.user("default", &(user + i).to_string());
                let units = Units::of_bits((i % 8) as u8);
                let time = Some(Occurrence { day: today.plus(i64::from(i % 4) - 2), units });
                Operation::Record { event, tag: unlink.tag(&event.to_string()), user, value: None, week, time }
            };
            let mut operations: Vec<Operation> = (0..batch * batch).map(record).collect();
            if batch % 10 == 5 {
                let event = batch % 7;
                operations.push(Operation::Goal { event, tag: unlink.tag(&event.to_string()) });
            }
            let (before, told) = (state.memory_bytes(), state.growth_bytes(operations.iter()));
            state.apply(&operations, &unlink, &ShardLimits::NONE, today).unwrap();
            let grown = state.memory_bytes() - before;
            assert!(grown <= told, "batch {batch}: {grown} bytes, {told} were told");
            user += batch * batch / 2;
        }
    }
}
