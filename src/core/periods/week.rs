//! Weeks.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Utc, Weekday};

use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect};

/// An ISO 8601 week in UTC, or [`Week::OTHER`], which is before all of them.
///
/// Stored as `(year + 1) * 64 + week`: RFC 3339 has the years 0 to 9999, and the first of January of year 0 belongs to
/// the last week of the year before.
///
/// # Example
/// ```
/// use kimball_edge::core::periods::week::Week;
/// let week = Week::of_unix_s(1_645_000_000).unwrap();
/// assert_eq!((week.year(), week.number(), week.to_string()), (2022, 7, "20227".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Week(u32);

const WEEKS: u32 = 64;
const WEEK_NUMBER_MAX: u32 = 53;
const YEAR_MAX: u32 = 10_000;

impl Week {
    /// Stands for the weeks that are not kept apart any more. Up to version 2 of the formats it had a set of its own, of the
    /// users of every week that found no room.
    pub const OTHER: Self = Self(0);
    /// After every week that there is.
    pub const MAX: Self = Self(u32::MAX);

    /// The week of a point in time.
    #[must_use]
    pub fn of(time: DateTime<Utc>) -> Self {
        let week = time.iso_week();
        Self(u32::try_from(week.year() + 1).unwrap_or(0) * WEEKS + week.week())
    }

    /// The week of a Unix time in seconds; `None` for one that no calendar has.
    #[must_use]
    pub fn of_unix_s(seconds: i64) -> Option<Self> {
        DateTime::from_timestamp(seconds, 0).map(Self::of)
    }

    /// The ISO year.
    #[must_use]
    pub const fn year(self) -> i32 {
        (self.0 / WEEKS) as i32 - 1
    }

    /// The number of the week in its year, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 % WEEKS
    }

    /// What the fingerprints of this week's set are derived with, beside the tag of the event.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Whether a number is that of a week of the calendar.
    #[must_use]
    pub fn is_index(number: u32) -> bool {
        let week = Self(number);
        week.year() < YEAR_MAX as i32 && NaiveDate::from_isoywd_opt(week.year(), week.number(), Weekday::Mon).is_some()
    }

    /// Appends the stored number, LEB128.
    pub fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.0));
    }

    /// Reads a stored number.
    ///
    /// # Errors
    /// [`Corrupt`] when it is cut short or that of no week.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let week = Self(reader.varint_below(u64::from((YEAR_MAX + 2) * WEEKS))? as u32);
        let is_week = (1..=WEEK_NUMBER_MAX).contains(&week.number());
        if is_week || week == Self::OTHER { Ok(week) } else { Err(Corrupt::new(Defect::Range)) }
    }
}

impl From<Week> for u32 {
    /// The stored number.
    fn from(week: Week) -> Self {
        week.0
    }
}

impl From<u32> for Week {
    /// The week of a stored number.
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Week {
    /// Year and week number, without padding; `other` for [`Week::OTHER`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::OTHER { f.write_str("other") } else { write!(f, "{}{}", self.year(), self.number()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn week(text: &str) -> String {
        Week::of(DateTime::parse_from_rfc3339(text).unwrap().to_utc()).to_string()
    }

    #[test]
    fn weeks_are_those_of_iso_8601_in_utc() {
        assert_eq!(week("2022-02-16T00:00:00Z"), "20227");
        assert_eq!(week("2021-01-03T23:59:59Z"), "202053");
        assert_eq!(week("2021-01-03T23:00:00-05:00"), "20211");
        assert_eq!(week("2024-12-30T00:00:00Z"), "20251");
        assert_eq!(week("0000-01-01T00:00:00Z"), "-152");
        assert_eq!(week("9999-12-31T23:59:59Z"), "999952");
    }
}
