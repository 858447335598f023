//! Definitions in a shard: hearing of them, forgetting them, and handing them what users have done.
//!
//! A *visit* is an event of an open day that a definition is about. Those of a group of batches are kept in the order in which they came
//! and handed to each definition once the group can no longer be refused. Nothing of that is refused: a definition for which there is
//! no room says that it is not complete.

use super::{Aggregator, Change, Group};
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::state::definitions::{Definition, Spec};
use crate::core::state::effect::Effect;
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::ShardLimits;

/// An event of a user that a definition is about.
pub(super) struct Visit {
    pub(super) event: u32,
    pub(super) user: UserKey,
    pub(super) day: Day,
    /// Whether the user had never done the event before.
    pub(super) is_first: bool,
}

/// Those of a group, in the order in which they came.
#[derive(Default)]
pub(super) struct Visits {
    list: Vec<Visit>,
    /// How many of them are of batches that are done.
    kept: usize,
}

impl Visits {
    /// Forgets those of a batch that is refused.
    pub(super) fn take_back(&mut self) {
        self.list.truncate(self.kept);
    }

    /// Keeps those of a batch that is done.
    pub(super) fn keep(&mut self) {
        self.kept = self.list.len();
    }

    /// Notes a visit for the end of the group.
    pub(super) fn push(&mut self, visit: Visit) {
        self.list.push(visit);
    }
}

impl Aggregator {
    /// Notes the definitions of a namespace, as a batch brings them. Answers what that changed: nothing for those that are known.
    pub fn define(&mut self, definitions: &[Definition]) -> Vec<Effect> {
        let new = definitions.iter().filter(|definition| self.definitions.put((*definition).clone()));
        new.map(|definition| Effect::Define(Box::new(definition.clone()))).collect()
    }

    /// Forgets a definition with all that was counted for it.
    pub fn delete_definition(&mut self, number: u32) {
        let sets = self.sets.of_periods().map(|(set, _)| set);
        let sets: Vec<SetKey> = sets.filter(|set| set.definition() == Some(number)).collect();
        for set in sets {
            self.sets.take(set, set);
        }
        self.grids.delete(number);
        self.definitions.delete(number);
    }

    /// Hands the visits of a group to the definitions that they are for.
    pub(super) fn visit_definitions(
        &mut self,
        Visits { list: visits, .. }: Visits,
        key: &UnlinkKey,
        limits: &ShardLimits,
    ) -> Vec<Effect> {
        let group = &mut Group::default();
        let mut change = Change { key, limits, today: Day::MAX, effects: Vec::new(), undo: Vec::new(), group };
        if visits.is_empty() {
            return change.effects;
        }
        let definitions: Vec<Definition> = self.definitions.iter().cloned().collect();
        for definition in definitions {
            let counted = visits.iter().filter(|visit| definition.counts_on(visit.day));
            match definition.spec {
                Spec::Retention(grid) => self.visit_grid(definition.number, grid, counted, &mut change),
            }
        }
        while self.sets.in_periods() > limits.time.fingerprints && self.shed(&mut change) {}
        change.effects
    }
}
