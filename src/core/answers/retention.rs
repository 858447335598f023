//! The answers to GET and POST /v0/retention.

use serde::Serialize;

use super::gate::{Gated, Shown, Suppressed, Users};
use crate::core::periods::day::Day;
use crate::core::periods::period::Period;
use crate::core::settings::limits::SERIES_POINTS;
use crate::core::state::definitions::retention::RetentionSpec;
use crate::core::state::grid_report::GridReport;

/// A retention grid as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionDefinition {
    /// Its name.
    pub name: String,
    /// The event whose first occurrence ever puts a user into a cohort.
    pub start: String,
    /// The event that is returned for.
    pub r#return: String,
    /// `day`, `week` or `month`.
    pub unit: String,
    /// How many periods behind its own a cohort is looked at.
    pub periods: u8,
    /// The first day that counts; null where every day does.
    pub since: Option<String>,
}

impl RetentionDefinition {
    /// That of a specification.
    #[must_use]
    pub fn of(name: &str, spec: RetentionSpec, since: Option<Day>) -> Self {
        let RetentionSpec { start, r#return, unit, periods } = spec;
        Self { name: name.to_owned(), start, r#return, unit, periods, since: since.map(Day::date_text) }
    }
}

/// All retention grids of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retentions {
    /// Ascending by name.
    pub retention: Vec<RetentionDefinition>,
}

/// A retention grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionGrid {
    /// Its name.
    pub name: String,
    /// The event whose first occurrence ever puts a user into a cohort.
    pub start: String,
    /// The event that is returned for.
    pub r#return: String,
    /// `day`, `week` or `month`.
    pub unit: String,
    /// The first day that counts; null where every day does.
    pub since: Option<String>,
    /// Every cohort up to the present one, ascending.
    pub rows: Vec<RetentionRow>,
    /// The share, from 0 to 1, of users who returned in the first period behind their cohort, in the second, and so on: over the cohorts
    /// for which that period is over, each by its size. Null where there is none, or one of its numbers is hidden.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Option<f64>>))]
    pub average: Vec<Option<f64>>,
}

/// A cohort: those whose first occurrence ever of the start event was in a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionRow {
    /// The period, as in `2026-11-28`, `2026-W48` or `2026-11`.
    pub cohort: String,
    /// Its users.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub users: Users,
    /// `open` until the last period that it is looked at in ends, `late` as long as that takes late events, then `closed`.
    pub state: &'static str,
    /// False where users may be missing: there was no room for all, or counting began within the period.
    pub complete: bool,
    /// Users who returned in each of the periods behind it; null for those that have not begun.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Option<u64>>))]
    pub returned: Vec<Option<Users>>,
    /// Users who returned in each of these periods or in a later one.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Option<u64>>))]
    pub on_or_after: Vec<Option<Users>>,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// Users who have not been seen for some time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lapsed {
    /// The name of the grid.
    pub name: String,
    /// How many periods ago they were seen last, at least.
    pub lapsed: u8,
    /// The cohorts that are old enough and still looked at, ascending.
    pub rows: Vec<LapsedRow>,
}

/// Those of a cohort who have not been seen for some time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LapsedRow {
    /// The period of the cohort.
    pub cohort: String,
    /// Its users who joined or returned last at least so many periods ago.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub users: Users,
    /// Present and true where the number is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// When a grid is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// The present day.
    pub today: Day,
    /// Days after its end for which a period takes late events.
    pub lateness_days: i64,
    /// The first day that the grid counts, where not every day does.
    pub since: Option<Day>,
    /// The present period of its unit.
    pub now: Period,
    /// How many periods behind its own a cohort is looked at.
    pub periods: u8,
}

