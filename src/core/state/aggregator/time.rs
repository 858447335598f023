//! Counting in periods, and closing them.
//!
//! Promises:
//! - a period counts its users exactly (as sets do) as long as its set has room, and says so where it had none;
//! - who is in the set of a day is in those of its week and month: a repeat within a day is one look-up;
//! - nothing here refuses a batch: at a limit the largest set goes over, for good, and base counters come first;
//! - once a period has closed, no fingerprint of it is left.

use super::undo::Undo;
use super::{Aggregator, Change, Group};
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::periods::period::{Period, Unit, Units};
use crate::core::sets::user_set::{Full, UserSet};
use crate::core::state::effect::Effect;
use crate::core::state::error::Refusal;
use crate::core::state::series::{Occurrence, Point};
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::{ShardLimits, TimeLimits};

/// A user whose event is news of a day. Those of a group of batches enter the sets together, one set after the other and in the order
/// of fingerprints: that takes a fraction of the time that one user after the other takes.
pub(super) struct Entrant {
    event: u32,
    time: Occurrence,
    user: UserKey,
}

/// A set that users enter, and what their fingerprints in it are derived with.
#[derive(Clone, Copy)]
struct Place {
    set: SetKey,
    tag: u64,
    bits: u8,
}

impl Place {
    fn fingerprint(self, user: UserKey, change: &Change<'_>) -> u64 {
        change.key.fingerprint(user, self.tag) & UserSet::kept_bits(self.bits)
    }

    /// The fingerprints of users, strictly ascending, each with the position of its user.
    fn entering(self, users: &[UserKey], change: &Change<'_>) -> Vec<(u64, u32)> {
        let entrant = |(&user, at): (&UserKey, u32)| (self.fingerprint(user, change), at);
        let mut entering = sorted(users.iter().zip(0..).map(entrant), users.len(), u64::BITS - u32::from(self.bits));
        entering.dedup_by_key(|(fingerprint, _)| *fingerprint);
        entering
    }
}

/// Sorts `len` numbers whose lower `free_bits` are zeros, each with its position.
fn sorted(numbers: impl Iterator<Item = (u64, u32)>, len: usize, free_bits: u32) -> Vec<(u64, u32)> {
    let places = 1_u64.checked_shl(free_bits).unwrap_or(0);
    if len as u64 > places {
        let mut sorted: Vec<(u64, u32)> = numbers.collect();
        sorted.sort_unstable();
        return sorted;
    }
    // With the position in the free bits, a single number is sorted, in half of the time.
    let mut sorted: Vec<u64> = numbers.map(|(number, at)| number | u64::from(at)).collect();
    sorted.sort_unstable();
    sorted.into_iter().map(|both| (both & !(places - 1), (both & (places - 1)) as u32)).collect()
}

/// Whether an event of a day is to count in its periods, on a day.
pub(super) fn is_due(day: Day, today: Day, lateness_days: i64) -> bool {
    day.plus(lateness_days) >= today && day <= today.plus(1)
}

/// Calls `work` with the positions of those that have the same number, in their order, one number after the other.
fn each_group(numbers: impl Iterator<Item = u64>, mut work: impl FnMut(&[(u64, u32)])) {
    let mut places: Vec<(u64, u32)> = numbers.zip(0..).collect();
    places.sort_unstable();
    places.chunk_by(|(a, _), (b, _)| a == b).for_each(&mut work);
}

/// Sets of days whose tags are kept while batches are carried out.
const DAY_SETS: usize = 8;

/// Those of a group, and the tags of the sets of its days.
#[derive(Default)]
pub(super) struct Entrants {
    list: Vec<Entrant>,
    /// How many of them are of batches that are done.
    kept: usize,
    day_sets: [Option<(SetKey, u64)>; DAY_SETS],
}

impl Entrants {
    /// Forgets those of a batch that is refused.
    pub(super) fn take_back(&mut self) {
        self.list.truncate(self.kept);
    }

