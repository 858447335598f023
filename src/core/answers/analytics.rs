//! The JSON that reads are answered with. The same for the Worker and for a page's own aggregator.

use std::borrow::Cow;
use std::cmp::Reverse;

use serde::Serialize;

use crate::core::periods::week::Week;
use crate::core::state::combination::Combination;
use crate::core::state::report::{CounterReport, GoalReport, Report};

/// The answer to GET /v0/analytics.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Analytics<'a> {
    /// One entry per event and one per week of an event with weekly cohorts, ascending by name.
    pub counts: Vec<Count<'a>>,
    /// Unique users of the namespace.
    pub users: u64,
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
    pub count: u64,
    /// For a goal: users per combination of prior events, most first.
    pub event_counts: Vec<EventCount<'a>>,
    /// For a goal: users whose combination is not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub event_counts_other: Option<u64>,
    /// For a goal: users per prior event, most first.
    pub single_event_counts: Vec<SingleEventCount<'a>>,
    /// The sum of values.
    pub value: Values,
}

/// Users with one combination of prior events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventCount<'a> {
    /// The prior events, ascending by name.
    pub events: Vec<&'a str>,
    /// Users.
    pub count: u64,
}

/// Users with one prior event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SingleEventCount<'a> {
    /// The prior event.
    pub name: &'a str,
    /// Users.
    pub count: u64,
}

/// The values of an event; empty where none was ever counted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Values {
    /// Their sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub sum: Option<f64>,
}

/// A report holds an event that has no name here: the names are older than the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed;

impl<'a> Analytics<'a> {
    /// Puts names to a report. At most `combinations_max` combinations are listed per goal, the ones with the most
    /// users; the others add to `event_counts_other`. Events that nobody did yet are left out, unless they are goals.
    ///
    /// # Errors
    /// [`Unnamed`] when `names` (by event number) does not cover the report.
    pub fn of(report: &Report, names: &'a [String], combinations_max: usize) -> Result<Self, Unnamed> {
        let mut counts = Vec::new();
        for counter in report.counters.iter().filter(|counter| counter.is_listed()) {
            counts.push(Count::of(counter, names, combinations_max)?);
            for (week, &count) in &counter.weeks {
                counts.push(Count::weekly(name(names, counter.event)?, *week, count));
            }
        }
        counts.sort_by(|a, b| (&a.name, a.r#type).cmp(&(&b.name, b.r#type)));
        Ok(Self { counts, users: report.users })
    }
}

impl<'a> Count<'a> {
    fn of(counter: &CounterReport, names: &'a [String], combinations_max: usize) -> Result<Self, Unnamed> {
        let goal = counter.goal.as_ref();
        let (event_counts, unlisted) = match goal {
            Some(goal) => combinations(goal, names, combinations_max)?,
            None => (Vec::new(), 0),
        };
        let mut single_event_counts = goal
            .iter()
            .flat_map(|goal| &goal.single)
            .map(|(&event, &count)| Ok(SingleEventCount { name: name(names, event)?, count }))
            .collect::<Result<Vec<_>, Unnamed>>()?;
        single_event_counts.sort_by_key(|single| (Reverse(single.count), single.name));
        Ok(Self {
            name: name(names, counter.event)?.into(),
            r#type: "named",
            count: counter.count,
            event_counts,
            event_counts_other: goal.map(|goal| goal.other + unlisted),
            single_event_counts,
            value: Values { sum: counter.sum.map(crate::core::state::sum::Sum::value) },
        })
    }

    fn weekly(event_name: &str, week: Week, count: u64) -> Self {
        Self {
            name: format!("{event_name} {week}").into(),
            r#type: "weekly",
            count,
            event_counts: Vec::new(),
            event_counts_other: None,
            single_event_counts: Vec::new(),
            value: Values { sum: None },
        }
    }
}

/// The listed combinations, and the number of users of those that are not listed.
fn combinations<'a>(
    goal: &GoalReport,
    names: &'a [String],
    combinations_max: usize,
) -> Result<(Vec<EventCount<'a>>, u64), Unnamed> {
    let mut listed = goal
        .combinations
        .iter()
        .map(|(combination, &count)| Ok(EventCount { events: sorted_names(combination, names)?, count }))
        .collect::<Result<Vec<_>, Unnamed>>()?;
    listed.sort_by(|a, b| (Reverse(a.count), &a.events).cmp(&(Reverse(b.count), &b.events)));
    let unlisted = listed.iter().skip(combinations_max).map(|entry| entry.count).sum();
    listed.truncate(combinations_max);
    Ok((listed, unlisted))
}

fn sorted_names<'a>(combination: &Combination, names: &'a [String]) -> Result<Vec<&'a str>, Unnamed> {
    let mut events = combination.events().map(|event| name(names, event)).collect::<Result<Vec<_>, _>>()?;
    events.sort_unstable();
    Ok(events)
}

fn name(names: &[String], event: u32) -> Result<&str, Unnamed> {
    names.get(event as usize).map(String::as_str).ok_or(Unnamed)
}
