//! Questions to shards.

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::operations::{EventEntry, Operations};
use super::question;
use super::registry::Deleted;
use crate::core::periods::day::Day;
use crate::core::periods::period::Period;
use crate::core::state::aggregator::Operation;
use crate::core::state::all_series::Missed;
use crate::core::state::report::{CounterReport, GoalReport, Report, ascending};
use crate::core::state::series_report::{self as state, PeriodReport, Periods, SeriesReport};
use crate::core::state::shard_limits::{ShardLimits, Sizing, TimeLimits};

/// The binding of the shards' class.
pub const SHARD: &str = "SHARD";

/// Carries operations out, all or none. They are durable once the answer arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Apply {
    /// The incarnation of the namespace that the events' numbers are of.
    pub incarnation: u64,
    /// The unlink key of the namespace.
    pub unlink: [u8; 16],
    /// The number of the present day.
    pub today: u32,
    /// Whether that is the day of a replay clock, on which nothing closes by itself.
    pub is_replay: bool,
    /// What the shard is held to.
    pub limits: Limits,
    /// The definitions of the namespace, one encoding behind the other ([`crate::core::state::definitions`]).
    pub definitions: Vec<u8>,
    /// The events that occur.
    pub events: Vec<EventEntry>,
    /// What to do, in order.
    pub operations: Operations,
    /// A fault to inject, in test builds.
    pub fault: Injection,
}
question!(0, Apply => (), SHARD);

/// What a shard is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Unique users of one event in this shard.
    pub users_per_event: u64,
    /// Combinations of one goal in this shard.
    pub combinations_per_goal: u64,
    /// Bytes of memory of the shard.
    pub memory_bytes: u64,
    /// Weekly cohorts of one event in this shard.
    pub weeks_per_event: u64,
    /// What periods are held to.
    pub time: Time,
}

/// What the periods of a shard are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Days after its end for which a period takes late events.
    pub lateness_days: u8,
    /// Fingerprints in all sets of open periods.
    pub fingerprints: u64,
}

impl From<Time> for TimeLimits {
    fn from(Time { lateness_days, fingerprints }: Time) -> Self {
        Self { lateness_days: lateness_days.into(), fingerprints }
    }
}

impl Apply {
    /// The present day.
    #[must_use]
    pub fn day(&self) -> Day {
        Day::of_number(self.today.into()).unwrap_or(Day::MAX)
    }

    /// What to do, as long as that fits the events.
    pub fn read(&self) -> impl Iterator<Item = Operation> + Clone + '_ {
        self.operations.read(&self.events, self.day())
    }

    /// What the core holds the shard to.
    #[must_use]
    pub fn shard_limits(&self) -> ShardLimits {
        let Limits { users_per_event, combinations_per_goal, memory_bytes, weeks_per_event, time } = self.limits;
        let sizings = self.events.iter().filter_map(|event| {
            let (users_max, false_positive_rate) = event.sizing?;
            Some((event.number, Sizing { users_max, false_positive_rate }))
        });
        ShardLimits {
            users_per_event,
            combinations_per_goal,
            memory_bytes,
            weeks_per_event,
            time: time.into(),
            sizings: ascending(sizings),
            ..ShardLimits::NONE
        }
    }
}

/// A fault, named by the header `x-kimball-fault` in builds with the feature `faults`. In every other build it has one
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Injection {
    /// None.
    #[default]
    None,
    /// A panic in the Worker.
    #[cfg(feature = "faults")]
    WorkerPanic,
    /// A trap in the Worker.
    #[cfg(feature = "faults")]
    WorkerTrap,
    /// A failed allocation in the Worker.
    #[cfg(feature = "faults")]
    WorkerAllocation,
    /// A panic in the shard after its journal write.
    #[cfg(feature = "faults")]
    ShardPanic,
    /// A trap in the shard after its journal write.
    #[cfg(feature = "faults")]
    ShardTrap,
    /// A failed allocation in the shard after its journal write.
    #[cfg(feature = "faults")]
    ShardAllocation,
    /// A journal write that fails.
    #[cfg(feature = "faults")]
    JournalWrite,
    /// A shard that takes two seconds.
    #[cfg(feature = "faults")]
    Slow,
}

/// Carries a deletion out, unless it was already. It is durable once the answer arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarryOutDeletion {
    /// Its number.
    pub number: u64,
    /// What goes.
    pub what: Deleted,
}
question!(10, CarryOutDeletion => (), SHARD);

/// Asks for the numbers of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetNumbers;
question!(1, GetNumbers => Numbers, SHARD);