    /// Keeps those of a batch that is done.
    pub(super) fn keep(&mut self) {
        self.kept = self.list.len();
    }

    /// Notes a user for the end of the group.
    pub(super) fn push(&mut self, event: u32, user: UserKey, time: Occurrence) {
        self.list.push(Entrant { event, time, user });
    }

    /// The set of the day of an event, and its tag; `None` where the event has no series of days.
    pub(super) fn day_set(
        &mut self,
        event: u32,
        event_tag: u64,
        time: Occurrence,
        key: &UnlinkKey,
    ) -> Option<(SetKey, u64)> {
        if !time.units.has(Unit::Day) {
            return None;
        }
        let set = SetKey::EventPeriod(event, Period::of(Unit::Day, time.day));
        let slot = self.day_sets.get_mut(event as usize % DAY_SETS)?;
        if slot.is_none_or(|(kept, _)| kept != set) {
            *slot = Some((set, set.tag(key, event_tag)));
        }
        *slot
    }
}

impl Aggregator {
    /// The points of an event, or of anybody, from one period to another of the same unit, ascending; those in which nobody was
    /// are left out.
    #[must_use]
    pub fn points(&self, event: Option<u32>, from: Period, to: Period) -> Vec<(Period, Point)> {
        let known = self.series.get(event).into_iter().flat_map(|series| series.range(from, to));
        let mut points: Vec<(Period, Point)> = known.collect();
        for (set, users) in self.sets.range(SetKey::in_period(event, from), SetKey::in_period(event, to)) {
            let Some(period) = set.period() else { continue };
            let at = points.partition_point(|(other, _)| *other < period);
            if points.get(at).is_none_or(|(other, _)| *other != period) {
                points.insert(at, (period, Point::default()));
            }
            points.get_mut(at).into_iter().for_each(|(_, point)| point.users = users.len() as u32);
        }
        points
    }

    /// Whether a day has not closed.
    pub(super) fn takes_day(&self, day: Day) -> bool {
        self.series.closed().is_none_or(|closed| day > closed)
    }

    /// Enters the users of a group into the sets of their periods.
    pub(super) fn enter_periods(&mut self, entrants: Entrants, key: &UnlinkKey, limits: &ShardLimits) -> Vec<Effect> {
        let (entrants, group) = (entrants.list, &mut Group::default());
        let change = &mut Change { key, limits, today: Day::MAX, effects: Vec::new(), undo: Vec::new(), group };
        let place = |entrant: &Entrant| u64::from(entrant.event) << 32 | u64::from(entrant.time.day.number());
        let mut anybody: Vec<(Day, UserKey)> = Vec::with_capacity(entrants.len());
        each_group(entrants.iter().map(place), |same| {
            let same = same.iter().filter_map(|&(_, at)| entrants.get(at as usize));
            let Some(&Entrant { event, time, .. }) = same.clone().next() else {
                return;
            };
            let new = self.enter_units(Some(event), time, same.map(|entrant| entrant.user).collect(), change);
            anybody.extend(new.into_iter().map(|user| (time.day, user)));
        });
        each_group(anybody.iter().map(|(day, _)| day.number().into()), |same| {
            let same = same.iter().filter_map(|&(_, at)| anybody.get(at as usize));
            if let Some(&(day, _)) = same.clone().next() {
                let users = same.map(|(_, user)| *user).collect();
                self.enter_units(None, Occurrence { day, units: Units::ALL }, users, change);
            }
        });
        while self.sets.in_periods() > limits.time.fingerprints && self.shed(change) {}
        std::mem::take(&mut change.effects)
    }

