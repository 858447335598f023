//! What a shard answers a question for a retention grid with, and how answers of several shards add up.

use super::aggregator::Aggregator;
use super::all_series::Missed;
use crate::core::periods::period::Period;

/// A grid of one shard, or of several together. Its size does not depend on the number of users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GridReport {
    /// Those in which somebody is, ascending.
    pub cohorts: Vec<(Period, CohortReport)>,
    /// Periods of which returns are missing.
    pub over: Vec<Period>,
    /// Days of which something is missing in everything.
    pub missed: Vec<Missed>,
}

/// The numbers of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CohortReport {
    /// Users by how many periods behind the cohort they were seen last, from 0.
    pub seen: Vec<u64>,
    /// Users who returned in each of the periods behind it.
    pub returned: Vec<u64>,
    /// Whether something of it is missing.
    pub is_over: bool,
}

impl CohortReport {
    /// All its users.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.seen.iter().sum()
    }

    /// Those who were seen that many periods behind it, or later.
    #[must_use]
    pub fn seen_from(&self, behind: usize) -> u64 {
        self.seen.iter().skip(behind).sum()
    }

    fn add(&mut self, other: Self) {
        add(&mut self.seen, other.seen);
        add(&mut self.returned, other.returned);
        self.is_over |= other.is_over;
    }
}

fn add(mine: &mut Vec<u64>, theirs: Vec<u64>) {
    mine.resize(mine.len().max(theirs.len()), 0);
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
}

impl GridReport {
    /// The grid of a definition in a state.
    #[must_use]
    pub fn of(state: &Aggregator, number: u32) -> Self {
        let missed = state.series().missed().into_iter().collect();
        let Some(grid) = state.grids().get(number) else {
            return Self { missed, ..Self::default() };
        };
        let numbers = |users: &[u32]| users.iter().map(|&users| u64::from(users)).collect();
        let cohorts = grid.cohorts().iter().map(|(period, cohort)| {
            let (seen, returned) = (numbers(&cohort.seen), numbers(&cohort.returned));
            (*period, CohortReport { seen, returned, is_over: cohort.is_over })
        });
        Self { cohorts: cohorts.collect(), over: grid.over().to_vec(), missed }
    }

    /// The numbers of a cohort.
    #[must_use]
    pub fn get(&self, cohort: Period) -> CohortReport {
        let at = self.cohorts.partition_point(|(period, _)| *period < cohort);
        let found = self.cohorts.get(at).filter(|(period, _)| *period == cohort);
        found.map_or_else(CohortReport::default, |(_, numbers)| numbers.clone())
    }

    /// Adds the numbers of another shard. Associative and commutative.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (period, numbers) in other.cohorts {
            let at = self.cohorts.partition_point(|(mine, _)| *mine < period);
            match self.cohorts.get_mut(at) {
                Some((mine, sum)) if *mine == period => sum.add(numbers),
                _ => self.cohorts.insert(at, (period, numbers)),
            }
        }
        self.over.extend(other.over);
        self.missed.extend(other.missed);
        self
    }

    /// Whether something of the returns of a cohort, or of its own period, is missing, up to the last period that it is looked at in.
    #[must_use]
    pub fn lacks(&self, cohort: Period, last: Period) -> bool {
        let (from, to) = (cohort.first_day(), last.last_day());
        let has_missed = self.missed.iter().any(|missed| from <= missed.to && missed.from <= to);
        has_missed || self.over.iter().any(|over| (cohort..=last).contains(over))
    }
}