/// Asks for the counts ([`crate::core::state::counts`]), without loading the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetCounts;
question!(2, GetCounts => Numbers, SHARD);

/// Asks for the numbers of the events that a user has done, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsOf {
    /// The unlink key of the namespace.
    pub unlink: [u8; 16],
    /// The key of the user.
    pub user: [u8; 16],
}
question!(3, EventsOf => Vec<u32>, SHARD);

/// Asks for the series of a range of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSeries {
    /// The number of the present day: periods whose time is over close first.
    pub today: u32,
    /// What periods are held to.
    pub time: Time,
    /// Of what.
    pub of: SeriesOf,
    /// The stored number of the first period.
    pub from: u32,
    /// The stored number of the last period, of the same unit.
    pub to: u32,
}
question!(11, GetSeries => SeriesNumbers, SHARD);

/// Whose series is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeriesOf {
    /// Of anybody.
    Anybody,
    /// Of the event of this number.
    Event(u32),
    /// Of every event.
    Events,
}

/// The answer to [`GetSeries`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesNumbers {
    /// By event number, ascending; those of anybody without one.
    pub series: Vec<(Option<u32>, PeriodNumbers)>,
    /// The numbers of the first and the last day of which something is missing, if it is.
    pub missed: Vec<(u32, u32)>,
}

impl From<SeriesOf> for state::SeriesOf {
    fn from(of: SeriesOf) -> Self {
        match of {
            SeriesOf::Anybody => Self::Anybody,
            SeriesOf::Event(event) => Self::Event(event),
            SeriesOf::Events => Self::Events,
        }
    }
}

impl From<SeriesReport> for SeriesNumbers {
    fn from(SeriesReport { series, missed }: SeriesReport) -> Self {
        let numbers = |(period, PeriodReport { users, first_users, value, is_over }): (Period, PeriodReport)| {
            PointNumbers { period: period.code(), users, first_users, value: value.map(Into::into), is_over }
        };
        Self {
            series: series
                .into_iter()
                .map(|(event, Periods { periods, dropped })| {
                    let points = periods.into_iter().map(numbers).collect();
                    (event, PeriodNumbers { points, dropped: dropped.map(Period::code) })
                })
                .collect(),
            missed: missed.into_iter().map(|missed| (missed.from.number(), missed.to.number())).collect(),
        }
    }
}

impl From<SeriesNumbers> for SeriesReport {
    /// Numbers of no period or day are left out: no shard sends any.
    fn from(SeriesNumbers { series, missed }: SeriesNumbers) -> Self {
        let report = |point: PointNumbers| {
            let PointNumbers { period, users, first_users, value, is_over } = point;
            Some((Period::of_code(period)?, PeriodReport { users, first_users, value: value.map(Into::into), is_over }))
        };
        let day = |number: u32| Day::of_number(number.into());
        Self {
            series: series
                .into_iter()
                .map(|(event, PeriodNumbers { points, dropped })| {
                    let periods = points.into_iter().filter_map(report).collect();
                    (event, Periods { periods, dropped: dropped.and_then(Period::of_code) })
                })
                .collect(),
            missed: missed
                .into_iter()
                .filter_map(|(from, to)| Some(Missed { from: day(from)?, to: day(to)? }))
                .collect(),
        }
    }
}

/// The numbers of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeriodNumbers {
    /// Those of the periods in which somebody was, ascending.
    pub points: Vec<PointNumbers>,
    /// The stored number of the last period that is not kept any more.
    pub dropped: Option<u32>,
}

/// The numbers of a period in which somebody was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PointNumbers {
    /// The stored number of the period.
    pub period: u32,
    /// Its users.
    pub users: u64,
    /// Those whose first occurrence ever was in it.
    pub first_users: u64,
    /// The two parts of the sum of the values of these first occurrences, if there were any.
    pub value: Option<(f64, f64)>,
    /// Whether some users may be missing.
    pub is_over: bool,
}

/// Notes the incarnation of the namespace: batches of one before are refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// The incarnation.
    pub incarnation: u64,
}
question!(13, Adopt => (), SHARD);

/// Ends a replay: what is over by this day closes, and from now on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndReplay {
    /// The number of the present day.
    pub today: u32,
    /// What periods are held to.
    pub time: Time,
}
question!(12, EndReplay => (), SHARD);

/// Asks how the shard is, without loading the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetStatus;
question!(4, GetStatus => Status, SHARD);

