//! The way from what is stored to a state, and what of a state has to be stored.

use std::collections::BTreeMap;

use super::undo::Undo;
use super::{Aggregator, Section, full};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;
#[cfg(not(feature = "browser"))]
use crate::core::state::all_series::StoredSeries;
use crate::core::state::counter::Counter;
#[cfg(not(feature = "browser"))]
use crate::core::state::definitions::Definition;
use crate::core::state::effect::Effect;
use crate::core::state::error::Refusal;
#[cfg(not(feature = "browser"))]
use crate::core::state::grids::StoredGrid;
use crate::core::state::series::Occurrence;
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::ShardLimits;

impl Aggregator {
    /// Carries out effects that were journalled before. Effects that are in the state already change nothing.
    ///
    /// # Errors
    /// [`Defect::Misfit`] where they do not fit the state, naming the effect.
    pub fn restore(&mut self, effects: &[Effect]) -> Result<(), Corrupt> {
        let mut replay = Replay::of(self);
        replay.add(effects)?;
        replay.finish()
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

    /// Puts a stored series in place, behind the sets of its periods.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when it is there already, [`Defect::Misfit`] when its event has no counter, or a period that has
    /// become a number has a set.
    #[cfg(not(feature = "browser"))]
    pub fn restore_series(&mut self, series: StoredSeries) -> Result<(), Corrupt> {
        let misfit = || Corrupt::new(Defect::Misfit).within("series");
        let event = series.event;
        if event.is_some_and(|event| self.counter(event).is_none()) {
            return Err(misfit());
        }
        if !series.restore(&mut self.series) {
            return Err(Corrupt::new(Defect::Repeated).within("series"));
        }
        let is_closed = |set: SetKey| set.period().is_some() && !self.series.takes(set);
        if self.sets.of_periods().any(|(set, _)| (event.is_none() || set.event() == event) && is_closed(set)) {
            return Err(misfit());
        }
        Ok(())
    }

    /// Puts the stored numbers of a grid in place.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when they are there already.
    #[cfg(not(feature = "browser"))]
    pub fn restore_grid(&mut self, grid: StoredGrid) -> Result<(), Corrupt> {
        if self.grids.restore(grid) { Ok(()) } else { Err(Corrupt::new(Defect::Repeated).within("grid")) }
    }

    /// Puts a stored definition in place.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when it is there already.
    #[cfg(not(feature = "browser"))]
    pub fn restore_definition(&mut self, definition: Definition) -> Result<(), Corrupt> {
        let is_new = self.definitions.restore(definition);
        if is_new { Ok(()) } else { Err(Corrupt::new(Defect::Repeated).within("definition")) }
    }

    /// The sections that changed since the last call of [`Self::note_stored`]; those that are gone have no encoding.
    pub fn changed(&self) -> impl Iterator<Item = Section> + '_ {
        let counters = (0..).zip(&self.changed).filter(|&(_, &changed)| changed).map(|(event, _)| event);
        let sets = self.sets.changed().map(Section::Set);
        let sections = counters.map(Section::Counter).chain(sets).chain(self.series.changed().map(Section::Series));
        #[cfg(not(feature = "browser"))]
        let sections = sections
            .chain(self.grids.changed().map(Section::Grid))
            .chain(self.definitions.changed().map(Section::Definition));
        sections
    }

    /// Notes that every section is stored as it is now.
    pub fn note_stored(&mut self) {
        self.changed.clear();
        self.sets.note_stored();
        self.series.note_stored();
        #[cfg(not(feature = "browser"))]
        {
            self.grids.note_stored();
            self.definitions.note_stored();
        }
    }
}

/// Carries out journalled effects, many at a time: users who are only added to a set come into it at the end, all together and
/// in the order of their fingerprints. That takes a fraction of the time that one after the other takes.
pub struct Replay<'a> {
    state: &'a mut Aggregator,
    /// Upper bits of fingerprints, by the set that they come into.
    added: BTreeMap<SetKey, Vec<u64>>,
    /// Those of them that are first occurrences.
    firsts: BTreeMap<SetKey, Vec<(u64, Occurrence)>>,
}

impl<'a> Replay<'a> {
    /// Begins to carry effects out on a state.
    pub const fn of(state: &'a mut Aggregator) -> Self {
        Self { state, added: BTreeMap::new(), firsts: BTreeMap::new() }
    }

