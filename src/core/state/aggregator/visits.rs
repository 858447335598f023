//! Definitions in a shard: hearing of them, forgetting them, and handing them what users have done.
//!
//! Whoever enters periods at the end of a group of batches ([`Entrant`]) is handed to the definitions that are about the event, too, in the
//! order in which they came: a part at a time, so that what that takes of memory is bounded. Nothing of it is refused: a definition for
//! which there is no room says that it is not complete.

use super::time::Entrant;
use super::{Aggregator, Change, Group};
use crate::core::identity::UnlinkKey;
use crate::core::periods::day::Day;
use crate::core::settings::limits::CHANGES_AT_ONCE;
use crate::core::state::definitions::{Definition, Spec};
use crate::core::state::effect::Effect;
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::ShardLimits;

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

    /// Hands entrants of a group to the definitions that they are for, as many at a time as have a bounded number of changes. Answers how
    /// many were done.
    pub(super) fn visit_definitions(
        &mut self,
        entrants: &[Entrant],
        key: &UnlinkKey,
        limits: &ShardLimits,
        effects: &mut Vec<Effect>,
    ) -> usize {
        let (definitions, entrants) = (self.definitions.iter().cloned().collect::<Vec<_>>(), self.at_once(entrants));
        let group = &mut Group::default();
        let effects_before = std::mem::take(effects);
        let mut change = Change { key, limits, today: Day::MAX, effects: effects_before, undo: Vec::new(), group };
        for definition in definitions {
            let counted = entrants.iter().filter(|entrant| definition.counts_on(entrant.time.day));
            match definition.spec {
                Spec::Retention(grid) => self.visit_grid(definition.number, grid, counted, &mut change),
            }
        }
        while self.sets.in_periods() > limits.time.fingerprints && self.shed(&mut change) {}
        *effects = change.effects;
        entrants.len()
    }

    /// The first of these entrants, as many as have at most [`CHANGES_AT_ONCE`] changes, and at least one.
    fn at_once<'a>(&self, entrants: &'a [Entrant]) -> &'a [Entrant] {
        let mut changes = 0;
        let fits = |entrant: &&Entrant| {
            // Each may join and return.
            changes += 2 * self.definitions.about(entrant.event).count();
            changes <= CHANGES_AT_ONCE
        };
        let len = entrants.iter().take_while(fits).count().max(1);
        entrants.get(..len).unwrap_or(entrants)
    }
}
