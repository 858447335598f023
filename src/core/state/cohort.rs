//! Weekly cohorts: for every ISO week, the users who did an event in it.
//!
//! Promises:
//! - a week is kept apart until at least as many later ones are as may be kept at all, whatever else is sent: weeks later
//!   than [`Day::latest_week`](crate::core::periods::day::Day::latest_week) are not taken, so the weeks that somebody may invent close each other and never recent ones;
//! - what is kept does not depend on the order of events as long as no week closes. A week that has closed takes nobody any
//!   more, so whoever would have counted in it later is missing from the number.

use litemap::LiteMap;

use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::week::Week;
use crate::core::sets::user_set::{Full, UserSet};
use crate::core::settings::limits::CLOSED_USERS_MAX;

/// The weekly user sets of one event, and how many users there were in those that have closed. The number of sets is
/// bounded by what [`Self::due`] has closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cohorts {
    weeks: LiteMap<Week, UserSet>,
    closed: Option<Closed>,
}

/// What is left of the weeks that have closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The latest of them: nobody is counted any more in it or an earlier one.
    pub week: Week,
    /// The sum of their numbers of users. Who was in two of them counts twice.
    pub users: u64,
}

impl Closed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let week = Week::decode(reader).within("week number")?;
        Ok(Self { week, users: reader.varint_below(CLOSED_USERS_MAX).within("users")? })
    }
}

/// A page keeps every week that it has room for: it does not fetch the code that closes them.
pub(super) const CLOSES: bool = cfg!(not(feature = "browser"));

/// What one entry costs beside its set, in a list that may have twice the room that it needs.
const ENTRY_BYTES: usize = 2 * size_of::<(Week, UserSet)>() - size_of::<UserSet>();