    /// Enters users into the sets of the periods of a day. Answers those who were not in the set of the day, or all where it
    /// takes nobody.
    fn enter_units(
        &mut self,
        event: Option<u32>,
        Occurrence { day, units }: Occurrence,
        mut users: Vec<UserKey>,
        change: &mut Change<'_>,
    ) -> Vec<UserKey> {
        if units.has(Unit::Day) {
            users = self.enter_day(SetKey::in_period(event, Period::of(Unit::Day, day)), day, users, change);
        }
        for unit in units.iter().filter(|&unit| unit != Unit::Day) {
            let set = SetKey::in_period(event, Period::of(unit, day));
            if let Some(place) = self.place(set, change) {
                let fingerprints: Vec<u64> = place.entering(&users, change).into_iter().map(|(each, _)| each).collect();
                self.enter(place, day, &fingerprints, change, |_| {});
            }
        }
        users
    }

    /// Enters users into the set of a day. Answers those who were not in it, or whom it has no room for.
    fn enter_day(&mut self, set: SetKey, day: Day, users: Vec<UserKey>, change: &mut Change<'_>) -> Vec<UserKey> {
        let Some(place) = self.place(set, change) else {
            return users;
        };
        let entering = place.entering(&users, change);
        let fingerprints: Vec<u64> = entering.iter().map(|(fingerprint, _)| *fingerprint).collect();
        let mut new = Vec::with_capacity(entering.len());
        let done = self.enter(place, day, &fingerprints, change, |at| new.push(at));
        // Those for whom there was no room are as new elsewhere.
        let entered = new.into_iter().chain(done..entering.len()).filter_map(|at| entering.get(at));
        entered.filter_map(|&(_, at)| users.get(at as usize)).copied().collect()
    }

    /// How users enter a set; `None` where it takes nobody.
    fn place(&self, set: SetKey, change: &Change<'_>) -> Option<Place> {
        let (event_tag, bits) = self.derivation(set)?;
        self.series.takes(set).then(|| Place { set, tag: set.tag(change.key, event_tag), bits })
    }

    /// Enters fingerprints, strictly ascending, into a set. Calls `is_new` with the position of each that was absent, and answers
    /// how many were done: fewer than all where there was no room for more, and the set is over.
    fn enter(
        &mut self,
        Place { set, bits, .. }: Place,
        day: Day,
        fingerprints: &[u64],
        change: &mut Change<'_>,
        mut is_new: impl FnMut(usize),
    ) -> usize {
        let mut done = 0;
        while let Some(rest) = fingerprints.get(done..).filter(|rest| !rest.is_empty()) {
            let (mut added, room) = (Vec::with_capacity(rest.len()), self.room(change.limits));
            let inserted = self.sets.insert_many(set, rest, bits, room, |at| {
                added.extend(rest.get(at));
                is_new(done + at);
            });
            if !added.is_empty() {
                change.effects.push(Effect::InsertMany { set, fingerprints: added.into() });
            }
            let Err((at, full)) = inserted else {
                return fingerprints.len();
            };
            done += at;
            let is_shed = full == Full::Memory && self.shed(change);
            if !is_shed || !self.series.takes(set) {
                self.end_for_good(set, day, change);
                return done;
            }
        }
        done
    }

    /// Has the largest set of an open period go over; false where there is none.
    pub(super) fn shed(&mut self, change: &mut Change<'_>) -> bool {
        let sizes = self.sets.of_periods().map(|(set, users)| (users.len(), set));
        let Some((_, set)) = sizes.max() else {
            return false;
        };
        // A cohort goes with all its sets.
        let set =
            if let SetKey::Cohort(definition, cohort, _) = set { SetKey::Cohort(definition, cohort, 0) } else { set };
        self.change_time(Effect::Over { set }, change)
    }

    /// Has a set go over for which there is no room, or where there is none even to note that, notes the day as missed.
    fn end_for_good(&mut self, set: SetKey, day: Day, change: &mut Change<'_>) {
        let has_room = self.sets.get(set).is_some() || self.series.point_growth_bytes(set) <= self.room(change.limits);
        self.change_time(if has_room { Effect::Over { set } } else { Effect::Miss { day } }, change);
    }

