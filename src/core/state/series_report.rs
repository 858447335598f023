//! What a shard answers a question for series with, and how answers of several shards add up.

use std::collections::BTreeMap;

use super::aggregator::Aggregator;
use super::all_series::Missed;
use super::series::Point;
use super::sum::Sum;
use crate::core::periods::period::Period;

/// Whose series is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesOf {
    /// Of anybody.
    Anybody,
    /// Of the event of this number.
    Event(u32),
    /// Of every event.
    Events,
}

/// The series of one shard, or of several together. Its size does not depend on the number of users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesReport {
    /// By event number; that of anybody under `None`. Periods in which nobody was are left out.
    pub series: BTreeMap<Option<u32>, BTreeMap<Period, PeriodReport>>,
    /// Days of which something is missing in every series.
    pub missed: Vec<Missed>,
}

/// The numbers of one period.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PeriodReport {
    /// Its users.
    pub users: u64,
    /// Users whose first occurrence ever was in it.
    pub first_users: u64,
    /// The sum of the values of these first occurrences, if there were any.
    pub value: Option<Sum>,
    /// Whether some users may be missing.
    pub is_over: bool,
}

impl From<Point> for PeriodReport {
    fn from(Point { users, first_users, value, is_over }: Point) -> Self {
        Self { users: users.into(), first_users: first_users.into(), value, is_over }
    }
}

impl SeriesReport {
    /// The series of a state from one period to another of the same unit.
    #[must_use]
    pub fn of(state: &Aggregator, of: SeriesOf, from: Period, to: Period) -> Self {
        let events = match of {
            SeriesOf::Anybody => vec![None],
            SeriesOf::Event(event) => vec![Some(event)],
            SeriesOf::Events => state.counters().map(|(event, _)| Some(event)).collect(),
        };
        let periods =
            |event| state.points(event, from, to).into_iter().map(|(period, point)| (period, point.into())).collect();
        let series = events.into_iter().map(|event| (event, periods(event))).collect();
        Self { series, missed: state.series().missed().into_iter().collect() }
    }

    /// Adds the numbers of another shard. Associative and commutative (sums to their 106 bits).
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (event, periods) in other.series {
            let mine = self.series.entry(event).or_default();
            for (period, theirs) in periods {
                let numbers = mine.entry(period).or_default();
                numbers.users += theirs.users;
                numbers.first_users += theirs.first_users;
                numbers.is_over |= theirs.is_over;
                if let Some(value) = theirs.value {
                    numbers.value.get_or_insert_default().merge(value);
                }
            }
        }
        self.missed.extend(other.missed);
        self
    }

    /// Whether something of a period is missing in every series.
    #[must_use]
    pub fn has_missed(&self, period: Period) -> bool {
        let (first, last) = (period.first_day(), period.last_day());
        self.missed.iter().any(|missed| first <= missed.to && missed.from <= last)
    }
}
