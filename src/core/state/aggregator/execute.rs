//! Carrying effects out: the same code for a batch and for a journal.

use super::undo::Undo;
use super::{Aggregator, Change, TAKES_BACK};
use crate::core::sets::user_set::Full;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;
use crate::core::state::combination::Combination;
use crate::core::state::counter::Counter;
use crate::core::state::effect::{Carried, Effect};
use crate::core::state::error::Refusal;
use crate::core::state::goal::{Bucket, GoalRecord};
use crate::core::state::series::Occurrence;
use crate::core::state::set_key::{COUNTS_IN_PERIODS, SetKey};
use crate::core::state::shard_limits::ShardLimits;

impl Aggregator {
    /// Carries an effect out, and notes it where that changed anything.
    pub(super) fn carry_out(
        &mut self,
        effect: Effect,
        limits: &ShardLimits,
        change: &mut Change<'_>,
    ) -> Result<(), Refusal> {
        if self.execute(&effect, limits, &mut change.undo)? {
            change.effects.push(effect);
        }
        Ok(())
    }

    /// Carries an effect out, and says whether that changed anything. One that is refused has changed nothing, or in a page
    /// a part.
    pub(super) fn execute(
        &mut self,
        effect: &Effect,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<bool, Refusal> {
        match effect {
            Effect::Counter { event, tag, fingerprint_bits } => {
                self.add_counter(*event, *tag, *fingerprint_bits, limits)
            }
            Effect::Goal { event } => self.add_goal(*event, limits),
            Effect::Insert { set, fingerprint, first, carried } => {
                let is_new = self.insert(*set, *fingerprint, limits)?;
                if is_new {
                    self.carry(*set, *fingerprint, *first, carried.as_deref(), limits, undo)?;
                }
                Ok(is_new)
            }
            #[cfg(feature = "browser")]
            _ => Err(Refusal::Tag),
            #[cfg(not(feature = "browser"))]
            Effect::Close { last } => self.close(*last, undo),
            #[cfg(not(feature = "browser"))]
            Effect::InsertMany { set, fingerprints } => self.insert_in_period(*set, fingerprints),
            #[cfg(not(feature = "browser"))]
            Effect::Over { set } if set.definition().is_some() => self.put_grid_over(*set, undo),
            #[cfg(not(feature = "browser"))]
            Effect::Over { set } => self.put_over(*set, undo),
            #[cfg(not(feature = "browser"))]
            Effect::Define(definition) => Ok(self.definitions.put((**definition).clone())),
            #[cfg(not(feature = "browser"))]
            Effect::Grid { definition, changes } => self.change_grid(*definition, changes),
            #[cfg(not(feature = "browser"))]
            Effect::ClosePeriods { last } => Ok(self.close_up_to(*last)),
            #[cfg(not(feature = "browser"))]
            Effect::Miss { day } => {
                undo.push(Undo::Missed(self.series.missed()));
                Ok(self.series.miss(*day))
            }
        }
    }

    fn add_counter(
        &mut self,
        event: u32,
        tag: u64,
        fingerprint_bits: u8,
        limits: &ShardLimits,
    ) -> Result<bool, Refusal> {
        if u64::from(event) >= EVENTS_PER_NAMESPACE.max {
            return Err(Refusal::Tag);
        }
        if let Some(counter) = self.counter(event) {
            return if counter.tag == tag { Ok(false) } else { Err(Refusal::Tag) };
        }
        let counter = Counter::new(tag, fingerprint_bits).ok_or(Refusal::Tag)?;
        self.grow(counter.memory_bytes(), limits)?;
        self.put(event, counter);
        self.note_change(event);
        Ok(true)
    }

    fn add_goal(&mut self, event: u32, limits: &ShardLimits) -> Result<bool, Refusal> {
        let goal = Box::<GoalRecord>::default();
        let counter = self.counter(event).ok_or(Refusal::Tag)?;
        if counter.goal.is_some() {
            return Ok(false);
        }
        self.grow(goal.memory_bytes(), limits)?;
        if let Some(counter) = self.counter_mut(event) {
            counter.goal = Some(goal);
        }
        Ok(true)
    }

    /// Adds a user to a set, and says whether they are new in it.
    pub(super) fn insert(&mut self, set: SetKey, fingerprint: u64, limits: &ShardLimits) -> Result<bool, Refusal> {
        let bits = self.fingerprint_bits(set)?;
        self.insert_kept(set, fingerprint, bits, limits)
    }

    /// Adds a user to a set that keeps so many bits of their fingerprint.
    pub(super) fn insert_kept(
        &mut self,
        set: SetKey,
        fingerprint: u64,
        bits: u8,
        limits: &ShardLimits,
    ) -> Result<bool, Refusal> {
        if self.has_closed(set) {
            return Ok(false);
        }
        let (users_max, refusal) = set.event().map_or((u64::MAX, Refusal::Users), |event| limits.users(event, bits));
        let room = self.room(limits);
        self.sets.insert(set, fingerprint, bits, users_max, room).map_err(|full| match full {
            Full::Capacity if self.sets.len(set) >= users_max => refusal,
            Full::Capacity => Refusal::Users,
            Full::Memory => Refusal::Memory,
        })
    }

    /// Bits of a fingerprint that a set keeps.
    pub(super) fn fingerprint_bits(&self, set: SetKey) -> Result<u8, Refusal> {
        self.derivation(set).map(|(_, bits)| bits).ok_or(Refusal::Tag)
    }

    /// Counts what came with a first occurrence that was inserted; where that is refused, so is the insertion.
    pub(super) fn carry(
        &mut self,
        set: SetKey,
        fingerprint: u64,
        first: Option<Occurrence>,
        carried: Option<&Carried>,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        if first.is_none() && carried.is_none() {
            return Ok(());
        }
        self.add_first(set, first, carried, limits, undo).inspect_err(|_| {
            if TAKES_BACK {
                self.sets.remove(set, fingerprint);
            }
        })
    }

    /// Counts a first occurrence: what it carries, and in series.
    fn add_first(
        &mut self,
        set: SetKey,
        first: Option<Occurrence>,
        carried: Option<&Carried>,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let value = carried.and_then(|carried| carried.value);
        let first = first.filter(|_| COUNTS_IN_PERIODS);
        if let Some(first) = first {
            let room = self.room(limits);
            let sums = self.series.count_first(set.event(), first, value, room).map_err(super::full)?;
            if value.is_some() {
                undo.push(Undo::Sums(Box::new(sums)));
            }
        }
        let Some(carried) = carried else { return Ok(()) };
        self.add_carried(set, carried, limits, undo).inspect_err(|_| {
            if let Some(first) = first {
                let sums = if value.is_some() { undo.pop() } else { None };
                self.take_back_first(set, first, sums);
            }
        })
    }

    /// Counts what came with the first occurrence of an event.
    fn add_carried(
        &mut self,
        set: SetKey,
        carried: &Carried,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let event = set.event().ok_or(Refusal::Tag)?;
        if let Some((combination, bucket)) = &carried.completion {
            self.add_completion(event, combination, *bucket, limits)?;
        }
        if let Some(value) = carried.value
            && let Some(counter) = self.counter_mut(event)
        {
            undo.push(Undo::Sum(counter.sum));
            counter.sum.get_or_insert_default().add(value);
        }
        Ok(())
    }

    fn add_completion(
        &mut self,
        event: u32,
        combination: &Combination,
        bucket: Bucket,
        limits: &ShardLimits,
    ) -> Result<(), Refusal> {
        let record = self.counter(event).and_then(|counter| counter.goal.as_ref()).ok_or(Refusal::Tag)?;
        self.grow(record.growth_bytes(combination, bucket), limits)?;
        if let Some(record) = self.counter_mut(event).and_then(|counter| counter.goal.as_mut()) {
            record.add(combination, bucket);
        }
        Ok(())
    }
}
