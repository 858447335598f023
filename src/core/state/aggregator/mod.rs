//! The aggregator: the whole state of one shard, and the only place where it changes.
//!
//! A batch of [`Operation`]s becomes [`Effect`]s; carrying those out is the same code as replaying them from a journal,
//! so a replayed state equals the one that was lost. A batch is all or nothing: where a limit refuses one of its
//! operations, the ones before it are taken back.

#[cfg(not(feature = "browser"))]
mod ceiling;
mod closing;
mod deletion;
mod execute;
#[cfg(not(feature = "browser"))]
mod grids;
mod growth;
mod ingest;
mod merge;
mod restore;
#[cfg(not(feature = "browser"))]
mod time;
mod undo;
#[cfg(not(feature = "browser"))]
mod visits;

use std::borrow::Borrow;

use super::all_series::AllSeries;
use super::counter::Counter;
#[cfg(not(feature = "browser"))]
use super::definitions::Definitions;
use super::effect::Effect;
use super::error::Refusal;
#[cfg(not(feature = "browser"))]
use super::grids::Grids;
use super::report::{CounterReport, Report};
use super::series::Occurrence;
use super::set_key::SetKey;
use super::sets::Sets;
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::periods::week::Week;
use crate::core::sets::user_set::Full;
use crate::core::state::shard_limits::ShardLimits;
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
        /// When it was, to count it in series; absent in a page, which has none. A day that is not open is not taken.
        time: Option<Occurrence>,
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
/// let login = Operation::Record { event: 0, tag: unlink.tag("Login"), user: keys.user("default", "ann"), value: None, week: None, time: None };
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
    series: AllSeries,
    #[cfg(not(feature = "browser"))]
    definitions: Definitions,
    #[cfg(not(feature = "browser"))]
    grids: Grids,
}

/// What the batches that are carried out together have in common.
#[derive(Default)]
pub struct Group {
    #[cfg(not(feature = "browser"))]
    entrants: time::Entrants,
    /// How many of them have been handed to definitions; absent until they have entered periods.
    #[cfg(not(feature = "browser"))]
    visited: Option<usize>,
}

#[cfg(feature = "browser")]
#[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "as in other builds")]
impl Group {
    const fn take_back(&mut self) {}

    const fn keep(&mut self) {}
}

#[cfg(not(feature = "browser"))]
impl Group {
    /// Forgets what the latest batch has added.
    fn take_back(&mut self) {
        self.entrants.take_back();
    }

    /// Keeps what the latest batch has added.
    fn keep(&mut self) {
        self.entrants.keep();
    }

    /// Whether [`Aggregator::finish_group`] has something to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.entrants.list().is_empty() || self.visited == Some(self.entrants.list().len())
    }
}

/// A batch as it is carried out: what it is held to, and what it has changed so far.
struct Change<'a> {
    key: &'a UnlinkKey,
    limits: &'a ShardLimits,
    today: Day,
    effects: Vec<Effect>,
    undo: Vec<Undo>,
    #[cfg_attr(feature = "browser", expect(dead_code, reason = "a page has no series"))]
    group: &'a mut Group,
}

/// A part of the state that is stored on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// The counter of one event.
    Counter(u32),
    /// A set of users.
    Set(SetKey),
    /// The series of an event, or of anybody, by its place ([`super::all_series::place`]).
    Series(usize),
    /// The numbers of a grid, by the number of its definition.
    Grid(u32),
    /// A definition, by its number.
    Definition(u32),
}

impl Aggregator {
    /// Bytes that the state takes in memory.
    #[must_use]
    #[cfg(feature = "browser")]
    pub const fn memory_bytes(&self) -> usize {
        self.sets.memory_bytes() + self.counters_bytes + self.series.memory_bytes()
    }

    /// Bytes that the state takes in memory.
    #[must_use]
    #[cfg(not(feature = "browser"))]
    pub const fn memory_bytes(&self) -> usize {
        let of_definitions = self.definitions.memory_bytes() + self.grids.memory_bytes();
        self.sets.memory_bytes() + self.counters_bytes + self.series.memory_bytes() + of_definitions
    }

    /// The definitions that the shard has heard of.
    #[must_use]
    #[cfg(not(feature = "browser"))]
    pub const fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// The numbers of grids.
    #[must_use]
    #[cfg(not(feature = "browser"))]
    pub const fn grids(&self) -> &Grids {
        &self.grids
    }

    /// The series.
    #[must_use]
    pub const fn series(&self) -> &AllSeries {
        &self.series
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
        let mut group = Group::default();
        let effects = self.apply_in_group(operations, key, limits, today, &mut group)?;
        #[cfg(not(feature = "browser"))]
        let effects = {
            let mut effects = effects;
            while !group.is_finished() {
                effects.extend(self.finish_group(&mut group, key, limits));
            }
            effects
        };
        Ok(effects)
    }

    /// As [`Self::apply`], one of several batches of one key: in series they count with `finish_group`, all together.
    ///
    /// # Errors
    /// As [`Self::apply`]; the others are as they were.
    pub fn apply_in_group(
        &mut self,
        operations: impl IntoIterator<Item = impl Borrow<Operation>>,
        key: &UnlinkKey,
        limits: &ShardLimits,
        today: Day,
        group: &mut Group,
    ) -> Result<Vec<Effect>, Refusal> {
        let mut change = Change { key, limits, today, effects: Vec::new(), undo: Vec::new(), group };
        for operation in operations {
            if let Err(refusal) = self.carry_out_operation(operation.borrow(), &mut change) {
                if TAKES_BACK {
                    self.take_back(&change.effects, change.undo);
                    group.take_back();
                }
                return Err(refusal);
            }
        }
        let effects = change.effects;
        group.keep();
        Ok(effects)
    }

    /// Counts in series and definitions a part of what a group of batches has left for it, and answers what that changed; to be called until
    /// that is all ([`Group::is_finished`]). Nothing of it is refused.
    #[cfg(not(feature = "browser"))]
    pub fn finish_group(&mut self, group: &mut Group, key: &UnlinkKey, limits: &ShardLimits) -> Vec<Effect> {
        let entrants = group.entrants.list();
        let (mut effects, visited) = match group.visited {
            None => (self.enter_periods(entrants, key, limits), 0),
            Some(visited) => (Vec::new(), visited),
        };
        let rest = entrants.get(visited..).unwrap_or_default();
        let done = if self.definitions.is_empty() {
            rest.len()
        } else {
            self.visit_definitions(rest, key, limits, &mut effects)
        };
        group.visited = Some(visited + done);
        effects
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