impl Cohorts {
    /// Bytes that the cohorts take in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.weeks.values().map(|users| ENTRY_BYTES + users.memory_bytes()).sum::<usize>()
    }

    /// Whether a week has closed.
    #[must_use]
    pub fn has_closed(&self, week: Week) -> bool {
        self.closed().is_some_and(|closed| week <= closed.week)
    }

    /// Whether nothing was ever counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.weeks.is_empty() && self.closed().is_none()
    }

    /// What has to close where somebody counts in `week` and at most `weeks_max` may have one: up to which week before it, and then
    /// itself, where it is among the oldest. Nothing where it has a set, or there is room for one.
    #[must_use]
    pub fn due(&self, week: Week, weeks_max: u64) -> (Option<Week>, Option<Week>) {
        if !CLOSES || self.weeks.contains_key(&week) {
            return (None, None);
        }
        let room = usize::try_from(weeks_max).unwrap_or(usize::MAX);
        let excess = (self.weeks.len() + 1).saturating_sub(room);
        let oldest = || self.weeks.keys().take(excess).copied().take_while(|&kept| kept < week);
        (oldest().last(), (oldest().count() < excess).then_some(week))
    }

    /// Closes a week and all before it: their sets go, and their numbers remain. Answers what [`Self::reopen`] takes it
    /// back with.
    pub fn close(&mut self, week: Week) -> Reopening {
        let closed = self.closed;
        let mut sets = Vec::new();
        if !self.has_closed(week) {
            sets = std::mem::take(&mut self.weeks).into_tuple_vec();
            let later = sets.split_off(sets.partition_point(|&(kept, _)| kept <= week));
            self.weeks = LiteMap::from_sorted_store_unchecked(later);
            let users = sets.iter().map(|(_, users)| users.len()).sum::<u64>();
            self.closed = Some(Closed { week, users: closed.map_or(0, |closed| closed.users) + users });
        }
        Reopening { sets, closed }
    }

    /// Takes a closing back.
    pub fn reopen(&mut self, reopening: Reopening) {
        self.closed = reopening.closed;
        let mut weeks = reopening.sets;
        weeks.append(&mut std::mem::take(&mut self.weeks).into_tuple_vec());
        self.weeks = LiteMap::from_sorted_store_unchecked(weeks);
    }

    /// The users of a week.
    #[must_use]
    pub fn users(&self, week: Week) -> Option<&UserSet> {
        self.weeks.get(&week)
    }

    /// Users per week, ascending: those of all weeks that are not kept apart any more first, as [`Week::OTHER`].
    pub fn counts(&self) -> impl Iterator<Item = (Week, u64)> {
        let before = self.users(Week::OTHER).map_or(0, UserSet::len);
        let other = if CLOSES { self.closed.map_or(0, |closed| closed.users) + before } else { 0 };
        let kept = self.weeks.iter().filter(|(week, _)| !CLOSES || **week != Week::OTHER);
        (other > 0).then_some((Week::OTHER, other)).into_iter().chain(kept.map(|(&week, users)| (week, users.len())))
    }

    /// What is left of the weeks that have closed, if any has.
    #[must_use]
    pub const fn closed(&self) -> Option<Closed> {
        if CLOSES { self.closed } else { None }
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

    /// Adds everything that `other` holds. What has closed in either has closed in both, and the numbers of closed weeks add
    /// up: who was in the same one of both counts twice.
    ///
    /// # Errors
    /// [`Full`] when a week has no room for it, `self` then holding a part of it.
    pub fn merge(&mut self, other: &Self) -> Result<(), Full> {
        if let Some(theirs) = other.closed() {
            self.close(theirs.week);
            self.add_closed(theirs.users);
        }
        for (&week, theirs) in &other.weeks {
            if self.has_closed(week) {
                self.add_closed(theirs.len());
                continue;
            }
            match self.weeks.get_mut(&week) {
                Some(users) => users.merge(theirs)?,
                None => {
                    self.weeks.insert(week, theirs.clone());
                }
            }
        }
        Ok(())
    }

    fn add_closed(&mut self, users: u64) {
        if let Some(closed) = &mut self.closed {
            closed.users += users;
        }
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

    /// Appends the encoding: number of weeks, each with its stored number and its user set; then, since version 3 and only
    /// where a week has closed, the stored number of the latest one and the number of users. Integers LEB128, ascending.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.weeks.len() as u64);
        for (&week, users) in &self.weeks {
            week.encode(out);
            users.encode(out);
        }
        if let Some(closed) = self.closed() {
            closed.week.encode(out);
            put_varint(out, closed.users);
        }
    }

    /// Reads encoded cohorts, of fingerprints of so many bits; `have_closed` says whether a week has closed.
    ///
    /// # Errors
    /// [`Corrupt`] when they are cut short, out of order or out of range.
    pub fn decode(reader: &mut Reader<'_>, fingerprint_bits: u8, have_closed: bool) -> Result<Self, Corrupt> {
        let mut cohorts = Self::default();
        let len = reader.varint().within("number of weeks").within("cohorts")?;
        for nth in 0..len {
            cohorts.decode_week(reader, fingerprint_bits).within_nth("week", nth).within("cohorts")?;
        }
        if have_closed && CLOSES {
            cohorts.closed = Some(Closed::decode(reader).within("closed weeks").within("cohorts")?);
        }
        let is_open = cohorts.weeks.keys().all(|&week| !cohorts.has_closed(week));
        if cohorts.is_empty() || !is_open { Err(Corrupt::new(Defect::Range).within("cohorts")) } else { Ok(cohorts) }
    }

    /// Reads one week, which must come behind those that are there.
    fn decode_week(&mut self, reader: &mut Reader<'_>, fingerprint_bits: u8) -> Result<(), Corrupt> {
        let week = Week::decode(reader).within("week number")?;
        let users = UserSet::decode(reader, fingerprint_bits)?;
        if self.weeks.last().is_some_and(|(last, _)| *last >= week) {
            return Err(Corrupt::new(Defect::Order).within("week number"));
        }
        if users.is_empty() {
            return Err(Corrupt::new(Defect::Range).within("user set"));
        }
        self.weeks.insert(week, users);
        Ok(())
    }
}

/// What a closing has taken out of [`Cohorts`].
#[derive(Debug, Default)]
pub struct Reopening {
    sets: Vec<(Week, UserSet)>,
    closed: Option<Closed>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nth(n: u32) -> Week {
        Week::of_unix_s(1_600_000_000 + 7 * 86_400 * i64::from(n)).unwrap()
    }

