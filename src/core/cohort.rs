//! Weekly cohorts: for every ISO week, the users who did an event in it.

use std::fmt;

use chrono::{DateTime, Datelike, Utc};
use litemap::LiteMap;

use super::bytes::{Reader, put_varint};
use super::error::Corrupt;
use super::user_set::{Full, UserSet};

/// An ISO 8601 week in UTC, or [`Week::OTHER`].
///
/// Stored as `(year + 1) * 64 + week`: RFC 3339 has the years 0 to 9999, and the first of January of year 0 belongs to
/// the last week of the year before.
///
/// # Example
/// ```
/// use kimball_edge::core::cohort::Week;
/// let week = Week::of_unix_s(1_645_000_000).unwrap();
/// assert_eq!((week.year(), week.number(), week.to_string()), (2022, 7, "20227".to_owned()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Week(u32);

const WEEKS: u32 = 64;
const WEEK_NUMBER_MAX: u32 = 53;
const YEAR_MAX: u32 = 10_000;

impl Week {
    /// Stands for every week that found no room of its own.
    pub const OTHER: Self = Self(0);

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

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let week = Self(reader.varint_below(u64::from((YEAR_MAX + 2) * WEEKS))? as u32);
        let is_week = (1..=WEEK_NUMBER_MAX).contains(&week.number());
        if is_week || week == Self::OTHER { Ok(week) } else { Err(Corrupt::Value) }
    }
}

impl fmt::Display for Week {
    /// Year and week number, without padding; `other` for [`Week::OTHER`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::OTHER { f.write_str("other") } else { write!(f, "{}{}", self.year(), self.number()) }
    }
}

/// The weekly user sets of one event. Their number is bounded by what [`Self::place`] lets in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cohorts {
    weeks: LiteMap<Week, UserSet>,
}

/// What one entry costs beside its set, in a list that may have twice the room that it needs.
const ENTRY_BYTES: usize = 2 * size_of::<(Week, UserSet)>() - size_of::<UserSet>();

