//! What an operation asks for, and what of it is news: the way from operations to effects.

#[cfg(not(feature = "browser"))]
use super::time::is_due;
#[cfg(not(feature = "browser"))]
use super::undo::Undo;
#[cfg(not(feature = "browser"))]
use super::visits::Visit;
use super::{Aggregator, Change, Operation};
use crate::core::identity::{UnlinkKey, UserKey};
#[cfg(not(feature = "browser"))]
use crate::core::periods::day::Day;
use crate::core::periods::week::Week;
use crate::core::sets::user_set::UserSet;
use crate::core::state::combination::Combination;
use crate::core::state::effect::{Carried, Effect};
use crate::core::state::error::Refusal;
use crate::core::state::goal::Bucket;
use crate::core::state::series::Occurrence;
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::{ShardLimits, Sizing};

/// A first occurrence of an event, or of anything.
struct Record {
    event: u32,
    user: UserKey,
    value: Option<f64>,
    week: Option<Week>,
    time: Option<Occurrence>,
}

impl Aggregator {
    /// Carries an operation out, whole or not at all. Where there is no room for it, sets of open periods make some.
    pub(super) fn carry_out_operation(
        &mut self,
        operation: &Operation,
        change: &mut Change<'_>,
    ) -> Result<(), Refusal> {
        #[cfg(feature = "browser")]
        return self.operate(operation, change, true);
        #[cfg(not(feature = "browser"))]
        {
            let mut notes_first = true;
            loop {
                let (effects, undo) = (change.effects.len(), change.undo.len());
                match self.operate(operation, change, notes_first) {
                    Err(Refusal::Memory) => {}
                    done => return done,
                }
                self.take_back(change.effects.get(effects..).unwrap_or_default(), change.undo.split_off(undo));
                change.effects.truncate(effects);
                if !self.shed(change) && !std::mem::take(&mut notes_first) {
                    return Err(Refusal::Memory);
                }
            }
        }
    }

    fn operate(&mut self, operation: &Operation, change: &mut Change<'_>, notes_first: bool) -> Result<(), Refusal> {
        let (Operation::Goal { event, tag } | Operation::Record { event, tag, .. }) = *operation;
        let limits = change.limits;
        let goal_limits = if limits.refuses_goals { limits } else { &ShardLimits::NONE };
        match self.counter(event) {
            Some(counter) if counter.tag != tag => return Err(Refusal::Tag),
            Some(_) => {}
            None => {
                let sizing = limits.sizings.get(&event);
                let fingerprint_bits = sizing.map_or(limits.fingerprint_bits, Sizing::fingerprint_bits);
                let limits = if matches!(operation, Operation::Goal { .. }) { goal_limits } else { limits };
                self.carry_out(Effect::Counter { event, tag, fingerprint_bits }, limits, change)?;
            }
        }
        match *operation {
            Operation::Goal { .. } => {
                let is_known = self.counter(event).is_some_and(|counter| counter.goal.is_some());
                if is_known { Ok(()) } else { self.carry_out(Effect::Goal { event }, goal_limits, change) }
            }
            Operation::Record { user, value, week, time, .. } => {
                self.record(&Record { event, user, value, week, time }, change, notes_first)
            }
        }
    }

    fn record(&mut self, record: &Record, change: &mut Change<'_>, notes_first: bool) -> Result<(), Refusal> {
        let &Record { event, user, value, week, .. } = record;
        let (key, limits) = (change.key, change.limits);
        let time = self.open_time(record, change);
        #[cfg(not(feature = "browser"))]
        if let Some(time) = time
            && self.is_known_of_day(record, time, change)
        {
            return Ok(());
        }
        let set = SetKey::Event(event);
        let added = self.add(set, user, key, limits)?;
        #[cfg(not(feature = "browser"))]
        let is_first = added.is_some();
        if let Some(fingerprint) = added {
            // The event itself is never among those that were done before it.
            let carried = Carried::of(value, self.completion(event, user, key, limits));
            let first = self.first(set, time, value.is_some(), notes_first, change);
            self.count_first(set, fingerprint, first, carried, change)?;
            if let Some(fingerprint) = self.add(SetKey::AllUsers, user, key, limits)? {
                let first = self.first(SetKey::AllUsers, time, false, notes_first, change);
                self.count_first(SetKey::AllUsers, fingerprint, first, None, change)?;
            }
        }
        if let Some(week) = week
            && let Some(fingerprint) = self.news(SetKey::Week(event, week), user, key)
        {
            self.count_in_week(event, week, fingerprint, change)?;
        }
        #[cfg(not(feature = "browser"))]
        if let Some(time) = time {
            change.group.entrants.push(event, user, time);
            if self.definitions.is_about(event, time.day) {
                change.group.visits.push(Visit { event, user, day: time.day, is_first });
            }
        }
        Ok(())
    }

    /// Counts what came with a first occurrence whose user was inserted.
    fn count_first(
        &mut self,
        set: SetKey,
        fingerprint: u64,
        first: Option<Occurrence>,
        carried: Option<Box<Carried>>,
        change: &mut Change<'_>,
    ) -> Result<(), Refusal> {
        self.carry(set, fingerprint, first, carried.as_deref(), change.limits, &mut change.undo)?;
        change.effects.push(Effect::Insert { set, fingerprint, first, carried });
        Ok(())
    }