    fn with_weeks(weeks: &[u32]) -> Cohorts {
        let mut cohorts = Cohorts::default();
        for &n in weeks {
            cohorts.insert(nth(n), u64::from(n) << 40, 36, usize::MAX).unwrap();
        }
        cohorts
    }

    #[test]
    fn the_oldest_weeks_are_due() {
        let cohorts = with_weeks(&[3, 5, 7]);
        for (week, weeks_max, due) in [
            (9, 4, (None, None)),
            (9, 3, (Some(3), None)),
            (4, 3, (Some(3), None)),
            (1, 3, (None, Some(1))),
            (9, 1, (Some(7), None)),
            (6, 1, (Some(5), Some(6))),
            (9, 2, (Some(5), None)),
            (1, 1, (None, Some(1))),
        ] {
            let due = (due.0.map(nth), due.1.map(nth));
            assert_eq!(cohorts.due(nth(week), weeks_max), due, "week {week} where {weeks_max} may be kept");
        }
    }

    #[test]
    fn a_closing_leaves_the_number_and_can_be_taken_back() {
        let mut cohorts = with_weeks(&[3, 5, 7]);
        let (before, bytes) = (cohorts.clone(), cohorts.memory_bytes());
        let reopening = cohorts.close(nth(5));
        assert_eq!(cohorts.counts().collect::<Vec<_>>(), [(Week::OTHER, 2), (nth(7), 1)]);
        assert!(cohorts.has_closed(nth(4)) && !cohorts.has_closed(nth(6)));
        assert!(cohorts.memory_bytes() < bytes);
        let closed = cohorts.clone();
        cohorts.close(nth(4));
        assert_eq!(cohorts, closed);
        cohorts.reopen(reopening);
        assert_eq!((&cohorts, cohorts.memory_bytes()), (&before, bytes));
    }

    #[test]
    fn what_has_closed_in_one_has_closed_in_the_merged() {
        let (mut mine, mut theirs) = (with_weeks(&[3, 5, 7]), with_weeks(&[4, 5, 8]));
        theirs.close(nth(5));
        let (mut forward, mut backward) = (mine.clone(), theirs.clone());
        forward.merge(&theirs).unwrap();
        backward.merge(&mine).unwrap();
        assert_eq!(forward, backward);
        assert_eq!(forward.counts().collect::<Vec<_>>(), [(Week::OTHER, 4), (nth(7), 1), (nth(8), 1)]);
        mine.close(nth(7));
        forward.merge(&mine).unwrap();
        assert_eq!(forward.counts().collect::<Vec<_>>(), [(Week::OTHER, 8), (nth(8), 1)]);
    }

    #[test]
    fn growth_is_what_the_memory_grows_by() {
        let mut cohorts = Cohorts::default();
        for n in 0..500_u64 {
            let before = cohorts.memory_bytes();
            let grown = cohorts.insert(nth(1 + (n % 3) as u32), n << 40, 36, usize::MAX).unwrap();
            assert_eq!(cohorts.memory_bytes(), before + grown);
        }
        assert_eq!(cohorts.insert(Week::OTHER, 1, 36, 100), Err(Full::Memory));
        assert_eq!(cohorts.users(Week::OTHER), None);
        for closed in [None, Some(nth(2)), Some(nth(9))] {
            if let Some(week) = closed {
                cohorts.close(week);
            }
            let mut bytes = Vec::new();
            cohorts.encode(&mut bytes);
            let decode = |bytes: &[u8], have_closed| Cohorts::decode(&mut Reader::new(bytes), 36, have_closed);
            assert_eq!(decode(&bytes, closed.is_some()).as_ref(), Ok(&cohorts));
        }
        let mut bytes = Vec::new();
        with_weeks(&[3]).encode(&mut bytes);
        nth(3).encode(&mut bytes);
        put_varint(&mut bytes, 0);
        let decoded = Cohorts::decode(&mut Reader::new(&bytes), 36, true);
        assert_eq!(decoded, Err(Corrupt::new(Defect::Range).within("cohorts")), "a set of a week that has closed");
    }
}