impl Cohorts {
    /// Bytes that the cohorts take in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.weeks.values().map(|users| ENTRY_BYTES + users.memory_bytes()).sum::<usize>()
    }

    /// Where a user of a week counts, if at most `weeks_max` weeks are kept apart.
    #[must_use]
    pub fn place(&self, week: Week, weeks_max: u64) -> Week {
        let kept = self.weeks.len() - usize::from(self.weeks.contains_key(&Week::OTHER));
        if (kept as u64) < weeks_max || self.weeks.contains_key(&week) { week } else { Week::OTHER }
    }

    /// The users of a week.
    #[must_use]
    pub fn users(&self, week: Week) -> Option<&UserSet> {
        self.weeks.get(&week)
    }

    /// Users per week, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Week, &UserSet)> {
        self.weeks.iter().map(|(&week, users)| (week, users))
    }

    /// Adds a fingerprint to a week, whose set is made with `fingerprint_bits` where there is none. Answers by how many
    /// bytes that grew the cohorts, at most `growth_bytes`.
    ///
    /// # Errors
    /// [`Full`] when there is no room; the cohorts are unchanged.
    pub fn insert(
        &mut self,
        week: Week,
        fingerprint: u64,
        fingerprint_bits: u8,
        growth_bytes: usize,
    ) -> Result<usize, Full> {
        if let Some(users) = self.weeks.get_mut(&week) {
            let before = users.memory_bytes();
            users.insert(fingerprint, growth_bytes)?;
            return Ok(users.memory_bytes() - before);
        }
        let mut users = UserSet::with_fingerprint_bits(fingerprint_bits).ok_or(Full::Capacity)?;
        let entry = ENTRY_BYTES + users.memory_bytes();
        users.insert(fingerprint, growth_bytes.checked_sub(entry).ok_or(Full::Memory)?)?;
        let grown = ENTRY_BYTES + users.memory_bytes();
        self.weeks.insert(week, users);
        Ok(grown)
    }

    /// Adds everything that `other` holds.
    ///
    /// # Errors
    /// [`Full`] when a week has no room for it, `self` then holding a part of it.
    pub fn merge(&mut self, other: &Self) -> Result<(), Full> {
        for (&week, theirs) in &other.weeks {
            match self.weeks.get_mut(&week) {
                Some(users) => users.merge(theirs)?,
                None => {
                    self.weeks.insert(week, theirs.clone());
                }
            }
        }
        Ok(())
    }

    /// Takes a fingerprint out of a week. The memory is given back by [`Self::shrink`].
    pub fn remove(&mut self, week: Week, fingerprint: u64) {
        if let Some(users) = self.weeks.get_mut(&week) {
            users.remove(fingerprint);
        }
    }

    /// Gives back what removals left unused: weeks without users are gone.
    pub fn shrink(&mut self) {
        self.weeks.retain(|_, users| !users.is_empty());
        self.weeks.iter_mut().for_each(|(_, users)| users.shrink());
    }

    /// Appends the encoding: number of weeks, each with its stored number and its user set. Integers LEB128, ascending.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.weeks.len() as u64);
        for (week, users) in self.iter() {
            put_week(out, week);
            users.encode(out);
        }
    }

    /// Reads encoded cohorts, of fingerprints of so many bits.
    ///
    /// # Errors
    /// [`Corrupt`] when they are cut short, out of order or out of range.
    pub fn decode(reader: &mut Reader<'_>, fingerprint_bits: u8) -> Result<Self, Corrupt> {
        let mut cohorts = Self::default();
        for _ in 0..reader.varint()? {
            let week = Week::decode(reader)?;
            let users = UserSet::decode(reader, fingerprint_bits)?;
            let ascends = cohorts.weeks.last().is_none_or(|(last, _)| *last < week);
            if !ascends || users.is_empty() {
                return Err(Corrupt::Value);
            }
            cohorts.weeks.insert(week, users);
        }
        if cohorts.weeks.is_empty() { Err(Corrupt::Value) } else { Ok(cohorts) }
    }
}

/// Appends a week's stored number.
pub(super) fn put_week(out: &mut Vec<u8>, week: Week) {
    put_varint(out, u64::from(week.0));
}

/// Reads a week's stored number.
pub(super) fn get_week(reader: &mut Reader<'_>) -> Result<Week, Corrupt> {
    Week::decode(reader)
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

    #[test]
    fn further_weeks_share_one_bucket() {
        let mut cohorts = Cohorts::default();
        let weeks: Vec<Week> = (1..=4).map(|n| Week(2_000 * WEEKS + n)).collect();
        for (n, &week) in weeks.iter().enumerate() {
            let place = cohorts.place(week, 2);
            assert_eq!(place, if n < 2 { week } else { Week::OTHER });
            cohorts.insert(place, u64::MAX / 7 * (n as u64 + 1), 36, usize::MAX).unwrap();
        }
        assert_eq!(cohorts.place(weeks[0], 2), weeks[0]);
        assert_eq!(cohorts.users(Week::OTHER).unwrap().len(), 2);
    }

    #[test]
    fn growth_is_what_the_memory_grows_by() {
        let mut cohorts = Cohorts::default();
        for n in 0..500_u64 {
            let before = cohorts.memory_bytes();
            let grown = cohorts.insert(Week(2_000 * WEEKS + 1 + (n % 3) as u32), n << 40, 36, usize::MAX).unwrap();
            assert_eq!(cohorts.memory_bytes(), before + grown);
        }
        assert_eq!(cohorts.insert(Week::OTHER, 1, 36, 100), Err(Full::Memory));
        assert_eq!(cohorts.users(Week::OTHER), None);
        let mut bytes = Vec::new();
        cohorts.encode(&mut bytes);
        assert_eq!(Cohorts::decode(&mut Reader::new(&bytes), 36), Ok(cohorts));
    }
}
