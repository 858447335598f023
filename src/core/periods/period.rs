//! Periods of series: days, ISO weeks and months of the calendar, in UTC.

use std::fmt;

use chrono::{Datelike, NaiveDate, Weekday};

use super::day::Day;
use super::week::Week;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect};

/// What a series counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// A day.
    Day,
    /// An ISO 8601 week, from Monday.
    Week,
    /// A month of the calendar.
    Month,
}

impl Unit {
    /// All of them, from the shortest.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in requests and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The unit of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }
}

/// The units that an event has series of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Units {
    day: bool,
    week: bool,
    month: bool,
}

impl Units {
    /// None.
    pub const NONE: Self = Self::of_bits(0);
    /// Days and weeks: what an event has unless told otherwise.
    pub const OF_EVENTS: Self = Self { day: true, week: true, month: false };
    /// All: what anybody has.
    pub const ALL: Self = Self { day: true, week: true, month: true };

    /// Its bits: 1 days, 2 weeks, 4 months.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.day as u8 | (self.week as u8) << 1 | (self.month as u8) << 2
    }

    /// The units of these bits; those of no unit are left out.
    #[must_use]
    pub const fn of_bits(bits: u8) -> Self {
        Self { day: bits & 1 != 0, week: bits & 2 != 0, month: bits & 4 != 0 }
    }

    /// Whether a unit is among them.
    #[must_use]
    pub const fn has(self, unit: Unit) -> bool {
        match unit {
            Unit::Day => self.day,
            Unit::Week => self.week,
            Unit::Month => self.month,
        }
    }

    /// Them, from the shortest.
    pub fn iter(self) -> impl Iterator<Item = Unit> {
        Unit::ALL.into_iter().filter(move |&unit| self.has(unit))
    }
}

/// The units that an event has series of, from a day on, and those that it had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// What it has.
    pub units: Units,
    /// From which day on; `None` from the beginning.
    pub since: Option<Day>,
    /// What it had before.
    pub former: Units,
    /// From which day on it has had each unit without a gap; `None` from the beginning.
    pub begun: [Option<Day>; 3],
}

impl Kept {
    /// These from the beginning.
    #[must_use]
    pub const fn always(units: Units) -> Self {
        Self { units, since: None, former: Units::NONE, begun: [None; 3] }
    }

    /// Other units from the day after this one.
    #[must_use]
    pub fn changed(self, units: Units, today: Day) -> Self {
        let (former, tomorrow) = (self.on(today), today.plus(1));
        let is_new = |unit| units.has(unit) && !former.has(unit);
        let begun = Unit::ALL.map(|unit| if is_new(unit) { Some(tomorrow) } else { self.begun(unit) });
        Self { units, since: Some(tomorrow), former, begun }
    }

    /// What it has on a day.
    #[must_use]
    pub fn on(self, day: Day) -> Units {
        if self.since.is_none_or(|since| since <= day) { self.units } else { self.former }
    }

    /// Whether it is answered what it has of a unit: also what it has for the last day.
    #[must_use]
    pub fn shows(self, unit: Unit, today: Day) -> bool {
        self.units.has(unit) || self.on(today).has(unit)
    }

    /// From which day on it has had a unit without a gap; `None` from the beginning.
    #[must_use]
    pub fn begun(self, unit: Unit) -> Option<Day> {
        self.begun.get(unit.index()).copied().flatten()
    }
}

/// A day, week or month. Ascends by unit, then in time.
///
/// Stored as `unit · 2^22 + number`: of a day its stored number, of a week that of [`Week`], of a month `year · 12 + month - 1`.
///
/// # Example
/// ```
/// use kimball_edge::core::periods::{day::Day, period::{Period, Unit}};
/// let day = Day::of_unix_s(1_795_500_000);
/// let texts = Unit::ALL.map(|unit| Period::of(unit, day).to_string());
/// assert_eq!(texts, ["2026-11-24", "2026-W48", "2026-11"]);
/// assert_eq!(Period::of(Unit::Week, day).last_day().to_string(), "2026-11-29T00:00:00Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

const UNIT_SHIFT: u32 = 22;
const MONTHS: u32 = 12;
const YEARS: u32 = 10_000;
/// More than every stored number.
const CODES: u64 = 3 << UNIT_SHIFT;
const _: () = assert!(Day::MAX.number() < 1 << UNIT_SHIFT);