/// Loads the state, so that it is known to be readable, and asks how the shard is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check;
question!(5, Check => Status, SHARD);

/// Makes ready to be closed, and closes: the call is broken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close;
question!(6, Close => (), SHARD);

/// Takes storage that is older than what was acknowledged as it is, if `ACCEPT_OLDER_STATE` says so. Answers whether it
/// was, and is taken from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptOlder;
question!(7, AcceptOlder => bool, SHARD);

/// Compacts now (builds for fault injection only).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compact;
question!(8, Compact => (), SHARD);

/// Asks for the state of storage (builds for fault injection only).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect;
question!(9, Inspect => Inspection, SHARD);

/// How a shard is, told without loading its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The number of the isolate that it is in.
    pub isolate: u64,
    /// What all shards of that isolate have done.
    pub totals: Totals,
    /// Rows of the journal.
    pub journal_rows: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Counters that the snapshot holds.
    pub stored_counters: u64,
    /// Seconds since the last compaction, if there was one.
    pub snapshot_age_s: Option<u64>,
    /// Bytes of memory of the state; 0 where it is not loaded.
    pub memory_bytes: u64,
    /// Whether the state could not be read when that was last tried.
    pub is_unreadable: bool,
}

/// What the shards of one isolate have done since the isolate began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// First occurrences.
    pub accepted: u64,
    /// Events that were known.
    pub repeated: u64,
    /// Batches: requests to shards that record events.
    pub batches: u64,
    /// Rows written, as Cloudflare bills them: inserted, replaced and deleted ones, and alarms that were set.
    pub rows_written: u64,
    /// Loads of a shard's state from storage.
    pub loads: Durations,
    /// Compactions.
    pub compactions: Durations,
}

/// How often something was done, and how long that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// How often.
    pub count: u64,
    /// Milliseconds in all.
    pub sum_ms: u64,
}

/// The state of a shard's storage and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Rows of the journal.
    pub journal_rows: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Rows of the snapshot.
    pub snapshot_rows: u64,
    /// Bytes of memory of the state.
    pub memory_bytes: u64,
    /// A checksum over the encoded state.
    pub digest: u32,
}

/// The numbers of a shard.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// Unique users of the namespace.
    pub users: u64,
    /// Ascending by event number.
    pub events: Vec<EventNumbers>,
}

/// The numbers of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventNumbers {
    /// The event's number.
    pub number: u32,
    /// Its unique users.
    pub users: u64,
    /// The two parts of the sum of its values, if there were any.
    pub sum: Option<(f64, f64)>,
    /// Present for a goal.
    pub goal: Option<GoalNumbers>,
    /// Users by stored number of the week, ascending.
    pub weeks: Vec<(u32, u64)>,
}

/// The numbers of a goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoalNumbers {
    /// Users by the bitmap of prior events.
    pub combinations: Vec<(Box<[u8]>, u64)>,
    /// Users whose combination is not kept apart.
    pub other: u64,
    /// Users by prior event, ascending.
    pub single: Vec<(u32, u64)>,
}

impl From<Report> for Numbers {
    fn from(report: Report) -> Self {
        let events = report.counters.into_iter().map(|counter| {
            let goal = counter.goal.map(|goal| GoalNumbers {
                combinations: entries(goal.combinations),
                other: goal.other,
                single: entries(goal.single),
            });
            let (number, users) = (counter.event, counter.count);
            EventNumbers { number, users, sum: counter.sum.map(Into::into), goal, weeks: entries(counter.weeks) }
        });
        Self { users: report.users, events: events.collect() }
    }
}

impl From<Numbers> for Report {
    fn from(numbers: Numbers) -> Self {
        let counters = numbers.events.into_iter().map(|event| {
            let goal = event.goal.map(|goal| GoalReport {
                combinations: map(goal.combinations),
                other: goal.other,
                single: map(goal.single),
            });
            let EventNumbers { number, users, sum, weeks, .. } = event;
            CounterReport { event: number, count: users, sum: sum.map(Into::into), goal, weeks: map(weeks) }
        });
        Self { users: numbers.users, counters: counters.collect() }
    }
}

fn entries<K: Ord, T: From<K>>(map: LiteMap<K, u64>) -> Vec<(T, u64)> {
    map.into_tuple_vec().into_iter().map(|(key, count)| (key.into(), count)).collect()
}

fn map<K: Ord, T: Into<K>>(entries: Vec<(T, u64)>) -> LiteMap<K, u64> {
    ascending(entries.into_iter().map(|(key, count)| (key.into(), count)))
}
