//! What a shard answers reads with, and how answers of several shards add up.

use litemap::LiteMap;

use super::combination::Combination;
use super::counter::{CLOSES, Counter};
use super::goal::GoalRecord;
use super::set_key::SetKey;
use super::sets::Sets;
use super::sum::Sum;
use crate::core::periods::week::Week;

/// The numbers of one shard, or of several together. Its size does not depend on the number of users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Unique users of the namespace.
    pub users: u64,
    /// One entry per event, ascending by its number.
    pub counters: Vec<CounterReport>,
}

/// The numbers of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterReport {
    /// The event's number.
    pub event: u32,
    /// Its unique users.
    pub count: u64,
    /// The sum of its values, if there were any.
    pub sum: Option<Sum>,
    /// Present for a goal.
    pub goal: Option<GoalReport>,
    /// Its unique users per week, if it has weekly cohorts; under [`Week::OTHER`] the sum over the weeks that are not kept
    /// apart any more.
    pub weeks: LiteMap<Week, u64>,
}

/// The numbers of a goal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoalReport {
    /// Users per combination of prior events.
    pub combinations: LiteMap<Combination, u64>,
    /// Users whose combination is not kept apart.
    pub other: u64,
    /// Users per prior event.
    pub single: LiteMap<u32, u64>,
}

impl Report {
    /// Leaves out events that are deleted, also from what users had done before goals, and goals that are not listed as
    /// such: what of either is left in a shard is on its way out, or in.
    #[must_use]
    pub fn without(mut self, is_deleted: impl Fn(u32) -> bool, is_goal: impl Fn(u32) -> bool) -> Self {
        self.counters.retain(|counter| !is_deleted(counter.event));
        for counter in &mut self.counters {
            counter.goal = counter.goal.take().filter(|_| is_goal(counter.event));
            if let Some(goal) = &mut counter.goal {
                goal.leave_out(&is_deleted);
            }
        }
        self
    }

    /// Adds the numbers of another shard. Associative and commutative (sums to their 106 bits).
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for theirs in other.counters {
            let at = self.counters.partition_point(|mine| mine.event < theirs.event);
            match self.counters.get_mut(at) {
                Some(mine) if mine.event == theirs.event => mine.merge(theirs),
                _ => self.counters.insert(at, theirs),
            }
        }
        self.users += other.users;
        self
    }
}

impl CounterReport {
    /// Whether the event is there for a reader: somebody did it, or it is a goal.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        self.count > 0 || self.goal.is_some()
    }

    pub(super) fn of(event: u32, counter: &Counter, sets: &Sets) -> Self {
        let goal = counter.goal.as_deref().map(GoalReport::of);
        Self {
            event,
            count: sets.len(SetKey::Event(event)),
            sum: counter.sum,
            goal,
            weeks: weeks(event, counter, sets),
        }
    }

    /// The numbers without sums, all completions of a goal in `other`.
    pub(super) fn counts_of(event: u32, counter: &Counter, sets: &Sets) -> Self {
        let goal = counter.goal.as_deref().map(|record| GoalReport {
            combinations: LiteMap::new(),
            other: record.completions(),
            single: ascending(record.single()),
        });
        Self { event, count: sets.len(SetKey::Event(event)), sum: None, goal, weeks: weeks(event, counter, sets) }
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        if let Some(sum) = other.sum {
            self.sum.get_or_insert_default().merge(sum);
        }
        if let Some(goal) = other.goal {
            self.goal.get_or_insert_default().merge(goal);
        }
        for (week, count) in other.weeks {
            *self.weeks.entry(week).or_default() += count;
        }
    }
}

impl GoalReport {
    fn leave_out(&mut self, is_deleted: impl Fn(u32) -> bool) {
        if self.combinations.keys().flat_map(Combination::events).any(&is_deleted) {
            for (combination, count) in std::mem::take(&mut self.combinations).into_tuple_vec() {
                let left = combination.events().filter(|&event| !is_deleted(event)).collect();
                *self.combinations.entry(left).or_default() += count;
            }
        }
        self.single.retain(|&event, _| !is_deleted(event));
    }

    fn of(record: &GoalRecord) -> Self {
        Self { combinations: record.combinations().clone(), other: record.other(), single: ascending(record.single()) }
    }

    fn merge(&mut self, other: Self) {
        for (combination, count) in other.combinations {
            *self.combinations.entry(combination).or_default() += count;
        }
        self.other += other.other;
        for (event, count) in other.single {
            *self.single.entry(event).or_default() += count;
        }
    }
}

/// Users per week, ascending: those of all weeks that are not kept apart any more first, as [`Week::OTHER`].
fn weeks(event: u32, counter: &Counter, sets: &Sets) -> LiteMap<Week, u64> {
    let closed = counter.closed.filter(|_| CLOSES).map_or(0, |closed| closed.users);
    let other = closed + sets.len(SetKey::Week(event, Week::OTHER));
    let mut weeks = LiteMap::new();
    if CLOSES && other > 0 {
        weeks.insert(Week::OTHER, other);
    }
    for (set, users) in sets.others(event) {
        if let SetKey::Week(_, week) = set
            && week > Week::OTHER
        {
            weeks.insert(week, users.len());
        }
    }
    weeks
}

/// What comes in its order already, without the code that would sort it.
pub fn ascending<K: Ord, V>(entries: impl Iterator<Item = (K, V)>) -> LiteMap<K, V> {
    let mut map = LiteMap::new();
    for (key, count) in entries {
        map.insert(key, count);
    }
    map
}