impl Period {
    /// Before every period.
    pub const MIN: Self = Self(0);
    /// After every period.
    pub const MAX: Self = Self(u32::MAX);

    /// The period that a day is in.
    #[must_use]
    pub fn of(unit: Unit, day: Day) -> Self {
        let number = match unit {
            Unit::Day => day.number(),
            Unit::Week => day.week().index(),
            Unit::Month => {
                let date = day.date();
                date.year().unsigned_abs() * MONTHS + date.month0()
            }
        };
        Self((unit as u32) << UNIT_SHIFT | number)
    }

    /// What it is one of.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self.0 >> UNIT_SHIFT {
            0 => Unit::Day,
            1 => Unit::Week,
            _ => Unit::Month,
        }
    }

    const fn number(self) -> u32 {
        self.0 & ((1 << UNIT_SHIFT) - 1)
    }

    /// The stored number, below 2^24.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.0
    }

    /// The period of a stored number.
    #[must_use]
    pub fn of_code(code: u32) -> Option<Self> {
        let period = Self(code);
        let is_one = u64::from(code) < CODES
            && match period.unit() {
                Unit::Day => Day::of_number(period.number().into()).is_some(),
                Unit::Week => Week::is_index(period.number()),
                Unit::Month => period.number() < YEARS * MONTHS,
            };
        is_one.then_some(period)
    }

    /// Its first day; for the week that began before year 0 the first of all days.
    #[must_use]
    pub fn first_day(self) -> Day {
        match self.unit() {
            Unit::Day => Day::of_number(self.number().into()).unwrap_or(Day::MAX),
            Unit::Week => {
                let week = Week::from(self.number());
                Day::of_date(NaiveDate::from_isoywd_opt(week.year(), week.number(), Weekday::Mon))
            }
            Unit::Month => {
                let (year, month0) = (self.number() / MONTHS, self.number() % MONTHS);
                Day::of_date(NaiveDate::from_ymd_opt(year.cast_signed(), month0 + 1, 1))
            }
        }
    }

    /// Its last day, at most [`Day::MAX`].
    #[must_use]
    pub fn last_day(self) -> Day {
        match self.unit() {
            Unit::Day => self.first_day(),
            Unit::Week => {
                let week = Week::from(self.number());
                Day::of_date(NaiveDate::from_isoywd_opt(week.year(), week.number(), Weekday::Sun))
            }
            Unit::Month => {
                let next = Self((Unit::Month as u32) << UNIT_SHIFT | (self.number() + 1));
                if next.number() == YEARS * MONTHS { Day::MAX } else { next.first_day().plus(-1) }
            }
        }
    }

    /// The period that is so many after this one; the last one there is where it would be later.
    #[must_use]
    pub fn after(self, periods: u32) -> Self {
        match self.unit() {
            Unit::Day => Self::of(Unit::Day, self.first_day().plus(periods.into())),
            Unit::Week => Self::of(Unit::Week, self.first_day().plus(7 * i64::from(periods))),
            Unit::Month => {
                let number = self.number().saturating_add(periods).min(YEARS * MONTHS - 1);
                Self((Unit::Month as u32) << UNIT_SHIFT | number)
            }
        }
    }

    /// Counts the periods of a unit without gaps.
    #[must_use]
    pub fn ordinal(self) -> u32 {
        match self.unit() {
            Unit::Day | Unit::Month => self.number(),
            // Every week begins on a Monday, so this is one more for each.
            Unit::Week => self.first_day().number() / 7,
        }
    }

    /// How many periods of the same unit this one is behind an earlier one; `None` where that is not earlier.
    #[must_use]
    pub fn behind(self, earlier: Self) -> Option<u32> {
        let periods = self.ordinal().checked_sub(earlier.ordinal())?;
        (periods > 0).then_some(periods)
    }

    /// The one of its unit that many before it; at the begin of the calendar the first.
    #[must_use]
    pub fn before(self, periods: usize) -> Self {
        let back = i64::try_from(periods).unwrap_or(i64::MAX / 7);
        match self.unit() {
            Unit::Day => Self::of(Unit::Day, self.first_day().plus(-back)),
            Unit::Week => Self::of(Unit::Week, self.first_day().plus(-7 * back)),
            Unit::Month => {
                let number = i64::from(self.number()).saturating_sub(back).max(0);
                Self((Unit::Month as u32) << UNIT_SHIFT | u32::try_from(number).unwrap_or(0))
            }
        }
    }

    /// Those of its unit from this one to the one that `last` is in, ascending.
    pub fn until(self, last: Day) -> impl Iterator<Item = Self> + Clone {
        let following = move |period: &Self| {
            let end = period.last_day();
            (end < last).then(|| Self::of(period.unit(), end.plus(1)))
        };
        std::iter::successors((self.first_day() <= last).then_some(self), following)
    }

    /// Appends the stored number, LEB128.
    pub fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.0));
    }

    /// Reads a stored number.
    ///
    /// # Errors
    /// [`Corrupt`] when it is cut short or that of no period.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let code = reader.varint_below(CODES)? as u32;
        Self::of_code(code).ok_or_else(|| Corrupt::new(Defect::Range))
    }
}

