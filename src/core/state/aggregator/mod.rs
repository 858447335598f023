//! The aggregator: the whole state of one shard, and the only place where it changes.
//!
//! A batch of [`Operation`]s becomes [`Effect`]s; carrying those out is the same code as replaying them from a journal,
//! so a replayed state equals the one that was lost. A batch is all or nothing: where a limit refuses one of its
//! operations, the ones before it are taken back.

mod ceiling;
mod closing;
mod deletion;
mod growth;
mod merge;
mod restore;
mod undo;

use std::borrow::Borrow;

use super::combination::Combination;
use super::counter::Counter;
use super::effect::{Carried, Effect};
use super::error::Refusal;
use super::goal::{Bucket, GoalRecord};
use super::report::{CounterReport, Report};
use super::set_key::SetKey;
use super::sets::Sets;
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::periods::week::Week;
use crate::core::sets::user_set::{Full, UserSet};
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;
use crate::core::state::shard_limits::{ShardLimits, Sizing};
pub use merge::Unmergeable;
pub use restore::Replay;
use undo::Undo;

/// One thing that a batch asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Make the event a goal, from here on.
    Goal {
        /// The event's number in its namespace.
        event: u32,
        /// [`UnlinkKey::tag`] of its name.
        tag: u64,
    },
    /// A user did the event.
    Record {
        /// The event's number in its namespace.
        event: u32,
        /// [`UnlinkKey::tag`] of its name.
        tag: u64,
        /// Who did it.
        user: UserKey,
        /// Added to the event's sum if this is the user's first time; at most
        /// [`crate::core::settings::limits::VALUE_ABS`] in magnitude.
        value: Option<f64>,
        /// The week to count it in as well, if the event has weekly cohorts. A week after [`Day::latest_week`] is not
        /// taken.
        week: Option<Week>,
    },
}

/// A page keeps what it has noted of an event before its memory was at the bound: the event was passed on, so all of that is
/// true. It does not fetch the code that takes it back.
const TAKES_BACK: bool = cfg!(not(feature = "browser"));

/// The state of one shard.
///
/// # Example
/// ```
/// use kimball_edge::core::state::aggregator::{Aggregator, Operation};
/// use kimball_edge::core::{identity::Keys, periods::day::Day, state::shard_limits::ShardLimits};
///
/// let keys = Keys::new(&[0; 32]);
/// let unlink = keys.unlink("default");
/// let login = Operation::Record { event: 0, tag: unlink.tag("Login"), user: keys.user("default", "ann"), value: None, week: None };
/// let mut shard = Aggregator::default();
/// assert_eq!(shard.apply(&[login], &unlink, &ShardLimits::NONE, Day::MAX).unwrap().len(), 3); // a counter, and two sets with their first user
/// assert_eq!(shard.apply(&[login], &unlink, &ShardLimits::NONE, Day::MAX).unwrap().len(), 0); // a repeat changes nothing
/// ```
#[derive(Debug, Clone, Default)]
pub struct Aggregator {
    sets: Sets,
    counters: Vec<Option<Box<Counter>>>,
    counters_bytes: usize,
    /// Which counters have changed since they were stored.
    changed: Vec<bool>,
}

/// A part of the state that is stored on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The counter of one event.
    Counter(u32),
    /// A set of users.
    Set(SetKey),
}