    /// The fingerprint of a user in a set in which they are not yet; `None` where they are, or the set takes nobody any more.
    pub(super) fn news(&self, set: SetKey, user: UserKey, key: &UnlinkKey) -> Option<u64> {
        let fingerprint = self.fingerprint(set, user, key)?;
        let is_known = self.sets.contains(set, fingerprint) || self.has_closed(set);
        (!is_known).then_some(fingerprint)
    }

    /// Adds a user to a set. Answers the fingerprint where they are new in it.
    fn add(
        &mut self,
        set: SetKey,
        user: UserKey,
        key: &UnlinkKey,
        limits: &ShardLimits,
    ) -> Result<Option<u64>, Refusal> {
        let (tag, bits) = self.derivation(set).ok_or(Refusal::Tag)?;
        let fingerprint = key.fingerprint(user, set.tag(key, tag)) & UserSet::kept_bits(bits);
        Ok(self.insert_kept(set, fingerprint, bits, limits)?.then_some(fingerprint))
    }

    /// The fingerprint of a user in a set: its upper bits, as many as the set keeps.
    fn fingerprint(&self, set: SetKey, user: UserKey, key: &UnlinkKey) -> Option<u64> {
        let (tag, bits) = self.derivation(set)?;
        Some(key.fingerprint(user, set.tag(key, tag)) & UserSet::kept_bits(bits))
    }

    /// What the fingerprints of a set are derived with: the tag of its event, and how many bits it keeps.
    pub(super) fn derivation(&self, set: SetKey) -> Option<(u64, u8)> {
        let Some(event) = set.event() else {
            return Some((0, UserSet::FINGERPRINT_BITS));
        };
        self.counter(event).map(|counter| (counter.tag, counter.fingerprint_bits))
    }

    /// Where the event is a goal: what the user had done before, and where that counts.
    fn completion(
        &self,
        event: u32,
        user: UserKey,
        key: &UnlinkKey,
        limits: &ShardLimits,
    ) -> Option<(Combination, Bucket)> {
        let record = self.counter(event)?.goal.as_ref()?;
        let combination = self.prior_events(event, user, key);
        let bucket = record.bucket(&combination, limits.combinations_per_goal);
        Some((combination, bucket))
    }

    /// The other events that a user has done.
    fn prior_events(&self, event: u32, user: UserKey, key: &UnlinkKey) -> Combination {
        self.done_by(user, key).filter(|&prior| prior != event).collect()
    }

    pub(super) fn done_by(&self, user: UserKey, key: &UnlinkKey) -> impl Iterator<Item = u32> {
        self.counters()
            .filter(move |&(event, counter)| {
                self.sets.contains(SetKey::Event(event), key.fingerprint(user, counter.tag))
            })
            .map(|(event, _)| event)
    }

    /// When the occurrence was, where its day is open: never, in a page.
    #[cfg(feature = "browser")]
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "as in other builds")]
    const fn open_time(&mut self, record: &Record, _: &mut Change<'_>) -> Option<Occurrence> {
        record.time
    }

    /// The periods that a first occurrence counts for.
    #[cfg(feature = "browser")]
    #[allow(clippy::unused_self)]
    const fn first(&self, _: SetKey, time: Option<Occurrence>, _: bool, _: bool, _: &Change<'_>) -> Option<Occurrence> {
        time
    }

    /// Where the day should be open and is not, because the clock was ahead or series are switched off, that is noted.
    #[cfg(not(feature = "browser"))]
    fn open_time(&mut self, record: &Record, change: &mut Change<'_>) -> Option<Occurrence> {
        let (time, limits) = (record.time?, change.limits.time);
        if !is_due(time.day, change.today, limits.lateness_days) {
            return None;
        }
        if limits.fingerprints > 0 && self.takes_day(time.day) {
            return Some(time);
        }
        self.miss(time.day, change);
        None
    }

    /// Notes that something of a day is missing, for good.
    #[cfg(not(feature = "browser"))]
    fn miss(&mut self, day: Day, change: &mut Change<'_>) {
        let missed = self.series.missed();
        if self.series.miss(day) {
            change.undo.push(Undo::Missed(missed));
            change.effects.push(Effect::Miss { day });
        }
    }

    /// Whether the set of the day says that the user has done the event on it: then they are in all others. Where an event has
    /// a rate of errors or weekly cohorts of its own, its other sets are asked too.
    #[cfg(not(feature = "browser"))]
    fn is_known_of_day(&self, record: &Record, time: Occurrence, change: &mut Change<'_>) -> bool {
        let Some(counter) = self.counter(record.event).filter(|counter| !counter.is_sized()) else {
            return false;
        };
        let Some((set, tag)) = change.group.entrants.day_set(record.event, counter.tag, time, change.key) else {
            return false;
        };
        record.week.is_none() && self.sets.contains(set, change.key.fingerprint(record.user, tag))
    }

    /// The periods that a first occurrence counts for; none where there is no room to note them, which is noted.
    #[cfg(not(feature = "browser"))]
    fn first(
        &mut self,
        set: SetKey,
        time: Option<Occurrence>,
        _has_value: bool,
        notes_first: bool,
        change: &mut Change<'_>,
    ) -> Option<Occurrence> {
        use crate::core::periods::period::Units;
        let time = time?;
        let units = if set == SetKey::AllUsers { Units::ALL } else { time.units };
        let first = Some(Occurrence { units, ..time }).filter(|first| first.units != Units::NONE);
        if !notes_first && first.is_some() {
            self.miss(time.day, change);
            return None;
        }
        first
    }
}