impl fmt::Display for Period {
    /// As in `2026-11-24`, `2026-W48` and `2026-11`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit() {
            Unit::Day => f.write_str(&self.first_day().date_text()),
            Unit::Week => {
                let week = Week::from(self.number());
                write!(f, "{:04}-W{:02}", week.year(), week.number())
            }
            Unit::Month => write!(f, "{:04}-{:02}", self.number() / MONTHS, self.number() % MONTHS + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day of four hundred years, which is a whole cycle of the calendar, and the ends of all time.
    #[test]
    fn periods_follow_each_other_without_gaps_and_hold_their_days() {
        let days = |from: u64, to: u64| (from..to).filter_map(Day::of_number);
        let last = u64::from(Day::MAX.number());
        for unit in Unit::ALL {
            for day in days(0, 800).chain(days(700_000, 846_200)).chain(days(last - 800, last + 1)) {
                let period = Period::of(unit, day);
                assert!((period.first_day()..=period.last_day()).contains(&day), "{period} of {day}");
                assert_eq!(Period::of(unit, period.first_day()), period);
                assert_eq!(Period::of(unit, period.last_day()), period);
                assert_eq!(Period::of_code(period.code()), Some(period));
                let next = Period::of(unit, day.plus(1));
                assert!(next == period || (next > period && period.last_day() == day), "{period} then {next}");
            }
        }
    }

    #[test]
    fn texts_and_ranges_are_those_of_the_calendar() {
        let day = |text: &str| Day::parse(text).unwrap();
        let list = |unit, from: &str, to: &str| -> Vec<String> {
            Period::of(unit, day(from)).until(day(to)).map(|period| period.to_string()).collect()
        };
        assert_eq!(list(Unit::Week, "2020-12-27", "2021-01-04"), ["2020-W52", "2020-W53", "2021-W01"]);
        assert_eq!(list(Unit::Month, "2026-11-30", "2027-01-01"), ["2026-11", "2026-12", "2027-01"]);
        assert_eq!(list(Unit::Day, "2024-02-28", "2024-03-01"), ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert_eq!(list(Unit::Day, "2024-03-01", "2024-02-28"), [""; 0]);
        assert_eq!(list(Unit::Month, "9999-12-31", "9999-12-31"), ["9999-12"]);
        for wrong in ["2026-02-29", "2026-2-01", "2026-02-1", "20260201", "2026-W01", "", "+026-01-01", "2026-01-01 "] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_other_number_is_a_period() {
        let weeks = (0..1 << UNIT_SHIFT).filter(|number| Period::of_code(1 << UNIT_SHIFT | number).is_some()).count();
        // Of the years 0 to 9999 there are 521,775 weeks, and up to a year before and behind them are known.
        assert!((521_775..522_000).contains(&weeks), "{weeks}");
        for code in [3_652_425, 1 << UNIT_SHIFT, (2 << UNIT_SHIFT) + 120_000, 3 << UNIT_SHIFT, u32::MAX] {
            assert_eq!(Period::of_code(code), None, "{code}");
        }
        for units in 0..=255 {
            let found = Units::of_bits(units);
            assert_eq!(found.iter().map(|unit| 1 << unit.index()).sum::<u8>(), found.bits());
        }
    }
}
