//! The way from what is stored to a state, and what of a state has to be stored.

use super::{Aggregator, Section};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;
use crate::core::state::counter::Counter;
use crate::core::state::effect::Effect;
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::ShardLimits;

impl Aggregator {
    /// Carries out effects that were journalled before. Effects that are in the state already change nothing.
    ///
    /// # Errors
    /// [`Defect::Misfit`] where they do not fit the state, naming the effect.
    pub fn restore(&mut self, effects: &[Effect]) -> Result<(), Corrupt> {
        let mut undo = Vec::new();
        for (effect, nth) in effects.iter().zip(0..) {
            self.execute(effect, &ShardLimits::NONE, &mut undo)
                .map_err(|_| effect.corrupt(Corrupt::new(Defect::Misfit), nth))?;
            undo.clear();
        }
        Ok(())
    }

    /// Puts a stored set in place, behind the counter of its event. One that is stored otherwise than it would be today counts
    /// as changed.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when it is there already, [`Defect::Misfit`] when it does not fit the counter.
    pub fn restore_set(&mut self, set: SetKey, users: UserSet, is_stored: bool) -> Result<(), Corrupt> {
        let bits = self.fingerprint_bits(set).map_err(|_| Corrupt::new(Defect::Misfit).within("user set"))?;
        if bits != users.fingerprint_bits() || self.has_closed(set) {
            return Err(Corrupt::new(Defect::Misfit).within("user set"));
        }
        if self.sets.restore(set, users, is_stored) {
            Ok(())
        } else {
            Err(Corrupt::new(Defect::Repeated).within("user set"))
        }
    }

    /// Puts a stored counter in place.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when the event has one already, [`Defect::Range`] when its number is out of range.
    pub fn restore_counter(&mut self, event: u32, counter: Counter, is_stored: bool) -> Result<(), Corrupt> {
        if u64::from(event) >= EVENTS_PER_NAMESPACE.max {
            return Err(Corrupt::new(Defect::Range).within("event"));
        }
        if self.counter(event).is_some() {
            return Err(Corrupt::new(Defect::Repeated).within("counter"));
        }
        self.counters_bytes += counter.memory_bytes();
        self.put(event, counter);
        if !is_stored {
            self.note_change(event);
        }
        Ok(())
    }

    /// The sections that changed since the last call of [`Self::mark_stored`]; those that are gone have no encoding.
    pub fn changed(&self) -> impl Iterator<Item = Section> + '_ {
        let counters = (0..).zip(&self.changed).filter(|&(_, &changed)| changed).map(|(event, _)| event);
        counters.map(Section::Counter).chain(self.sets.changed().map(Section::Set))
    }

    /// Notes that every section is stored as it is now.
    pub fn mark_stored(&mut self) {
        self.changed.clear();
        self.sets.mark_stored();
    }
}
