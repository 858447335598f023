//! The aggregator: the whole state of one shard, and the only place where it changes.
//!
//! A batch of [`Operation`]s becomes [`Effect`]s; carrying those out is the same code as replaying them from a journal,
//! so a replayed state equals the one that was lost. A batch is all or nothing: where a limit refuses one of its
//! operations, the ones before it are taken back.

mod deletion;
mod growth;
mod merge;
mod undo;
mod weeks;

use std::borrow::Borrow;

use super::combination::Combination;
use super::counter::Counter;
use super::effect::{Effect, First};
use super::error::Refusal;
use super::goal::{Bucket, GoalRecord};
use super::report::{CounterReport, Report};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::identity::{ALL_USERS_TAG, UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::periods::week::Week;
use crate::core::sets::user_set::{Full, UserSet};
use crate::core::settings::limits::{EFFECT_BYTES, EVENTS_PER_NAMESPACE};
use crate::core::state::shard_limits::{ShardLimits, Sizing};
pub use merge::Unmergeable;
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

// Both lists of a batch double as they grow; of the row there are three copies, of at most 40 bytes an effect.
const _: () = assert!(2 * (size_of::<Effect>() + size_of::<Undo>()) + 3 * 40 <= EFFECT_BYTES as usize);

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
/// assert_eq!(shard.apply(&[login], &unlink, &ShardLimits::NONE, Day::MAX).unwrap().len(), 2); // a counter and its first user
/// assert_eq!(shard.apply(&[login], &unlink, &ShardLimits::NONE, Day::MAX).unwrap().len(), 0); // a repeat changes nothing
/// ```
#[derive(Debug, Clone, Default)]
pub struct Aggregator {
    users: UserSet,
    counters: Vec<Option<Box<Counter>>>,
    memory_bytes: usize,
    /// Whether the set of all users has changed since it was stored, and which counters have.
    has_new_users: bool,
    changed: Vec<bool>,
}

/// A part of the state that is stored on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The set of all users.
    Users,
    /// The counter of one event.
    Counter(u32),
}

