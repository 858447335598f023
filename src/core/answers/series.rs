//! The answers to GET /v0/series.

use serde::Serialize;

use super::gate::{Gated, Shown, Suppressed, Users};
use crate::core::periods::day::Day;
use crate::core::periods::period::Period;
use crate::core::state::series_report::SeriesReport;

/// The series of one event, or of anybody.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Series<'a> {
    /// The event; null for anybody.
    pub event: Option<&'a str>,
    /// `day`, `week` or `month`.
    pub unit: &'static str,
    /// The first day that the namespace counts periods of; null on a replay clock before the first event.
    pub since: Option<String>,
    /// Present and false where the event has no series of this unit; there are no points then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub series: Option<bool>,
    /// Every period of the range, ascending.
    pub points: Vec<Point>,
    /// As many periods before them, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub previous: Option<Previous>,
}

/// The series of every event that has one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EverySeries<'a> {
    /// `day`, `week` or `month`.
    pub unit: &'static str,
    /// The first day that the namespace counts periods of; null on a replay clock before the first event.
    pub since: Option<String>,
    /// One for each event, ascending by name.
    pub series: Vec<EventSeries<'a>>,
}

/// The series of one event among others.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventSeries<'a> {
    /// The event.
    pub event: &'a str,
    /// Every period of the range, ascending.
    pub points: Vec<Point>,
    /// As many periods before them, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub previous: Option<Previous>,
}

/// The periods before those of a series.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Previous {
    /// The first day of the first of them.
    pub from: String,
    /// The last day of the last of them.
    pub to: String,
    /// They, ascending.
    pub points: Vec<Point>,
}

/// The answer to POST /v0/series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeptSeries<'a> {
    /// The event.
    pub event: &'a str,
    /// The units that it has series of.
    pub units: Vec<&'static str>,
    /// The day from which on it has these; null where it has had them from the beginning.
    pub from: Option<String>,
}

/// One period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = SeriesPoint))]
pub struct Point {
    /// As in `2026-11-28`, `2026-W48` or `2026-11`.
    pub period: String,
    /// Unique users; null before `since` and where the numbers are not kept any more.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub users: Option<Users>,
    /// Those whose first occurrence ever was in the period.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub first_users: Option<Users>,
    /// The sum of the values of these first occurrences; null where none had a value.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
    pub value: Option<Shown<f64>>,
    /// `open` while the period lasts, `late` while it takes late events, then `closed`.
    pub state: &'static str,
    /// False where users may be missing: there was no room for all, or counting began within the period.
    pub complete: bool,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// When a namespace is asked, and since when it counts periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// The present day.
    pub today: Day,
    /// Days after its end for which a period takes late events.
    pub lateness_days: i64,
    /// The first day of which periods are counted; absent where none is yet.
    pub since: Option<Day>,
    /// Whether events were counted before that, in no period.
    pub has_earlier: bool,
}

impl Calendar {
    /// That of a series that was begun later than its namespace.
    #[must_use]
    pub fn begun(self, since: Option<Day>) -> Self {
        match since {
            Some(_) => Self { since: since.max(self.since), has_earlier: true, ..self },
            None => self,
        }
    }

    /// The first day of which periods are counted, as text.
    #[must_use]
    pub fn since_text(&self) -> Option<String> {
        self.since.map(Day::date_text)
    }

    /// The points of an event, or of anybody, one for every period of a range.
    #[must_use]
    pub fn points(
        &self,
        gated: &Gated<SeriesReport>,
        event: Option<u32>,
        periods: impl Iterator<Item = Period>,
    ) -> Vec<Point> {
        periods.map(|period| self.point(gated, event, period)).collect()
    }

    /// The periods before those of a range, as many as these.
    #[must_use]
    pub fn previous(
        &self,
        gated: &Gated<SeriesReport>,
        event: Option<u32>,
        periods: impl Iterator<Item = Period> + Clone,
    ) -> Option<Previous> {
        let (first, last) = (periods.clone().next()?, periods.clone().last()?);
        let points = self.points(gated, event, periods);
        Some(Previous { from: first.first_day().date_text(), to: last.last_day().date_text(), points })
    }

    fn point(&self, gated: &Gated<SeriesReport>, event: Option<u32>, period: Period) -> Point {
        let (report, gate) = (gated.report(), gated.gate());
        let closed = self.today.plus(-self.lateness_days - 1);
        let (first, last) = (period.first_day(), period.last_day());
        let kept = report.get(event, period);
        let (is_kept, numbers) = (kept.is_some(), kept.unwrap_or_default());
        // One that went over counted no more users, but who came for the first time.
        let at_least = if numbers.is_over { numbers.users.max(numbers.first_users) } else { numbers.users };
        // Late events may be of days before the namespace was made. Where they are few, nothing is said of them.
        let is_counted = self.since.is_some_and(|since| last >= since);
        let is_known = is_kept && (is_counted || (at_least > 0 && !gate.users(at_least).is_hidden()));
        let users = is_known.then(|| gate.users(at_least));
        let first_users = is_known.then(|| gate.users(numbers.first_users));
        let value = numbers.value.filter(|_| is_known);
        let value = value.map(|value| gate.of_group(numbers.first_users, value.value()));
        let hidden = [users, first_users].into_iter().flatten().any(Shown::is_hidden);
        let state = match () {
            () if last >= self.today => "open",
            () if last > closed => "late",
            () => "closed",
        };
        let has_begun_late = !is_counted || (self.has_earlier && self.since.is_some_and(|since| first < since));
        let complete = is_known && !has_begun_late && !numbers.is_over && !report.has_missed(period);
        let suppressed = Suppressed::of(hidden || value.is_some_and(Shown::is_hidden));
        Point { period: period.to_string(), users, first_users, value, state, complete, suppressed }
    }
}
