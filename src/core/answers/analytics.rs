//! The JSON that reads are answered with. The same for the Worker and for a page's own aggregator.

use std::borrow::Cow;
use std::cmp::Reverse;

use serde::Serialize;

use super::gate::{Gate, Gated, Shown, Suppressed, Users};
use crate::core::order::sorted;
use crate::core::periods::week::Week;
use crate::core::state::combination::Combination;
use crate::core::state::report::{CounterReport, GoalReport};

/// The answer to GET /v0/analytics.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Analytics<'a> {
    /// One entry per event and one per week of an event with weekly cohorts, ascending by name.
    pub counts: Vec<Count<'a>>,
    /// Unique users of the namespace.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub users: Users,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// One event in [`Analytics`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Count<'a> {
    /// The event's name; for a week followed by a space, the ISO year and the week number, or by ` other` for
    /// the sum over the weeks that have closed, which is not one of unique users.
    pub name: Cow<'a, str>,
    /// The kind of counter: `named`, or `weekly`.
    pub r#type: &'static str,
    /// Unique users.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub count: Users,
    /// For a goal: users per combination of prior events, most first.
    pub event_counts: Vec<EventCount<'a>>,
    /// For a goal: users whose combination is not listed, because there are too many or because it is that of too few.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub event_counts_other: Option<Users>,
    /// For a goal: users per prior event, most first.
    pub single_event_counts: Vec<SingleEventCount<'a>>,
    /// The sum of values.
    pub value: Values,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// Users with one combination of prior events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventCount<'a> {
    /// The prior events, ascending by name.
    pub events: Vec<&'a str>,
    /// Users.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub count: Users,
}

/// Users with one prior event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SingleEventCount<'a> {
    /// The prior event.
    pub name: &'a str,
    /// Users.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub count: Users,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// The values of an event; empty where none was ever counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Values {
    /// Their sum; hidden where the users of the event are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub sum: Option<Shown<f64>>,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// A report holds an event that has no name here: the names are older than the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed;

impl<'a> Analytics<'a> {
    /// Puts names to a report. At most `combinations_max` combinations are listed per goal, the ones with the most
    /// users; the others add to `event_counts_other`, as do those of too few users. Events that nobody did yet are left
    /// out, unless they are goals.
    ///
    /// # Errors
    /// [`Unnamed`] when `names` (by event number) does not cover the report.
    pub fn of(gated: &Gated, names: &'a [String], combinations_max: usize) -> Result<Self, Unnamed> {
        let (report, gate) = (gated.report(), gated.gate());
        let mut counts = Vec::new();
        for counter in report.counters.iter().filter(|counter| counter.is_listed()) {
            counts.push(Count::of(counter, gate, names, combinations_max)?);
            for (week, &count) in &counter.weeks {
                counts.push(Count::weekly(name(names, counter.event)?, *week, gate.users(count)));
            }
        }
        let counts = sorted(counts, |a, b| (&a.name, a.r#type).cmp(&(&b.name, b.r#type)));
        let users = gate.users(report.users);
        Ok(Self { counts, users, suppressed: Suppressed::of(users.is_hidden()) })
    }

    /// The answer of a namespace that does not exist.
    #[must_use]
    pub const fn empty(gate: Gate) -> Self {
        let users = gate.users(0);
        Self { counts: Vec::new(), users, suppressed: Suppressed::of(users.is_hidden()) }
    }
}

impl<'a> Count<'a> {
    fn of(counter: &CounterReport, gate: Gate, names: &'a [String], combinations_max: usize) -> Result<Self, Unnamed> {
        let goal = counter.goal.as_ref();
        let (event_counts, unlisted) = match goal {
            Some(goal) => combinations(goal, gate, names, combinations_max)?,
            None => (Vec::new(), 0),
        };
        let single_event_counts = goal
            .iter()
            .flat_map(|goal| &goal.single)
            .map(|(&event, &count)| {
                let count = gate.users(count);
                Ok(SingleEventCount { name: name(names, event)?, count, suppressed: Suppressed::of(count.is_hidden()) })
            })
            .collect::<Result<Vec<_>, Unnamed>>()?;
        // Those that are hidden are last and by name, so that their order tells nothing.
        let single_event_counts =
            sorted(single_event_counts, |a, b| (Reverse(a.count), a.name).cmp(&(Reverse(b.count), b.name)));
        let sum = counter.sum.map(|sum| gate.of_group(counter.count, sum.value()));
        let count = gate.users(counter.count);
        let event_counts_other = goal.map(|goal| gate.users(goal.other + unlisted));
        let suppressed = Suppressed::of(count.is_hidden() || event_counts_other.is_some_and(Shown::is_hidden));
        Ok(Self {
            name: name(names, counter.event)?.into(),
            r#type: "named",
            count,
            event_counts,
            event_counts_other,
            single_event_counts,
            value: Values { sum, suppressed: Suppressed::of(sum.is_some_and(Shown::is_hidden)) },
            suppressed,
        })
    }

    fn weekly(event_name: &str, week: Week, count: Users) -> Self {
        Self {
            name: format!("{event_name} {week}").into(),
            r#type: "weekly",
            count,
            event_counts: Vec::new(),
            event_counts_other: None,
            single_event_counts: Vec::new(),
            value: Values { sum: None, suppressed: Suppressed::of(false) },
            suppressed: Suppressed::of(count.is_hidden()),
        }
    }
}

/// The listed combinations, and the number of users of those that are not listed.
fn combinations<'a>(
    goal: &GoalReport,
    gate: Gate,
    names: &'a [String],
    combinations_max: usize,
) -> Result<(Vec<EventCount<'a>>, u64), Unnamed> {
    let all: u64 = goal.combinations.values().sum();
    let listed = goal
        .combinations
        .iter()
        .filter(|&(_, &count)| !gate.hides(count))
        .map(|(combination, &count)| {
            Ok(EventCount { events: sorted_names(combination, names)?, count: gate.users(count) })
        })
        .collect::<Result<Vec<_>, Unnamed>>()?;
    let mut listed = sorted(listed, |a, b| (Reverse(a.count), &a.events).cmp(&(Reverse(b.count), &b.events)));
    listed.truncate(combinations_max);
    let shown: u64 = listed.iter().filter_map(|entry| entry.count.get()).sum();
    Ok((listed, all - shown))
}

fn sorted_names<'a>(combination: &Combination, names: &'a [String]) -> Result<Vec<&'a str>, Unnamed> {
    let mut events = combination.events().map(|event| name(names, event)).collect::<Result<Vec<_>, _>>()?;
    events.sort_unstable();
    Ok(events)
}

fn name(names: &[String], event: u32) -> Result<&str, Unnamed> {
    names.get(event as usize).map(String::as_str).ok_or(Unnamed)
}