impl Aggregator {
    /// Bytes that the state takes in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The set of all users.
    #[must_use]
    pub const fn users(&self) -> &UserSet {
        &self.users
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
    /// [`Refusal`] where the batch does not fit `limits`; the state is then as before.
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
                self.take_back(undo);
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
            Operation::Record { event, user, week, .. } => self.counter(event).is_some_and(|counter| {
                counter.users.contains(key.fingerprint(user, counter.tag))
                    && week.is_none_or(|week| self.first_of_week(event, user, week, key).is_none())
            }),
        }
    }

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

    /// Puts a stored set of all users in place.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when there is one already.
    pub fn restore_users(&mut self, users: UserSet) -> Result<(), Corrupt> {
        if !self.users.is_empty() {
            return Err(Corrupt::new(Defect::Repeated).within("user set"));
        }
        self.memory_bytes += users.memory_bytes().saturating_sub(self.users.memory_bytes());
        self.users = users;
        Ok(())
    }

    /// Puts a stored counter in place.
    ///
    /// # Errors
    /// [`Defect::Repeated`] when the event has one already, [`Defect::Range`] when its number is out of range.
    pub fn restore_counter(&mut self, event: u32, counter: Counter) -> Result<(), Corrupt> {
        if u64::from(event) >= EVENTS_PER_NAMESPACE.max {
            return Err(Corrupt::new(Defect::Range).within("event"));
        }
        if self.counter(event).is_some() {
            return Err(Corrupt::new(Defect::Repeated).within("counter"));
        }
        self.memory_bytes += counter.memory_bytes();
        self.put(event, counter);
        Ok(())
    }

    /// The sections that changed since the last call of [`Self::mark_stored`].
    pub fn changed(&self) -> impl Iterator<Item = Section> + '_ {
        let counters =
            (0..).zip(&self.changed).filter(|&(_, &changed)| changed).map(|(event, _)| Section::Counter(event));
        self.has_new_users.then_some(Section::Users).into_iter().chain(counters)
    }

    /// Notes that every section is stored as it is now.
    pub fn mark_stored(&mut self) {
        self.has_new_users = false;
        self.changed.clear();
    }

    /// What the shard answers reads with.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            users: self.users.len(),
            counters: self.counters().map(|(event, counter)| CounterReport::of(event, counter)).collect(),
        }
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
                if let Some(first) = self.first(event, user, value, key, limits) {
                    self.carry_out(Effect::First(first), limits, effects, undo)?;
                }
                let Some(week) = week else { return Ok(()) };
                if let Some(first) = self.first_of_week(event, user, week, key) {
                    self.count_in_week(first, week, today, limits, effects, undo)?;
                }
            }
        }
        Ok(())
    }

    /// What a first occurrence changes; `None` for a repeat.
    fn first(
        &self,
        event: u32,
        user: UserKey,
        value: Option<f64>,
        key: &UnlinkKey,
        limits: &ShardLimits,
    ) -> Option<First> {
        let counter = self.counter(event)?;
        let fingerprint = key.fingerprint(user, counter.tag);
        if counter.users.contains(fingerprint) {
            return None;
        }
        let all_users = key.fingerprint(user, ALL_USERS_TAG);
        let new_user = (!self.users.contains(all_users)).then_some(all_users);
        let completion = counter.goal.as_ref().map(|record| {
            let combination = self.prior_events(event, user, key);
            let bucket = record.bucket(&combination, limits.combinations_per_goal);
            (combination, bucket)
        });
        Some(First { event, fingerprint, new_user, value, completion })
    }

    /// The other events that a user has done.
    fn prior_events(&self, event: u32, user: UserKey, key: &UnlinkKey) -> Combination {
        self.done_by(user, key).filter(|&prior| prior != event).collect()
    }

    fn done_by(&self, user: UserKey, key: &UnlinkKey) -> impl Iterator<Item = u32> {
        self.counters()
            .filter(move |(_, counter)| counter.users.contains(key.fingerprint(user, counter.tag)))
            .map(|(event, _)| event)
    }

    fn carry_out(
        &mut self,
        effect: Effect,
        limits: &ShardLimits,
        effects: &mut Vec<Effect>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        self.execute(&effect, limits, undo)?;
        effects.push(effect);
        Ok(())
    }

    fn execute(&mut self, effect: &Effect, limits: &ShardLimits, undo: &mut Vec<Undo>) -> Result<(), Refusal> {
        match effect {
            Effect::Counter { event, tag, fingerprint_bits } => {
                self.add_counter(*event, *tag, *fingerprint_bits, limits, undo)
            }
            Effect::Goal { event } => self.add_goal(*event, limits, undo),
            Effect::First(first) => self.add_first(first, limits, undo),
            Effect::Week { event, week, fingerprint } => self.add_to_week(*event, *week, *fingerprint, limits, undo),
            #[cfg(feature = "browser")]
            Effect::Close { .. } => Err(Refusal::Tag),
            #[cfg(not(feature = "browser"))]
            Effect::Close { event, week } => self.close_weeks(*event, *week, undo),
        }
    }

    fn add_counter(
        &mut self,
        event: u32,
        tag: u64,
        fingerprint_bits: u8,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        if u64::from(event) >= EVENTS_PER_NAMESPACE.max {
            return Err(Refusal::Tag);
        }
        if let Some(counter) = self.counter(event) {
            return if counter.tag == tag { Ok(()) } else { Err(Refusal::Tag) };
        }
        let counter = Counter::with_fingerprint_bits(tag, fingerprint_bits).ok_or(Refusal::Tag)?;
        self.grow(counter.memory_bytes(), limits)?;
        self.put(event, counter);
        self.note_change(event);
        undo.push(Undo::Counter { event });
        Ok(())
    }

    fn add_goal(&mut self, event: u32, limits: &ShardLimits, undo: &mut Vec<Undo>) -> Result<(), Refusal> {
        let goal = Box::<GoalRecord>::default();
        let counter = self.counter(event).ok_or(Refusal::Tag)?;
        if counter.goal.is_some() {
            return Ok(());
        }
        self.grow(goal.memory_bytes(), limits)?;
        if let Some(counter) = self.counter_mut(event) {
            counter.goal = Some(goal);
            undo.push(Undo::Goal { event });
        }
        Ok(())
    }

    fn add_first(&mut self, first: &First, limits: &ShardLimits, undo: &mut Vec<Undo>) -> Result<(), Refusal> {
        let First { event, fingerprint, new_user, value, completion } = first;
        let room = self.room(limits);
        let counter = self.counter_mut(*event).ok_or(Refusal::Tag)?;
        let (users_max, refusal) = limits.users(*event, counter.users.fingerprint_bits());
        if counter.users.len() >= users_max {
            return if counter.users.contains(*fingerprint) { Ok(()) } else { Err(refusal) };
        }
        let before = counter.users.memory_bytes();
        let sum = counter.sum;
        if !counter.users.insert(*fingerprint, room).map_err(full)? {
            return Ok(());
        }
        if let Some(value) = value {
            counter.sum.get_or_insert_default().add(*value);
        }
        let grown = counter.users.memory_bytes() - before;
        self.memory_bytes += grown;
        undo.push(Undo::First { event: *event, fingerprint: *fingerprint, sum });
        if let Some(fingerprint) = new_user {
            self.add_user(*fingerprint, limits, undo)?;
        }
        if let Some((combination, bucket)) = completion {
            self.add_completion(*event, combination, *bucket, limits, undo)?;
        }
        Ok(())
    }

    fn add_user(&mut self, fingerprint: u64, limits: &ShardLimits, undo: &mut Vec<Undo>) -> Result<(), Refusal> {
        let before = self.users.memory_bytes();
        let room = self.room(limits);
        if self.users.insert(fingerprint, room).map_err(full)? {
            self.memory_bytes += self.users.memory_bytes() - before;
            self.has_new_users = true;
            undo.push(Undo::User { fingerprint });
        }
        Ok(())
    }

    fn add_completion(
        &mut self,
        event: u32,
        combination: &Combination,
        bucket: Bucket,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let record = self.counter(event).and_then(|counter| counter.goal.as_ref()).ok_or(Refusal::Tag)?;
        self.grow(record.growth_bytes(combination, bucket), limits)?;
        if let Some(record) = self.counter_mut(event).and_then(|counter| counter.goal.as_mut()) {
            record.add(combination, bucket);
            undo.push(Undo::Completion { event, combination: combination.clone(), bucket });
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
        usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX).saturating_sub(self.memory_bytes)
    }

    fn grow(&mut self, bytes: usize, limits: &ShardLimits) -> Result<(), Refusal> {
        if bytes > self.room(limits) {
            return Err(Refusal::Memory);
        }
        self.memory_bytes += bytes;
        Ok(())
    }
}

const fn full(full: Full) -> Refusal {
    match full {
        Full::Capacity => Refusal::Users,
        Full::Memory => Refusal::Memory,
    }
}
