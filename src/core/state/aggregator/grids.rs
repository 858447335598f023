//! Counting in retention grids ([`crate::core::state::grids`]).
//!
//! Promises:
//! - what is counted does not depend on the order of events, but for which of a user's `start` events came first: whichever of joining
//!   and returning comes last counts;
//! - a user is in one cohort at most, once, and in one set of it;
//! - nothing here refuses a batch: at a limit a cohort, or a period of returns, goes over for good;
//! - once a cohort has closed, no fingerprint of it is left.

use super::undo::Undo;
use super::visits::Visit;
use super::{Aggregator, Change};
use crate::core::identity::UserKey;
use crate::core::periods::day::Day;
use crate::core::periods::period::Period;
use crate::core::sets::user_set::{Full, UserSet};
use crate::core::settings::limits::RETENTION_PERIODS;
use crate::core::state::definitions::Spec;
use crate::core::state::definitions::retention::Retention;
use crate::core::state::effect::Effect;
use crate::core::state::error::Refusal;
use crate::core::state::grids::{GridChange, Grids, Member};
use crate::core::state::set_key::SetKey;

/// A grid, and what of it is not among the effects yet.
struct Visited {
    number: u32,
    grid: Retention,
    changes: Vec<GridChange>,
}

impl Visited {
    /// Hands what is left over to the effects of a change.
    fn finish(&mut self, change: &mut Change<'_>) {
        if !self.changes.is_empty() {
            let changes = std::mem::take(&mut self.changes).into();
            change.effects.push(Effect::Grid { definition: self.number, changes });
        }
    }
}

