//! Counting in weeks, and closing the oldest of them where there would be too many.
//!
//! Promises:
//! - a week is kept apart until at least as many later ones are as may be kept at all, whatever else is sent: weeks later
//!   than [`crate::core::periods::day::Day::latest_week`] are not taken, so the weeks that somebody may invent close each other and never recent ones;
//! - what is kept does not depend on the order of events as long as no week closes. A week that has closed takes nobody any
//!   more, so whoever would have counted in it later is missing from the number.

#[cfg(not(feature = "browser"))]
use super::undo::Undo;
use super::{Aggregator, Change};
use crate::core::periods::week::Week;
#[cfg(not(feature = "browser"))]
use crate::core::sets::user_set::UserSet;
use crate::core::state::counter::CLOSES;
#[cfg(not(feature = "browser"))]
use crate::core::state::counter::Closed;
use crate::core::state::effect::Effect;
use crate::core::state::error::Refusal;
use crate::core::state::set_key::{COUNTS_IN_PERIODS, SetKey};

impl Aggregator {
    /// Carries out a user's first occurrence in a week, unless the week is too late. A new week for which there is no room
    /// closes the oldest ones: those before it, or itself.
    pub(super) fn count_in_week(
        &mut self,
        event: u32,
        week: Week,
        fingerprint: u64,
        change: &mut Change<'_>,
    ) -> Result<(), Refusal> {
        let limits = change.limits;
        if CLOSES && week > change.today.latest_week() {
            return Ok(());
        }
        let (before, itself) = self.due(event, week, limits.weeks_per_event);
        if let Some(last) = before {
            self.carry_out(Effect::Close { last }, limits, change)?;
        }
        self.carry_out(Effect::insert(SetKey::Week(event, week), fingerprint), limits, change)?;
        if let Some(last) = itself {
            self.carry_out(Effect::Close { last }, limits, change)?;
        }
        Ok(())
    }

    /// What has to close where somebody counts in `week` and at most `weeks_max` may have a set: up to which week before it, and
    /// then itself, where it is among the oldest. Nothing where it has a set, or there is room for one.
    fn due(&self, event: u32, week: Week, weeks_max: u64) -> (Option<SetKey>, Option<SetKey>) {
        let set = SetKey::Week(event, week);
        if !CLOSES || self.sets.get(set).is_some() {
            return (None, None);
        }
        let room = usize::try_from(weeks_max).unwrap_or(usize::MAX);
        let (oldest, latest) = (SetKey::Week(event, Week::OTHER), SetKey::Week(event, Week::MAX));
        let excess = (self.sets.range(oldest, latest).len() + 1).saturating_sub(room);
        let due = || self.sets.range(oldest, latest).take(excess).map(|(kept, _)| kept).take_while(|&kept| kept < set);
        (due().last(), (due().count() < excess).then_some(set))
    }

    /// Whether a set has become a number.
    pub(super) fn has_closed(&self, set: SetKey) -> bool {
        match set {
            SetKey::AllUsers | SetKey::Event(_) => false,
            SetKey::Week(event, week) => self.counter(event).is_some_and(|counter| counter.has_closed(week)),
            SetKey::EventPeriod(..) | SetKey::AnyPeriod(_) => COUNTS_IN_PERIODS && !self.series.takes(set),
            #[cfg(feature = "browser")]
            SetKey::Cohort(..) | SetKey::Returned(..) => false,
            // Those of a definition that is not known yet are let in while a snapshot is read.
            #[cfg(not(feature = "browser"))]
            SetKey::Cohort(..) | SetKey::Returned(..) => {
                set.definition().is_some_and(|number| self.definitions.get(number).is_some()) && !self.grid_takes(set)
            }
        }
    }

    /// Closes a week and all before it: their sets go, and their numbers remain. Says whether they were not closed before.
    #[cfg(not(feature = "browser"))]
    pub(super) fn close(&mut self, last: SetKey, undo: &mut Vec<Undo>) -> Result<bool, Refusal> {
        let SetKey::Week(event, week) = last else {
            return Err(Refusal::Tag);
        };
        let oldest = SetKey::Week(event, Week::OTHER);
        let closed = self.counter(event).ok_or(Refusal::Tag)?.closed;
        let is_none = closed.is_none() && self.sets.range(oldest, SetKey::Week(event, Week::MAX)).len() == 0;
        if is_none {
            return Err(Refusal::Tag);
        }
        if self.has_closed(last) {
            return Ok(false);
        }
        let sets = self.sets.take(oldest, last);
        let users = sets.iter().map(|(_, users)| users.len()).sum::<u64>();
        if let Some(counter) = self.counter_mut(event) {
            counter.closed = Some(Closed { week, users: closed.map_or(0, |closed| closed.users) + users });
        }
        undo.push(Undo::Close(Box::new((closed, sets))));
        Ok(true)
    }

    /// Takes a closing back.
    #[cfg(not(feature = "browser"))]
    pub(super) fn reopen(&mut self, event: u32, closed: Option<Closed>, sets: Vec<(SetKey, UserSet)>) {
        if let Some(counter) = self.counter_mut(event) {
            counter.closed = closed;
        }
        for (set, users) in sets {
            self.sets.restore(set, users, false);
        }
    }
}
