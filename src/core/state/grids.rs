//! Retention grids: the numbers of every cohort, beside the sets of who is in it as long as that can change.
//!
//! A user of an open cohort is in one set of it ([`super::set_key::SetKey::Cohort`]): that of the period in which they were seen last.
//! One who returns moves. So the sets of a cohort together are the cohort, and of how many periods ago a user was seen is a number of
//! users. Who did the returning event in an open period is in a set too, so that either of both may come first.
//!
//! A cohort *closes* once the last period that it is looked at in has, and goes *over* where there is no room for one of its sets: its
//! sets go, its numbers remain. A period of returns that goes over counts no more of them.

use std::collections::BTreeSet;

use super::fingerprint::{put_fingerprint, read_short};
use super::set_key::read_definition;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::periods::period::{Period, Unit};
use crate::core::settings::limits::{RETENTION_PERIODS, SERIES_POINTS};

/// A change of a grid, as it is journalled. It counts only if the user is new in what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridChange {
    /// A user comes into a cohort.
    Join {
        /// The period of the cohort.
        cohort: Period,
        /// The user in its sets.
        fingerprint: u64,
        /// In which of the periods behind they have returned already: bit 0 for the next.
        returned: u32,
    },
    /// A user returns in a period.
    Return {
        /// The period.
        period: Period,
        /// The user in its set.
        fingerprint: u64,
        /// The cohort that they are of, if it is one that is open.
        of: Option<Member>,
    },
}

/// A user of a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// How many periods before the return their cohort is.
    pub behind: u8,
    /// How many periods behind their cohort they were seen last before; no less than `behind` where they are seen later already.
    pub seen: u8,
    /// The user in the sets of the cohort.
    pub fingerprint: u64,
}

const JOINS: u8 = 0;
const RETURNS: u8 = 1;
const RETURNS_OF_COHORT: u8 = 2;

impl GridChange {
    /// Appends the encoding ([`super::effect`] has the form).
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Join { cohort, fingerprint, returned } => {
                out.push(JOINS);
                cohort.encode(out);
                put_fingerprint(out, fingerprint, true);
                put_varint(out, u64::from(returned));
            }
            Self::Return { period, fingerprint, of } => {
                out.push(if of.is_some() { RETURNS_OF_COHORT } else { RETURNS });
                period.encode(out);
                put_fingerprint(out, fingerprint, true);
                if let Some(Member { behind, seen, fingerprint }) = of {
                    out.extend_from_slice(&[behind, seen]);
                    put_fingerprint(out, fingerprint, true);
                }
            }
        }
    }

    /// Reads an encoding.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let kind = reader.u8().within("kind")?;
        let period = Period::decode(reader).within("period")?;
        let fingerprint = read_short(reader)?;
        match kind {
            JOINS => {
                let returned = reader.varint_below(1 << RETENTION_PERIODS).within("returns")? as u32;
                Ok(Self::Join { cohort: period, fingerprint, returned })
            }
            RETURNS => Ok(Self::Return { period, fingerprint, of: None }),
            RETURNS_OF_COHORT => {
                let (behind, seen) = (reader.u8().within("periods")?, reader.u8().within("periods")?);
                if !(1..=RETENTION_PERIODS).contains(&behind) || seen > RETENTION_PERIODS {
                    return Err(Corrupt::new(Defect::Range).within("periods"));
                }
                let of = Some(Member { behind, seen, fingerprint: read_short(reader)? });
                Ok(Self::Return { period, fingerprint, of })
            }
            _ => Err(Corrupt::new(Defect::Unknown).within("kind")),
        }
    }
}

/// The numbers of a cohort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cohort {
    /// Users by how many periods behind the cohort they were seen last, from 0.
    pub seen: Box<[u32]>,
    /// Users who returned in each of the periods behind it.
    pub returned: Box<[u32]>,
    /// Whether it counts no more, because there was no room.
    pub is_over: bool,
}

impl Cohort {
    fn new(periods: u8) -> Self {
        let zeros = |len: usize| vec![0; len].into_boxed_slice();
        Self { seen: zeros(usize::from(periods) + 1), returned: zeros(periods.into()), is_over: false }
    }

    const fn bytes(periods: u8) -> usize {
        2 * size_of::<(Period, Self)>() + (2 * periods as usize + 1) * size_of::<u32>() + 2 * 16
    }
}

/// The numbers of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    periods: u8,
    /// Ascending.
    cohorts: Vec<(Period, Cohort)>,
    /// Periods of returns that have gone over, ascending.
    over: Vec<Period>,
}

/// What a period of returns that is over takes.
const OVER_BYTES: usize = 2 * size_of::<Period>();

impl Grid {
    const fn new(periods: u8) -> Self {
        Self { periods, cohorts: Vec::new(), over: Vec::new() }
    }

    /// Its cohorts, ascending.
    #[must_use]
    pub fn cohorts(&self) -> &[(Period, Cohort)] {
        &self.cohorts
    }

    /// The periods of returns that have gone over, ascending.
    #[must_use]
    pub fn over(&self) -> &[Period] {
        &self.over
    }