impl Aggregator {
    /// Counts visits in a grid.
    pub(super) fn visit_grid<'a>(
        &mut self,
        number: u32,
        grid: Retention,
        visits: impl Iterator<Item = &'a Visit>,
        change: &mut Change<'_>,
    ) {
        let mut visited = Visited { number, grid, changes: Vec::new() };
        for visit in visits {
            let period = Period::of(grid.unit, visit.day);
            if visit.event == grid.start && visit.is_first {
                let set = SetKey::Cohort(number, period, 0);
                self.count_in_grid(&mut visited, set, visit, change, Self::joining);
            }
            if visit.event == grid.returning {
                let set = SetKey::Returned(number, period);
                self.count_in_grid(&mut visited, set, visit, change, Self::returning);
            }
        }
        visited.finish(change);
    }

    /// Has a visit change a grid, where it does. Where there is no room, sets of open periods make some, or the set is over.
    fn count_in_grid(
        &mut self,
        visited: &mut Visited,
        set: SetKey,
        visit: &Visit,
        change: &mut Change<'_>,
        change_of: impl Fn(&Self, &Visited, Period, UserKey, &Change<'_>) -> Option<GridChange>,
    ) {
        let period = Period::of(visited.grid.unit, visit.day);
        while self.grid_takes(set)
            && let Some(found) = change_of(self, visited, period, visit.user, change)
        {
            let room = self.room(change.limits);
            let Err(full) = self.apply_grid_change(visited.number, visited.grid, &found, room) else {
                visited.changes.push(found);
                return;
            };
            visited.finish(change);
            if full == Full::Memory && self.shed(change) {
                continue;
            }
            let has_room =
                self.sets.get(set).is_some() || Grids::growth_bytes(visited.grid.periods) <= self.room(change.limits);
            self.change_time(if has_room { Effect::Over { set } } else { Effect::Miss { day: visit.day } }, change);
            return;
        }
    }

    /// How a user comes into a cohort; `None` where they are in it.
    fn joining(&self, of: &Visited, cohort: Period, user: UserKey, change: &Change<'_>) -> Option<GridChange> {
        let fingerprint = fingerprint_in(SetKey::Cohort(of.number, cohort, 0), user, change);
        if self.seen_in(of.number, of.grid, cohort, fingerprint).is_some() {
            return None;
        }
        let has_returned = |behind: &u8| {
            let set = SetKey::Returned(of.number, cohort.after(u32::from(*behind)));
            self.sets.get(set).is_some() && self.sets.contains(set, fingerprint_in(set, user, change))
        };
        let returned = (1..=of.grid.periods).filter(has_returned).fold(0, |bits, behind| bits | 1 << (behind - 1));
        Some(GridChange::Join { cohort, fingerprint, returned })
    }

    /// How a user returns in a period; `None` where they have.
    fn returning(&self, of: &Visited, period: Period, user: UserKey, change: &Change<'_>) -> Option<GridChange> {
        let set = SetKey::Returned(of.number, period);
        let fingerprint = fingerprint_in(set, user, change);
        if self.sets.contains(set, fingerprint) {
            return None;
        }
        let member = |behind: u8| {
            let cohort = period.before(behind.into());
            if !self.has_open(of.number, cohort) {
                return None;
            }
            let fingerprint = fingerprint_in(SetKey::Cohort(of.number, cohort, 0), user, change);
            let seen = self.seen_in(of.number, of.grid, cohort, fingerprint)?;
            Some(Member { behind, seen, fingerprint })
        };
        Some(GridChange::Return { period, fingerprint, of: (1..=of.grid.periods).find_map(member) })
    }

    /// Whether a cohort has a set.
    fn has_open(&self, number: u32, cohort: Period) -> bool {
        let (first, last) = sets_of(number, cohort);
        self.sets.range(first, last).len() > 0
    }

    /// How many periods behind a cohort one of its users was seen last; `None` where nobody of it has this fingerprint.
    fn seen_in(&self, number: u32, grid: Retention, cohort: Period, fingerprint: u64) -> Option<u8> {
        (0..=grid.periods).find(|&seen| self.sets.contains(SetKey::Cohort(number, cohort, seen), fingerprint))
    }

    /// Carries a change of a grid out, where it makes the state grow by at most `room` bytes; says whether that changed anything.
    fn apply_grid_change(
        &mut self,
        number: u32,
        grid: Retention,
        change: &GridChange,
        room: usize,
    ) -> Result<bool, Full> {
        let (bits, numbers) = (UserSet::FINGERPRINT_BITS, Grids::growth_bytes(grid.periods));
        match *change {
            GridChange::Join { cohort, fingerprint, returned } => {
                let seen = (u32::BITS - returned.leading_zeros()) as u8;
                let set = SetKey::Cohort(number, cohort, seen);
                if !self.grid_takes(set) || self.seen_in(number, grid, cohort, fingerprint).is_some() {
                    return Ok(false);
                }
                let room = room.checked_sub(numbers).ok_or(Full::Memory)?;
                self.sets.insert(set, fingerprint, bits, u64::MAX, room)?;
                self.grids.change(number, grid.periods, |grid| grid.join(cohort, seen, returned));
            }
            GridChange::Return { period, fingerprint, of } => {
                let set = SetKey::Returned(number, period);
                if !self.grid_takes(set) || self.sets.contains(set, fingerprint) {
                    return Ok(false);
                }
                let room = room.checked_sub(numbers).ok_or(Full::Memory)?;
                let before = self.memory_bytes();
                self.sets.insert(set, fingerprint, bits, u64::MAX, room)?;
                if let Some(Member { behind, seen, fingerprint: member }) = of {
                    let cohort = period.before(behind.into());
                    if seen < behind {
                        let room = room.saturating_sub(self.memory_bytes() - before);
                        let to = SetKey::Cohort(number, cohort, behind);
                        let moved = self.sets.insert(to, member, bits, u64::MAX, room);
                        if let Err(full) = moved {
                            self.sets.take_out(set, fingerprint);
                            return Err(full);
                        }
                        self.sets.take_out(SetKey::Cohort(number, cohort, seen), member);
                    }
                    self.grids.change(number, grid.periods, |grid| grid.come_back(cohort, behind, seen));
                }
            }
        }
        Ok(true)
    }

    /// Carries out the changes of a grid that an effect has; says whether one of them changed anything.
    pub(super) fn change_grid(&mut self, number: u32, changes: &[GridChange]) -> Result<bool, Refusal> {
        let grid = self.retention(number).ok_or(Refusal::Tag)?;
        let mut has_changed = false;
        for change in changes {
            has_changed |= self.apply_grid_change(number, grid, change, usize::MAX).map_err(|_| Refusal::Users)?;
        }
        Ok(has_changed)
    }

    /// The grid that a definition asks for.
    fn retention(&self, number: u32) -> Option<Retention> {
        match self.definitions.get(number)?.spec {
            Spec::Retention(grid) => Some(grid),
        }
    }

    /// The period at whose end a set of a grid closes; `None` where its definition is not known.
    pub(super) fn grid_end(&self, set: SetKey) -> Option<Period> {
        let grid = self.retention(set.definition()?)?;
        match set {
            SetKey::Cohort(_, cohort, _) => Some(grid.last_of(cohort)),
            SetKey::Returned(_, period) => Some(period),
            _ => None,
        }
    }

    /// Whether a set of a grid takes users.
    pub(super) fn grid_takes(&self, set: SetKey) -> bool {
        let is_open = self.grid_end(set).is_some_and(|end| self.takes_day(end.last_day()));
        let is_over = match set {
            SetKey::Cohort(number, cohort, _) => self.grids.is_over(number, cohort),
            SetKey::Returned(number, period) => self.grids.has_gone_over(number, period),
            _ => true,
        };
        is_open && !is_over
    }

    /// Has a cohort, or a period of returns, count no more: its sets go.
    pub(super) fn put_grid_over(&mut self, set: SetKey, undo: &mut Vec<Undo>) -> Result<bool, Refusal> {
        let number = set.definition().ok_or(Refusal::Tag)?;
        let grid = self.retention(number).ok_or(Refusal::Tag)?;
        if !self.grid_takes(set) {
            return Ok(false);
        }
        let sets = match set {
            SetKey::Cohort(_, cohort, _) => {
                let (first, last) = sets_of(number, cohort);
                self.grids.change(number, grid.periods, |grid| grid.put_over(cohort));
                self.sets.take(first, last)
            }
            SetKey::Returned(_, period) => {
                self.grids.change(number, grid.periods, |grid| grid.end_returns(period));
                self.sets.take(set, set)
            }
            _ => return Err(Refusal::Tag),
        };
        undo.push(Undo::Over(Box::new((None, sets))));
        Ok(true)
    }

    /// Takes that back.
    pub(super) fn take_back_grid_over(&mut self, set: SetKey, sets: Vec<(SetKey, UserSet)>) {
        if let Some((number, grid)) = set.definition().and_then(|number| Some((number, self.retention(number)?))) {
            self.grids.change(number, grid.periods, |grid| match set {
                SetKey::Cohort(_, cohort, _) => grid.take_back_over(cohort),
                SetKey::Returned(_, period) => grid.take_back_end(period),
                _ => {}
            });
        }
        for (set, users) in sets {
            self.sets.restore(set, users, false);
        }
    }

    /// Bytes by which as many visits of a day may make a grid and its sets grow.
    pub(super) fn grid_growth_bytes(&self, number: u32, grid: Retention, day: Day, visits: u64) -> usize {
        let period = Period::of(grid.unit, day);
        let joined = (0..=grid.periods).map(|seen| SetKey::Cohort(number, period, seen));
        let moved = (1..=grid.periods).map(|behind| SetKey::Cohort(number, period.before(behind.into()), behind));
        let sets = joined.chain(moved).chain([SetKey::Returned(number, period)]);
        Grids::growth_bytes(grid.periods) + sets.map(|set| self.sets.growth_bytes(set, visits)).sum::<usize>()
    }
}

/// The first and the last set that a cohort may have.
const fn sets_of(number: u32, cohort: Period) -> (SetKey, SetKey) {
    (SetKey::Cohort(number, cohort, 0), SetKey::Cohort(number, cohort, RETENTION_PERIODS))
}

/// The fingerprint of a user in a set of a grid.
fn fingerprint_in(set: SetKey, user: UserKey, change: &Change<'_>) -> u64 {
    change.key.fingerprint(user, set.tag(change.key, 0)) & UserSet::kept_bits(UserSet::FINGERPRINT_BITS)
}