    /// Bytes of memory that the state takes, and what has yet to come into it.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let added: usize = self.added.values().map(|added| added.capacity() * size_of::<u64>()).sum();
        let firsts: usize = self.firsts.values().map(|firsts| firsts.capacity() * size_of::<(u64, Occurrence)>()).sum();
        self.state.memory_bytes() + added + firsts
    }

    /// Bytes by which the state may grow when what has yet to come into it does.
    #[must_use]
    pub fn growth_bytes(&self) -> usize {
        self.added.iter().map(|(&set, added)| self.state.sets.growth_bytes(set, added.len() as u64)).sum()
    }

    /// Takes the effects of a row. Effects that are in the state already change nothing.
    ///
    /// # Errors
    /// [`Defect::Misfit`] where they do not fit the state, naming the effect.
    pub fn add(&mut self, effects: &[Effect]) -> Result<(), Corrupt> {
        let mut undo = Vec::new();
        for (effect, nth) in effects.iter().zip(0..) {
            let done = match effect {
                Effect::Insert { set, fingerprint, first, carried: None } => {
                    self.state.fingerprint_bits(*set).map(|_| self.insert_later(*set, *fingerprint, *first))
                }
                Effect::InsertMany { set, fingerprints } => self
                    .state
                    .fingerprint_bits(*set)
                    .map(|_| self.added.entry(*set).or_default().extend_from_slice(fingerprints)),
                Effect::Close { .. } | Effect::Over { .. } | Effect::ClosePeriods { .. } => {
                    self.insert_all().and_then(|()| self.execute(effect, &mut undo))
                }
                _ => self.execute(effect, &mut undo),
            };
            done.map_err(|_| effect.corrupt(Corrupt::new(Defect::Misfit), nth))?;
            undo.clear();
        }
        Ok(())
    }

    /// Adds the users that were left for the end.
    ///
    /// # Errors
    /// [`Defect::Misfit`] where a set has no room for them.
    pub fn finish(mut self) -> Result<(), Corrupt> {
        self.insert_all().map_err(|_| Corrupt::new(Defect::Misfit).within("user set"))
    }

    fn insert_later(&mut self, set: SetKey, fingerprint: u64, first: Option<Occurrence>) {
        self.added.entry(set).or_default().push(fingerprint);
        if let Some(first) = first {
            self.firsts.entry(set).or_default().push((fingerprint, first));
        }
    }

    fn execute(&mut self, effect: &Effect, undo: &mut Vec<Undo>) -> Result<(), Refusal> {
        self.state.execute(effect, &ShardLimits::NONE, undo).map(|_| ())
    }

    fn insert_all(&mut self) -> Result<(), Refusal> {
        for (set, firsts) in std::mem::take(&mut self.firsts) {
            let mut order: Vec<(u64, u32)> = firsts.iter().map(|(fingerprint, _)| *fingerprint).zip(0..).collect();
            order.sort_unstable();
            order.dedup_by_key(|(fingerprint, _)| *fingerprint);
            for (fingerprint, at) in order {
                let Some(&(_, first)) = firsts.get(at as usize) else { continue };
                if !self.state.sets.contains(set, fingerprint) {
                    let counted = self.state.series.count_first(set.event(), first, None, usize::MAX);
                    counted.map_err(full)?;
                }
            }
        }
        for (set, added) in std::mem::take(&mut self.added) {
            if !self.state.has_closed(set) {
                let users = UserSet::of(added, self.state.fingerprint_bits(set)?).map_err(full)?;
                self.state.sets.merge(set, &users).map_err(full)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of more would be stored, and could not be read.
    #[test]
    fn more_users_than_their_fingerprints_have_bits_for_are_a_misfit() {
        let users = |count: u64| {
            let counter = Effect::Counter { event: 0, tag: 1, fingerprint_bits: 16 };
            let insert = |user: u64| Effect::insert(SetKey::Event(0), user << 48);
            std::iter::once(counter).chain((0..count).map(insert)).collect::<Vec<_>>()
        };
        let capacity = UserSet::with_fingerprint_bits(16).unwrap().capacity_max();
        let mut state = Aggregator::default();
        state.restore(&users(capacity)).unwrap();
        assert_eq!(state.sets().len(SetKey::Event(0)), capacity);
        let refused = Aggregator::default().restore(&users(capacity + 1)).unwrap_err();
        assert_eq!(refused.to_string(), "user set: does not fit what comes before it");
    }
}