    /// A cohort, if it has numbers.
    #[must_use]
    pub fn cohort(&self, cohort: Period) -> Option<&Cohort> {
        let at = self.find(cohort).ok()?;
        self.cohorts.get(at).map(|(_, cohort)| cohort)
    }

    fn find(&self, cohort: Period) -> Result<usize, usize> {
        self.cohorts.binary_search_by_key(&cohort, |(period, _)| *period)
    }

    fn cohort_mut(&mut self, cohort: Period) -> Option<&mut Cohort> {
        let at = self.find(cohort).unwrap_or_else(|at| {
            self.cohorts.insert(at, (cohort, Cohort::new(self.periods)));
            at
        });
        self.cohorts.get_mut(at).map(|(_, cohort)| cohort)
    }

    const fn bytes(&self) -> usize {
        size_of::<(u32, Self)>() + self.cohorts.len() * Cohort::bytes(self.periods) + self.over.len() * OVER_BYTES
    }

    /// Drops the cohorts that are older than those kept.
    fn trim(&mut self, last: Day) -> bool {
        let unit = self.cohorts.first().map_or(Unit::Day, |(period, _)| period.unit());
        let kept = SERIES_POINTS.get(unit.index()).copied().unwrap_or(1);
        let oldest = Period::of(unit, last).before(kept);
        let before = self.cohorts.len() + self.over.len();
        self.cohorts.retain(|(period, _)| *period >= oldest);
        self.over.retain(|period| *period >= oldest);
        self.cohorts.len() + self.over.len() < before
    }
}

/// The grids of a shard, by the number of their definition.
#[derive(Debug, Clone, Default)]
pub struct Grids {
    /// Ascending by number.
    list: Vec<(u32, Grid)>,
    changed: BTreeSet<u32>,
    memory_bytes: usize,
}

impl Grids {
    /// Bytes that they take in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Bytes by which a change makes them grow at most.
    #[must_use]
    pub const fn growth_bytes(periods: u8) -> usize {
        size_of::<(u32, Grid)>() + Cohort::bytes(periods) + OVER_BYTES
    }

    /// The grid of a definition, if it has numbers.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Grid> {
        self.list.get(self.find(number).ok()?).map(|(_, grid)| grid)
    }

    /// The numbers of the definitions whose grids have numbers, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.list.iter().map(|(number, _)| *number)
    }

    /// Whether a cohort takes no more users because there was no room.
    #[must_use]
    pub fn is_over(&self, number: u32, cohort: Period) -> bool {
        self.get(number).and_then(|grid| grid.cohort(cohort)).is_some_and(|cohort| cohort.is_over)
    }

    /// Whether a period takes no more returns because there was no room.
    #[must_use]
    pub fn has_gone_over(&self, number: u32, period: Period) -> bool {
        self.get(number).is_some_and(|grid| grid.over.binary_search(&period).is_ok())
    }

    /// Has `work` change a grid, which is made where there is none.
    pub(super) fn change(&mut self, number: u32, periods: u8, work: impl FnOnce(&mut GridMut<'_>)) {
        let at = self.find(number).unwrap_or_else(|at| {
            let grid = Grid::new(periods);
            self.memory_bytes += grid.bytes();
            self.list.insert(at, (number, grid));
            at
        });
        if let Some((_, grid)) = self.list.get_mut(at) {
            self.memory_bytes -= grid.bytes();
            work(&mut GridMut(grid));
            if grid.cohorts.is_empty() && grid.over.is_empty() {
                self.list.remove(at);
            } else {
                self.memory_bytes += grid.bytes();
            }
        }
        self.changed.insert(number);
    }

    /// Drops what is older than what is kept of a closed day.
    pub(super) fn trim(&mut self, last: Day) {
        for (number, grid) in &mut self.list {
            let before = grid.bytes();
            if grid.trim(last) {
                self.memory_bytes = self.memory_bytes + grid.bytes() - before;
                self.changed.insert(*number);
            }
        }
    }

    /// Forgets a grid.
    pub(super) fn delete(&mut self, number: u32) {
        if let Ok(at) = self.find(number) {
            let (_, grid) = self.list.remove(at);
            self.memory_bytes -= grid.bytes();
            self.changed.insert(number);
        }
    }

    /// The numbers of those that have changed since [`Self::note_stored`].
    pub(super) fn changed(&self) -> impl Iterator<Item = u32> {
        self.changed.iter().copied()
    }

    /// Notes that every one is stored as it is now.
    pub(super) fn note_stored(&mut self) {
        self.changed.clear();
    }

    /// Puts a stored one in place; false where there is one already.
    pub(super) fn restore(&mut self, StoredGrid { number, grid }: StoredGrid) -> bool {
        let Err(at) = self.find(number) else {
            return false;
        };
        self.memory_bytes += grid.bytes();
        self.list.insert(at, (number, grid));
        true
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        self.list.binary_search_by_key(&number, |(number, _)| *number)
    }

    /// Appends the encoding of a grid, if it has numbers: number of the definition (LEB128), periods (1 byte), the number of cohorts
    /// (LEB128), each with its period, whether it is over (1 byte), and its numbers (LEB128 each: by when seen last, then of returns);
    /// then the number of periods of returns that are over (LEB128), and they.
    #[must_use]
    pub fn encode(&self, number: u32, out: &mut Vec<u8>) -> bool {
        let Some(grid) = self.get(number) else {
            return false;
        };
        put_varint(out, u64::from(number));
        out.push(grid.periods);
        put_varint(out, grid.cohorts.len() as u64);
        for (period, cohort) in &grid.cohorts {
            period.encode(out);
            out.push(cohort.is_over.into());
            cohort.seen.iter().chain(&cohort.returned).for_each(|&users| put_varint(out, u64::from(users)));
        }
        put_varint(out, grid.over.len() as u64);
        grid.over.iter().for_each(|period| period.encode(out));
        true
    }
}

