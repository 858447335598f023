//! Days.

use std::fmt::{self, Write};

use chrono::{DateTime, Datelike, NaiveDate};

use super::week::Week;
use crate::core::settings::limits::WEEKS_AHEAD_S;

/// A day in UTC, of the years 0 to 9999. Stored as the days since 1 January of year 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

const DAY_MS: f64 = 86_400_000.0;
const DAY_S: i64 = 86_400;
const DAYS_BEFORE_1970: i64 = 719_528;
const DAYS: u32 = 3_652_425;
/// Days from 1 January of year 0 to the one before 1 January of year 1, from which `chrono` counts.
const DAYS_OF_YEAR_0: i32 = 365;

impl Day {
    /// The last day.
    pub const MAX: Self = Self(DAYS - 1);

    /// The day of a Unix time in seconds; the nearest one outside the years 0 to 9999.
    #[must_use]
    pub fn of_unix_s(seconds: i64) -> Self {
        let number = seconds.div_euclid(DAY_S) + DAYS_BEFORE_1970;
        Self(u32::try_from(number.max(0)).unwrap_or(u32::MAX).min(Self::MAX.0))
    }

    /// The day of a Unix time in milliseconds; `None` outside the years 0 to 9999.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::periods::day::Day;
    /// assert_eq!(Day::of_unix_ms(1_795_500_000_000.0).unwrap().to_string(), "2026-11-24T00:00:00Z");
    /// assert_eq!(Day::of_unix_ms(f64::NAN), None);
    /// ```
    #[must_use]
    // In range, so not negative.
    #[allow(clippy::cast_sign_loss)]
    pub fn of_unix_ms(ms: f64) -> Option<Self> {
        let day = (ms / DAY_MS).floor() + DAYS_BEFORE_1970 as f64;
        if (0.0..f64::from(DAYS)).contains(&day) { Self::of_number(day as u64) } else { None }
    }

    /// The day of its stored number.
    #[must_use]
    pub fn of_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().filter(|&number| number < DAYS).map(Self)
    }

    /// The stored number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Its first second.
    #[must_use]
    pub const fn unix_s(self) -> i64 {
        (self.0 as i64 - DAYS_BEFORE_1970) * DAY_S
    }

    /// The day so many days later, or earlier; the nearest one outside the years 0 to 9999.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        let number = i64::from(self.0).saturating_add(days).max(0);
        Self(u32::try_from(number).unwrap_or(u32::MAX).min(Self::MAX.0))
    }

    /// Reads a day as RFC 3339 has its date, as in `2026-11-28`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let has_form = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let mut parts = text.splitn(3, '-').map(|part| part.parse().unwrap_or(0)).filter(|_| has_form);
        let [year, month, day]: [u32; 3] = [parts.next()?, parts.next()?, parts.next()?];
        NaiveDate::from_ymd_opt(year.cast_signed(), month, day).map(|date| Self::of_date(Some(date)))
    }

    /// Its text, as in `2026-11-28`.
    #[must_use]
    pub fn date_text(self) -> String {
        let mut text = self.to_string();
        // What is behind it is the first second of the day.
        text.truncate("2026-11-28".len());
        text
    }

    /// The day of the calendar.
    #[must_use]
    pub fn date(self) -> NaiveDate {
        NaiveDate::from_num_days_from_ce_opt(self.0.cast_signed() - DAYS_OF_YEAR_0).unwrap_or_default()
    }

    /// The day of a date; the nearest one outside the years 0 to 9999, and the last one for none.
    #[must_use]
    pub fn of_date(date: Option<NaiveDate>) -> Self {
        let number = date.map_or(i32::MAX, |date| date.num_days_from_ce().saturating_add(DAYS_OF_YEAR_0));
        Self(0).plus(number.into())
    }

    /// The ISO week of the day.
    #[must_use]
    pub fn week(self) -> Week {
        // `OTHER` only for a day that no calendar has; there is none in range.
        Week::of_unix_s(self.unix_s()).unwrap_or(Week::OTHER)
    }
}

impl Day {
    /// The latest week in which an event counts on this day: the next one.
    #[must_use]
    pub fn latest_week(self) -> Week {
        Week::of_unix_s(self.unix_s() + WEEKS_AHEAD_S).unwrap_or(Week::MAX)
    }
}

impl fmt::Display for Day {
    /// Its first second as RFC 3339 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = DateTime::from_timestamp(self.unix_s(), 0).unwrap_or_default();
        let parts = [(day.year().unsigned_abs(), 4, '-'), (day.month(), 2, '-'), (day.day(), 2, 'T')];
        for (number, digits, then) in parts {
            for place in (0..digits).rev() {
                f.write_char(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8))?;
            }
            f.write_char(then)?;
        }
        f.write_str("00:00:00Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_utc_in_four_digit_years() {
        let day = |s: i64| Day::of_unix_ms(s as f64 * 1_000.0).map(|day| day.to_string());
        let time = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp();
        for (text, midnight) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T00:00:00Z"),
            ("2024-02-29T12:34:56Z", "2024-02-29T00:00:00Z"),
            ("2021-01-03T23:00:00-05:00", "2021-01-04T00:00:00Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T00:00:00Z"),
        ] {
            assert_eq!(day(time(text)).as_deref(), Some(midnight), "{text}");
            let found = Day::of_unix_ms(time(text) as f64 * 1_000.0).unwrap();
            assert_eq!(found.week(), Week::of(DateTime::parse_from_rfc3339(text).unwrap().to_utc()), "{text}");
            assert_eq!(Day::of_number(found.number().into()), Some(found));
        }
        assert_eq!(day(time("0000-01-01T00:00:00Z") - 1), None);
        assert_eq!(day(time("9999-12-31T23:59:59Z") + 1), None);
        for ms in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 8.64e15] {
            assert_eq!(Day::of_unix_ms(ms), None);
        }
    }

    #[test]
    fn the_latest_week_is_the_next_one() {
        let latest = |text: &str| {
            Day::of_unix_s(DateTime::parse_from_rfc3339(text).unwrap().timestamp()).latest_week().to_string()
        };
        assert_eq!(latest("2026-11-26T12:00:00Z"), "202649");
        assert_eq!(latest("2026-11-29T23:59:59Z"), "202649");
        assert_eq!(latest("2026-11-30T00:00:00Z"), "202650");
        assert_eq!(latest("2020-12-21T00:00:00Z"), "202053");
        assert_eq!(latest("2020-12-28T00:00:00Z"), "20211");
        assert_eq!(Day::MAX.latest_week().to_string(), "100001");
    }
}
