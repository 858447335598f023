//! What a shard answers a question for series with, and how answers of several shards add up.

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

/// The series of one event, or of anybody.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Periods {
    /// Those in which somebody was, ascending.
    pub periods: Vec<(Period, PeriodReport)>,
    /// The last period of their unit that is not kept any more: neither is any before it.
    pub dropped: Option<Period>,
}

/// The series of one shard, or of several together. Its size does not depend on the number of users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesReport {
    /// Ascending by event number; that of anybody has none.
    pub series: Vec<(Option<u32>, Periods)>,
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

impl PeriodReport {
    fn add(&mut self, other: Self) {
        self.users += other.users;
        self.first_users += other.first_users;
        self.is_over |= other.is_over;
        if let Some(value) = other.value {
            self.value.get_or_insert_default().merge(value);
        }
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
        let periods = |event| Periods {
            periods: state.points(event, from, to).into_iter().map(|(period, point)| (period, point.into())).collect(),
            dropped: state.series().get(event).and_then(|series| series.dropped(from.unit())),
        };
        let series = events.into_iter().map(|event| (event, periods(event))).collect();
        Self { series, missed: state.series().missed().into_iter().collect() }
    }

    /// The numbers of a period of an event, or of anybody; `None` where they are not kept any more.
    #[must_use]
    pub fn get(&self, event: Option<u32>, period: Period) -> Option<PeriodReport> {
        let at = self.series.partition_point(|(other, _)| *other < event);
        let Some((_, Periods { periods, dropped })) = self.series.get(at).filter(|(found, _)| *found == event) else {
            return Some(PeriodReport::default());
        };
        let at = periods.partition_point(|(other, _)| *other < period);
        let found = periods.get(at).filter(|(found, _)| *found == period);
        let is_kept = dropped.is_none_or(|dropped| period > dropped);
        is_kept.then(|| found.map_or_else(PeriodReport::default, |(_, numbers)| *numbers))
    }

    /// Adds the numbers of another shard. Associative and commutative (sums to their 106 bits).
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (event, periods) in other.series {
            let at = self.series.partition_point(|(mine, _)| *mine < event);
            match self.series.get_mut(at) {
                Some((mine, numbers)) if *mine == event => add(numbers, periods),
                _ => self.series.insert(at, (event, periods)),
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

fn add(mine: &mut Periods, theirs: Periods) {
    mine.dropped = mine.dropped.max(theirs.dropped);
    for (period, numbers) in theirs.periods {
        let at = mine.periods.partition_point(|(other, _)| *other < period);
        match mine.periods.get_mut(at) {
            Some((other, sum)) if *other == period => sum.add(numbers),
            _ => mine.periods.insert(at, (period, numbers)),
        }
    }
}