    /// Carries out an effect that no limit refuses, and says whether that changed anything.
    pub(super) fn change_time(&mut self, effect: Effect, change: &mut Change<'_>) -> bool {
        let is_done = self.execute(&effect, &ShardLimits::NONE, &mut change.undo) == Ok(true);
        if is_done {
            change.effects.push(effect);
        }
        is_done
    }

    /// Adds users to the set of a period, as long as it takes any.
    pub(super) fn insert_in_period(&mut self, set: SetKey, fingerprints: &[u64]) -> Result<bool, Refusal> {
        let (_, bits) = self.derivation(set).filter(|_| set.period().is_some()).ok_or(Refusal::Tag)?;
        if !self.series.takes(set) {
            return Ok(false);
        }
        let mut has_new = false;
        let inserted = self.sets.insert_many(set, fingerprints, bits, usize::MAX, |_| has_new = true);
        inserted.map(|()| has_new).map_err(|_| Refusal::Users)
    }

    /// Makes the set of a period a number before its time.
    pub(super) fn put_over(&mut self, set: SetKey, undo: &mut Vec<Undo>) -> Result<bool, Refusal> {
        let period = set.period().filter(|_| self.derivation(set).is_some()).ok_or(Refusal::Tag)?;
        if !self.series.takes(set) {
            return Ok(false);
        }
        let sets = self.sets.take(set, set);
        let before = self.series.point(set);
        let users = sets.iter().map(|(_, users)| users.len() as u32).sum();
        let point = Point { users, is_over: true, ..before.unwrap_or_default() };
        self.series.put(set.event(), period, Some(point));
        undo.push(Undo::Over(Box::new((before, sets))));
        Ok(true)
    }

    /// Takes that back.
    pub(super) fn take_back_over(&mut self, set: SetKey, before: Option<Point>, sets: Vec<(SetKey, UserSet)>) {
        if let Some(period) = set.period() {
            self.series.put(set.event(), period, before);
        }
        for (set, users) in sets {
            self.sets.restore(set, users, false);
        }
    }

    /// Closes the periods whose time for late events is over on a day. Answers what that changed: nothing where none is open
    /// that long.
    pub fn close_periods(&mut self, today: Day, limits: TimeLimits) -> Option<Effect> {
        let last = today.plus(-limits.lateness_days - 1);
        let is_due = self.sets.of_periods().any(|(set, _)| self.end_of(set) <= last);
        if is_due && self.close_up_to(last) { Some(Effect::ClosePeriods { last }) } else { None }
    }

    /// The first day on which [`Self::close_periods`] has something to do; `None` where no period is open.
    #[must_use]
    pub fn closes_on(&self, limits: TimeLimits) -> Option<Day> {
        let ends = self.sets.of_periods().map(|(set, _)| self.end_of(set));
        ends.min().map(|end| end.plus(limits.lateness_days + 1))
    }

    /// Closes every period that ends up to this day: its set goes, and its number remains.
    pub(super) fn close_up_to(&mut self, last: Day) -> bool {
        if self.series.closed().is_some_and(|closed| last <= closed) {
            return false;
        }
        let sets = self.sets.of_periods().map(|(set, _)| set);
        let due: Vec<SetKey> = sets.filter(|&set| self.end_of(set) <= last).collect();
        for set in due {
            for (set, users) in self.sets.take(set, set) {
                if let Some(period) = set.period() {
                    let point = Point { users: users.len() as u32, ..self.series.point(set).unwrap_or_default() };
                    self.series.put(set.event(), period, Some(point));
                }
            }
        }
        self.series.close(last);
        self.grids.trim(last);
        true
    }

    /// The last day that counts in a set that is open for a while. One of no definition that is known has none.
    fn end_of(&self, set: SetKey) -> Day {
        let end = set.period().or_else(|| self.grid_end(set));
        end.map_or(Day::of_unix_s(i64::MIN / 2), Period::last_day)
    }
}