impl Aggregator {
    /// Bytes that the state takes in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.sets.memory_bytes() + self.counters_bytes
    }

    /// The sets of users.
    #[must_use]
    pub const fn sets(&self) -> &Sets {
        &self.sets
    }

    /// The counter of an event.
    #[must_use]
    pub fn counter(&self, event: u32) -> Option<&Counter> {
        self.counters.get(event as usize)?.as_deref()
    }

    /// All counters with their event numbers, ascending.
    pub fn counters(&self) -> impl Iterator<Item = (u32, &Counter)> {
        (0..).zip(&self.counters).filter_map(|(event, counter)| Some((event, counter.as_deref()?)))
    }

    /// Carries a batch out on a day, in order, and answers what it changed: nothing for what was known already.
    ///
    /// # Errors
    /// [`Refusal`] where the batch does not fit `limits`; the state is then as before, or in a page has a part of it.
    pub fn apply(
        &mut self,
        operations: impl IntoIterator<Item = impl Borrow<Operation>>,
        key: &UnlinkKey,
        limits: &ShardLimits,
        today: Day,
    ) -> Result<Vec<Effect>, Refusal> {
        let (mut effects, mut undo) = (Vec::new(), Vec::new());
        for operation in operations {
            if let Err(refusal) = self.operate(operation.borrow(), key, limits, today, &mut effects, &mut undo) {
                if TAKES_BACK {
                    self.take_back(&effects, undo);
                }
                return Err(refusal);
            }
        }
        Ok(effects)
    }

    /// Whether an operation would change nothing, with no limit on the number of weeks.
    #[must_use]
    pub fn knows(&self, operation: &Operation, key: &UnlinkKey) -> bool {
        match *operation {
            Operation::Goal { event, .. } => self.counter(event).is_some_and(|counter| counter.goal.is_some()),
            Operation::Record { event, user, week, .. } => {
                let week = week.map(|week| SetKey::Week(event, week));
                let mut sets = [Some(SetKey::Event(event)), week].into_iter().flatten();
                self.counter(event).is_some() && sets.all(|set| self.news(set, user, key).is_none())
            }
        }
    }

    /// What the shard answers reads with.
    #[must_use]
    pub fn report(&self) -> Report {
        let counters = self.counters().map(|(event, counter)| CounterReport::of(event, counter, &self.sets));
        Report { users: self.sets.len(SetKey::AllUsers), counters: counters.collect() }
    }

    /// The events that a user has done, ascending by number.
    #[must_use]
    pub fn events_of(&self, user: UserKey, key: &UnlinkKey) -> Vec<u32> {
        self.done_by(user, key).collect()
    }

    fn operate(
        &mut self,
        operation: &Operation,
        key: &UnlinkKey,
        limits: &ShardLimits,
        today: Day,
        effects: &mut Vec<Effect>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let (Operation::Goal { event, tag } | Operation::Record { event, tag, .. }) = *operation;
        let goal_limits = if limits.refuses_goals { limits } else { &ShardLimits::NONE };
        match self.counter(event) {
            Some(counter) if counter.tag != tag => return Err(Refusal::Tag),
            Some(_) => {}
            None => {
                let sizing = limits.sizings.get(&event);
                let fingerprint_bits = sizing.map_or(limits.fingerprint_bits, Sizing::fingerprint_bits);
                let limits = if matches!(operation, Operation::Goal { .. }) { goal_limits } else { limits };
                self.carry_out(Effect::Counter { event, tag, fingerprint_bits }, limits, effects, undo)?;
            }
        }
        match *operation {
            Operation::Goal { .. } => {
                let is_known = self.counter(event).is_some_and(|counter| counter.goal.is_some());
                if !is_known {
                    self.carry_out(Effect::Goal { event }, goal_limits, effects, undo)?;
                }
            }
            Operation::Record { user, value, week, .. } => {
                let set = SetKey::Event(event);
                if let Some(fingerprint) = self.add(set, user, key, limits)? {
                    // The event itself is never among those that were done before it.
                    let carried = Carried::of(value, self.completion(event, user, key, limits));
                    self.carry(set, fingerprint, carried.as_deref(), limits, undo)?;
                    effects.push(Effect::Insert { set, fingerprint, carried });
                    if let Some(fingerprint) = self.add(SetKey::AllUsers, user, key, limits)? {
                        effects.push(Effect::insert(SetKey::AllUsers, fingerprint));
                    }
                }
                let Some(week) = week else { return Ok(()) };
                if let Some(fingerprint) = self.news(SetKey::Week(event, week), user, key) {
                    self.count_in_week(event, week, fingerprint, today, limits, effects, undo)?;
                }
            }
        }
        Ok(())
    }

    /// The fingerprint of a user in a set in which they are not yet; `None` where they are, or the set takes nobody any more.
    fn news(&self, set: SetKey, user: UserKey, key: &UnlinkKey) -> Option<u64> {
        let fingerprint = self.fingerprint(set, user, key)?;
        let is_known = self.sets.contains(set, fingerprint) || self.has_closed(set);
        (!is_known).then_some(fingerprint)
    }

    /// Adds a user to a set. Answers the fingerprint where they are new in it.
    fn add(
        &mut self,
        set: SetKey,
        user: UserKey,
        key: &UnlinkKey,
        limits: &ShardLimits,
    ) -> Result<Option<u64>, Refusal> {
        let (tag, bits) = self.derivation(set).ok_or(Refusal::Tag)?;
        let fingerprint = key.fingerprint(user, set.tag(key, tag)) & UserSet::kept_bits(bits);
        Ok(self.insert_kept(set, fingerprint, bits, limits)?.then_some(fingerprint))
    }

    /// The fingerprint of a user in a set: its upper bits, as many as the set keeps.
    fn fingerprint(&self, set: SetKey, user: UserKey, key: &UnlinkKey) -> Option<u64> {
        let (tag, bits) = self.derivation(set)?;
        Some(key.fingerprint(user, set.tag(key, tag)) & UserSet::kept_bits(bits))
    }

    /// What the fingerprints of a set are derived with: the tag of its event, and how many bits it keeps.
    fn derivation(&self, set: SetKey) -> Option<(u64, u8)> {
        let Some(event) = set.event() else {
            return Some((0, UserSet::FINGERPRINT_BITS));
        };
        self.counter(event).map(|counter| (counter.tag, counter.fingerprint_bits))
    }

    /// Whether a set has become a number.
    fn has_closed(&self, set: SetKey) -> bool {
        match set {
            SetKey::AllUsers | SetKey::Event(_) => false,
            SetKey::Week(event, week) => self.counter(event).is_some_and(|counter| counter.has_closed(week)),
        }
    }

    /// Where the event is a goal: what the user had done before, and where that counts.
    fn completion(
        &self,
        event: u32,
        user: UserKey,
        key: &UnlinkKey,
        limits: &ShardLimits,
    ) -> Option<(Combination, Bucket)> {
        let record = self.counter(event)?.goal.as_ref()?;
        let combination = self.prior_events(event, user, key);
        let bucket = record.bucket(&combination, limits.combinations_per_goal);
        Some((combination, bucket))
    }

    /// The other events that a user has done.
    fn prior_events(&self, event: u32, user: UserKey, key: &UnlinkKey) -> Combination {
        self.done_by(user, key).filter(|&prior| prior != event).collect()
    }

    fn done_by(&self, user: UserKey, key: &UnlinkKey) -> impl Iterator<Item = u32> {
        self.counters()
            .filter(move |&(event, counter)| {
                self.sets.contains(SetKey::Event(event), key.fingerprint(user, counter.tag))
            })
            .map(|(event, _)| event)
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        limits: &ShardLimits,
        effects: &mut Vec<Effect>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        if self.execute(&effect, limits, undo)? {
            effects.push(effect);
        }
        Ok(())
    }

    /// Carries an effect out, and says whether that changed anything. One that is refused has changed nothing, or in a page
    /// a part.
    fn execute(&mut self, effect: &Effect, limits: &ShardLimits, undo: &mut Vec<Undo>) -> Result<bool, Refusal> {
        match effect {
            Effect::Counter { event, tag, fingerprint_bits } => {
                self.add_counter(*event, *tag, *fingerprint_bits, limits)
            }
            Effect::Goal { event } => self.add_goal(*event, limits),
            Effect::Insert { set, fingerprint, carried } => {
                let is_new = self.insert(*set, *fingerprint, limits)?;
                if is_new {
                    self.carry(*set, *fingerprint, carried.as_deref(), limits, undo)?;
                }
                Ok(is_new)
            }
            #[cfg(feature = "browser")]
            Effect::Close { .. } => Err(Refusal::Tag),
            #[cfg(not(feature = "browser"))]
            Effect::Close { last } => self.close(*last, undo),
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
    fn insert(&mut self, set: SetKey, fingerprint: u64, limits: &ShardLimits) -> Result<bool, Refusal> {
        let bits = self.fingerprint_bits(set)?;
        self.insert_kept(set, fingerprint, bits, limits)
    }

    /// Adds a user to a set that keeps so many bits of their fingerprint.
    fn insert_kept(&mut self, set: SetKey, fingerprint: u64, bits: u8, limits: &ShardLimits) -> Result<bool, Refusal> {
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
    fn fingerprint_bits(&self, set: SetKey) -> Result<u8, Refusal> {
        self.derivation(set).map(|(_, bits)| bits).ok_or(Refusal::Tag)
    }

    /// Counts what came with a first occurrence that was inserted; where that is refused, so is the insertion.
    fn carry(
        &mut self,
        set: SetKey,
        fingerprint: u64,
        carried: Option<&Carried>,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let Some(carried) = carried else { return Ok(()) };
        self.add_carried(set, carried, limits, undo).inspect_err(|_| {
            if TAKES_BACK {
                self.sets.remove(set, fingerprint);
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

    /// The counter of an event, noted as changed.
    fn counter_mut(&mut self, event: u32) -> Option<&mut Counter> {
        self.counter(event)?;
        self.note_change(event);
        self.counters.get_mut(event as usize)?.as_deref_mut()
    }

    fn note_change(&mut self, event: u32) {
        let at = event as usize;
        if at >= self.changed.len() {
            self.changed.resize(at + 1, false);
        }
        if let Some(changed) = self.changed.get_mut(at) {
            *changed = true;
        }
    }

    fn put(&mut self, event: u32, counter: Counter) {
        let at = event as usize;
        if at >= self.counters.len() {
            self.counters.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.counters.get_mut(at) {
            *slot = Some(Box::new(counter));
        }
    }

    fn room(&self, limits: &ShardLimits) -> usize {
        usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX).saturating_sub(self.memory_bytes())
    }

    fn grow(&mut self, bytes: usize, limits: &ShardLimits) -> Result<(), Refusal> {
        if bytes > self.room(limits) {
            return Err(Refusal::Memory);
        }
        self.counters_bytes += bytes;
        Ok(())
    }
}

const fn full(full: Full) -> Refusal {
    match full {
        Full::Capacity => Refusal::Users,
        Full::Memory => Refusal::Memory,
    }
}
