//! Counting in weeks, and closing the oldest of them where there would be too many.

use super::undo::Undo;
use super::{Aggregator, full};
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::periods::week::Week;
use crate::core::sets::user_set::UserSet;
use crate::core::state::cohort::{CLOSES, Cohorts};
use crate::core::state::effect::Effect;
use crate::core::state::error::Refusal;
use crate::core::state::shard_limits::ShardLimits;

impl Aggregator {
    /// Carries out a user's first occurrence in a week, unless the week is too late. A new week for which there is no room
    /// closes the oldest ones: those before it, or itself.
    pub(super) fn count_in_week(
        &mut self,
        first: Effect,
        week: Week,
        today: Day,
        limits: &ShardLimits,
        effects: &mut Vec<Effect>,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let Effect::Week { event, .. } = first else {
            return Err(Refusal::Tag);
        };
        if CLOSES && week > today.latest_week() {
            return Ok(());
        }
        let cohorts = self.counter(event).and_then(|counter| counter.cohorts.as_ref());
        let (before, itself) = cohorts.map(|cohorts| cohorts.due(week, limits.weeks_per_event)).unwrap_or_default();
        if let Some(week) = before {
            self.carry_out(Effect::Close { event, week }, limits, effects, undo)?;
        }
        self.carry_out(first, limits, effects, undo)?;
        if let Some(week) = itself {
            self.carry_out(Effect::Close { event, week }, limits, effects, undo)?;
        }
        Ok(())
    }

    /// What a user's first occurrence in a week changes; `None` for a repeat in it, and for a week that has closed.
    pub(super) fn first_of_week(&self, event: u32, user: UserKey, week: Week, key: &UnlinkKey) -> Option<Effect> {
        let counter = self.counter(event)?;
        let fingerprint = key.fingerprint(user, key.week_tag(counter.tag, week));
        let is_no_news = counter.cohorts.as_ref().is_some_and(|cohorts| {
            cohorts.has_closed(week) || cohorts.users(week).is_some_and(|users| users.contains(fingerprint))
        });
        if is_no_news { None } else { Some(Effect::Week { event, week, fingerprint }) }
    }

    pub(super) fn add_to_week(
        &mut self,
        event: u32,
        week: Week,
        fingerprint: u64,
        limits: &ShardLimits,
        undo: &mut Vec<Undo>,
    ) -> Result<(), Refusal> {
        let counter = self.counter(event).ok_or(Refusal::Tag)?;
        let bits = counter.users.fingerprint_bits();
        let cohorts = counter.cohorts.as_ref();
        let users = cohorts.and_then(|cohorts| cohorts.users(week));
        let has_closed = cohorts.is_some_and(|cohorts| cohorts.has_closed(week));
        if has_closed || users.is_some_and(|users| users.contains(fingerprint)) {
            return Ok(());
        }
        let (users_max, refusal) = limits.users(event, bits);
        if users.map_or(0, UserSet::len) >= users_max {
            return Err(refusal);
        }
        let empty = if counter.cohorts.is_none() { size_of::<Cohorts>() } else { 0 };
        let room = self.room(limits).checked_sub(empty).ok_or(Refusal::Memory)?;
        let Some(counter) = self.counter_mut(event) else {
            return Err(Refusal::Tag);
        };
        let mut cohorts = counter.cohorts.take().unwrap_or_default();
        let grown = cohorts.insert(week, fingerprint, bits, room);
        // A first cohort that found no room leaves none behind.
        counter.cohorts = if grown.is_ok() || empty == 0 { Some(cohorts) } else { None };
        self.memory_bytes += empty + grown.map_err(full)?;
        undo.push(Undo::Week { event, week, fingerprint });
        Ok(())
    }

    #[cfg(not(feature = "browser"))]
    pub(super) fn close_weeks(&mut self, event: u32, week: Week, undo: &mut Vec<Undo>) -> Result<(), Refusal> {
        let cohorts = self.counter_mut(event).and_then(|counter| counter.cohorts.as_mut());
        let cohorts = cohorts.ok_or(Refusal::Tag)?;
        let before = cohorts.memory_bytes();
        let reopening = cohorts.close(week);
        let freed = before - cohorts.memory_bytes();
        self.memory_bytes -= freed;
        undo.push(Undo::Close { event, reopening });
        Ok(())
    }
}