/// A grid that is being changed.
pub(super) struct GridMut<'a>(&'a mut Grid);

impl GridMut<'_> {
    /// Counts a user of a cohort who was seen last in its own period, or in a later one, and has returned in these.
    pub(super) fn join(&mut self, cohort: Period, seen: u8, returned: u32) {
        if let Some(cohort) = self.0.cohort_mut(cohort) {
            cohort.seen.get_mut(usize::from(seen)).into_iter().for_each(|users| *users += 1);
            for (nth, users) in cohort.returned.iter_mut().enumerate() {
                *users += returned >> nth & 1;
            }
        }
    }

    /// Counts a return of a user of a cohort, who was seen last in another period before.
    pub(super) fn come_back(&mut self, cohort: Period, behind: u8, seen: u8) {
        let Some(cohort) = self.0.cohort_mut(cohort) else {
            return;
        };
        let nth = usize::from(behind).wrapping_sub(1);
        cohort.returned.get_mut(nth).into_iter().for_each(|users| *users += 1);
        if seen < behind {
            cohort.seen.get_mut(usize::from(seen)).into_iter().for_each(|users| *users = users.saturating_sub(1));
            cohort.seen.get_mut(usize::from(behind)).into_iter().for_each(|users| *users += 1);
        }
    }

    /// Has a cohort count no more.
    pub(super) fn put_over(&mut self, cohort: Period) {
        self.0.cohort_mut(cohort).into_iter().for_each(|cohort| cohort.is_over = true);
    }

    /// Takes that back; a cohort without users was not there.
    pub(super) fn take_back_over(&mut self, cohort: Period) {
        if let Ok(at) = self.0.find(cohort) {
            self.0.cohorts.get_mut(at).into_iter().for_each(|(_, cohort)| cohort.is_over = false);
            if self.0.cohorts.get(at).is_some_and(|(_, cohort)| cohort.seen.iter().all(|&users| users == 0)) {
                self.0.cohorts.remove(at);
            }
        }
    }

    /// Has a period take no more returns.
    pub(super) fn end_returns(&mut self, period: Period) {
        if let Err(at) = self.0.over.binary_search(&period) {
            self.0.over.insert(at, period);
        }
    }

    /// Takes that back.
    pub(super) fn take_back_end(&mut self, period: Period) {
        self.0.over.retain(|over| *over != period);
    }
}

/// A grid as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGrid {
    /// The number of its definition.
    pub number: u32,
    grid: Grid,
}

impl StoredGrid {
    /// Reads an encoded grid.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Grids::encode`] does not write.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let number = read_definition(reader)?;
        let range = |name: &'static str| Corrupt::new(Defect::Range).within(name);
        let periods = reader.u8().within("periods")?;
        if !(1..=RETENTION_PERIODS).contains(&periods) {
            return Err(range("periods"));
        }
        let mut grid = Grid::new(periods);
        for nth in 0..reader.varint().within("number of cohorts")? {
            let period = Period::decode(reader).within("period").within_nth("cohort", nth)?;
            if grid.cohorts.last().is_some_and(|(last, _)| *last >= period || last.unit() != period.unit()) {
                return Err(Corrupt::new(Defect::Order).within("period").within_nth("cohort", nth));
            }
            let cohort = read_cohort(reader, periods).within_nth("cohort", nth)?;
            grid.cohorts.push((period, cohort));
        }
        for nth in 0..reader.varint().within("number of ended returns")? {
            let period = Period::decode(reader).within("period").within_nth("ended returns", nth)?;
            if grid.over.last().is_some_and(|last| *last >= period) {
                return Err(Corrupt::new(Defect::Order).within("period").within_nth("ended returns", nth));
            }
            grid.over.push(period);
        }
        Ok(Self { number, grid })
    }
}

fn read_cohort(reader: &mut Reader<'_>, periods: u8) -> Result<Cohort, Corrupt> {
    let mut cohort = Cohort::new(periods);
    cohort.is_over = match reader.u8().within("flags")? {
        0 => false,
        1 => true,
        _ => return Err(Corrupt::new(Defect::Unknown).within("flags")),
    };
    for users in cohort.seen.iter_mut().chain(&mut cohort.returned) {
        *users = reader.varint_below(1 << 32).within("users")? as u32;
    }
    Ok(cohort)
}