impl Asking {
    /// The cohorts that there may be up to the present one, as many as are kept.
    fn cohorts(&self, report: &GridReport) -> impl Iterator<Item = Period> + use<> {
        let first = report.cohorts.first().map(|(period, _)| *period);
        let since = self.since.map(|since| Period::of(self.now.unit(), since));
        let kept = SERIES_POINTS.get(self.now.unit().index()).copied().unwrap_or(1);
        let from = since.or(first).unwrap_or(self.now).max(self.now.before(kept - 1));
        from.until(self.now.last_day())
    }

    /// The rows of a grid.
    #[must_use]
    pub fn rows(&self, gated: &Gated<GridReport>) -> Vec<RetentionRow> {
        self.cohorts(gated.report()).map(|cohort| self.row(gated, cohort)).collect()
    }

    fn row(&self, gated: &Gated<GridReport>, cohort: Period) -> RetentionRow {
        let (report, gate) = (gated.report(), gated.gate());
        let (numbers, last) = (report.get(cohort), cohort.after(self.periods.into()));
        let has_begun = |behind: u8| cohort.after(behind.into()).first_day() <= self.today;
        let shown = |behind: u8, users: u64| has_begun(behind).then(|| gate.users(users));
        let returned_in = |behind: u8| numbers.returned.get(usize::from(behind) - 1).copied().unwrap_or(0);
        let returned: Vec<_> = (1..=self.periods).map(|behind| shown(behind, returned_in(behind))).collect();
        let seen_from = |behind: u8| shown(behind, numbers.seen_from(behind.into()));
        let on_or_after: Vec<_> = (1..=self.periods).map(seen_from).collect();
        let users = gate.users(numbers.users());
        let state = match last.last_day() {
            end if end >= self.today => "open",
            end if end.plus(self.lateness_days) >= self.today => "late",
            _ => "closed",
        };
        let has_begun_late = self.since.is_some_and(|since| cohort.first_day() < since);
        let complete = !numbers.is_over && !has_begun_late && !report.lacks(cohort, last);
        let hidden = returned.iter().chain(&on_or_after).flatten().chain([&users]).any(|shown| shown.is_hidden());
        let suppressed = Suppressed::of(hidden);
        RetentionRow { cohort: cohort.to_string(), users, state, complete, returned, on_or_after, suppressed }
    }

    /// The share of users who returned, by how many periods behind their cohort.
    #[must_use]
    pub fn average(&self, gated: &Gated<GridReport>) -> Vec<Option<f64>> {
        let (report, gate) = (gated.report(), gated.gate());
        let share = |behind: u8| -> Option<f64> {
            let is_over = |cohort: &Period| cohort.after(behind.into()).last_day() < self.today;
            let numbers = self.cohorts(report).filter(is_over).map(|cohort| report.get(cohort));
            let (mut users, mut returned, mut smallest) = (0, 0, u64::MAX);
            for numbers in numbers.filter(|numbers| numbers.users() > 0) {
                let back = numbers.returned.get(usize::from(behind) - 1).copied().unwrap_or(0);
                (users, returned, smallest) = (users + numbers.users(), returned + back, smallest.min(back));
            }
            let share = if users == 0 { None } else { Some(returned as f64 / users as f64) };
            share.and_then(|share| gate.of_group(smallest, share).get())
        };
        (1..=self.periods).map(share).collect()
    }

    /// Users who have not been seen for at least so many periods, of the cohorts of which that is known.
    #[must_use]
    pub fn lapsed(&self, gated: &Gated<GridReport>, lapsed: u8) -> Vec<LapsedRow> {
        let (report, gate) = (gated.report(), gated.gate());
        let row = |cohort: Period| {
            let age = self.now.behind(cohort)?;
            let behind = age.checked_sub(lapsed.into()).filter(|_| age <= self.periods.into())?;
            let numbers = report.get(cohort);
            let users = gate.users(numbers.users() - numbers.seen_from(behind as usize + 1));
            let suppressed = Suppressed::of(Shown::is_hidden(users));
            Some(LapsedRow { cohort: cohort.to_string(), users, suppressed })
        };
        self.cohorts(report).filter_map(row).collect()
    }
}
