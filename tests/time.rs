//! Series beside exact sets: days, weeks and months of events and of anybody, through any history.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use kimball_edge::core::identity::{Keys, UnlinkKey};
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::period::{Kept, Period, Unit, Units};
use kimball_edge::core::state::aggregator::{Aggregator, Group, Operation};
use kimball_edge::core::state::effect::Effect;
use kimball_edge::core::state::journal;
use kimball_edge::core::state::series::{Occurrence, Point};
use kimball_edge::core::state::shard_limits::{ShardLimits, TimeLimits};
use kimball_edge::core::state::snapshot;
use kimball_edge::core::state::sum::Sum;
use proptest::prelude::*;

const START: i64 = 1_640_000_000;
const TIME: TimeLimits = TimeLimits { lateness_days: 2, fingerprints: u64::MAX };
/// Of event 0 to 3: all units, the usual ones, weeks alone, none.
const UNITS: [Units; 4] = [Units::ALL, Units::OF_EVENTS, Units::of_bits(2), Units::NONE];

/// A step of points, and of values, for each of the five series.
const POINTS_OF_A_BATCH_BYTES: u64 = 5 * 8 * (16 + 24);

fn limits() -> ShardLimits {
    ShardLimits { time: TIME, ..ShardLimits::NONE }
}

fn day(nth: i64) -> Day {
    Day::of_unix_s(START + nth * 86_400)
}

struct World {
    keys: Keys,
    unlink: UnlinkKey,
}

impl World {
    fn new() -> Self {
        let keys = Keys::new(&[7; 32]);
        let unlink = keys.unlink("default");
        Self { keys, unlink }
    }

    fn record(&self, event: u32, user: u32, value: Option<f64>, on: Day) -> Operation {
        let (tag, user) = (self.unlink.tag(&event.to_string()), self.keys.user("default", &user.to_string()));
        let time = Some(Occurrence { day: on, units: UNITS[event as usize] });
        Operation::Record { event, tag, user, value, week: None, time }
    }
}

/// What one event of a history is: on which day it comes, of which day it is, and what.
#[derive(Debug, Clone, Copy)]
struct Happening {
    event: u32,
    user: u32,
    value: Option<f64>,
    late: i64,
}

/// A day of a history: its batches, and whether the state is stored and read before each.
#[derive(Debug, Clone)]
struct DayOfHistory {
    pause: i64,
    batches: Vec<(Vec<Happening>, bool)>,
}

fn history() -> impl Strategy<Value = Vec<DayOfHistory>> {
    let event = (0..4_u32, 0..12_u32, prop::option::weighted(0.3, 0..9_i32), -3..5_i64).prop_map(
        |(event, user, value, late)| Happening {
            event,
            user,
            value: value.map(f64::from),
            late: late.max(0) * i64::from(late > 1) - i64::from(late < -2),
        },
    );
    let batch = (prop::collection::vec(event, 0..12), any::<bool>());
    let day = (1..4_i64, prop::collection::vec(batch, 0..4))
        .prop_map(|(pause, batches)| DayOfHistory { pause: if pause == 3 { 20 } else { 1 }, batches });
    prop::collection::vec(day, 1..12)
}

/// The exact numbers.
#[derive(Default)]
struct Model {
    seen: BTreeSet<(Option<u32>, u32)>,
    users: BTreeMap<(Option<u32>, Period), BTreeSet<u32>>,
    firsts: BTreeMap<(Option<u32>, Period), (u32, Option<f64>)>,
}

impl Model {
    fn record(&mut self, Happening { event, user, value, late }: Happening, today: Day) {
        let is_first = self.seen.insert((Some(event), user));
        let is_new = self.seen.insert((None, user));
        let on = today.plus(-late);
        if on.plus(2) < today || on > today.plus(1) {
            return;
        }
        for (of, units, is_first) in [(Some(event), UNITS[event as usize], is_first), (None, Units::ALL, is_new)] {
            for unit in units.iter() {
                let period = Period::of(unit, on);
                self.users.entry((of, period)).or_default().insert(user);
                if is_first {
                    let (users, sum) = self.firsts.entry((of, period)).or_default();
                    *users += 1;
                    if let (Some(value), Some(_)) = (value, of) {
                        *sum = Some(sum.unwrap_or(0.0) + value);
                    }
                }
            }
        }
    }
}

fn numbers(state: &Aggregator, of: Option<u32>, unit: Unit) -> Vec<(Period, u32, u32, Option<f64>)> {
    let points = state.points(of, Period::of(unit, day(-900)), Period::of(unit, day(900)));
    let point = |(period, point): (Period, Point)| {
        assert!(!point.is_over);
        (period, point.users, point.first_users, point.value.map(Sum::value))
    };
    points.into_iter().map(point).collect()
}

fn all(state: &Aggregator) -> Vec<u8> {
    snapshot::encode_all(state).concat()
}

/// What a state is after it was stored and read; its journal is replayed over an older snapshot.
fn restarted(snapshot: &[Vec<u8>], rows: &[Vec<u8>]) -> Aggregator {
    let mut state = Aggregator::default();
    for section in snapshot {
        snapshot::decode(&mut state, section).unwrap();
    }
    for row in rows {
        state.restore(&journal::decode(row).unwrap()).unwrap();
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn series_are_those_of_exact_sets_after_any_history(days in history()) {
        let world = World::new();
        let (mut state, mut model, mut today) = (Aggregator::default(), Model::default(), day(0));
        let (mut stored, mut rows): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for DayOfHistory { pause, batches } in days {
            today = today.plus(pause);
            let closed: Vec<Effect> = state.close_periods(today, TIME).into_iter().collect();
            rows.push(journal::encode(&closed));
            for (batch, restarts) in batches {
                if restarts {
                    let read = restarted(&stored, &rows);
                    prop_assert_eq!(all(&read), all(&state));
                    state = read;
                    stored = snapshot::encode_all(&state);
                    rows.clear();
                }
                let operations: Vec<Operation> =
                    batch.iter().map(|event| world.record(event.event, event.user, event.value, today.plus(-event.late))).collect();
                let effects = state.apply(&operations, &world.unlink, &limits(), today).unwrap();
                rows.push(journal::encode(&effects));
                for &happening in &batch {
                    model.record(happening, today);
                }
            }
        }
        // All that is open closes: what remains are numbers.
        today = today.plus(60);
        state.close_periods(today, TIME);
        prop_assert_eq!(state.sets().of_periods().count(), 0);
        for of in [None, Some(0), Some(1), Some(2), Some(3)] {
            for unit in Unit::ALL {
                let expected: Vec<_> = model.users.iter().filter(|((event, period), _)| *event == of && period.unit() == unit).map(|(key, users)| {
                    let (first_users, value) = model.firsts.get(key).copied().unwrap_or_default();
                    (key.1, users.len() as u32, first_users, value)
                }).collect();
                prop_assert_eq!(numbers(&state, of, unit), expected, "{:?} {:?}", of, unit);
            }
        }
    }

    /// A refused batch leaves nothing behind, and memory is as before; a group is what its batches are one by one.
    #[test]
    fn batches_are_all_or_nothing_and_groups_what_they_are_alone(days in history()) {
        let world = World::new();
        let (mut alone, mut grouped) = (Aggregator::default(), Aggregator::default());
        let mut today = day(0);
        for DayOfHistory { pause, batches } in days {
            today = today.plus(pause);
            alone.close_periods(today, TIME);
            grouped.close_periods(today, TIME);
            let mut group = Group::default();
            for (batch, _) in &batches {
                let mut operations: Vec<Operation> =
                    batch.iter().map(|event| world.record(event.event, event.user, event.value, today.plus(-event.late))).collect();
                let of_another_name = Operation::Goal { event: 0, tag: 1 };
                operations.push(of_another_name);
                let before = (all(&grouped), grouped.memory_bytes());
                if grouped.counter(0).is_some() {
                    let refused = grouped.apply_in_group(&operations, &world.unlink, &limits(), today, &mut group);
                    prop_assert!(refused.is_err());
                    prop_assert_eq!((all(&grouped), grouped.memory_bytes()), before);
                }
                operations.pop();
                grouped.apply_in_group(&operations, &world.unlink, &limits(), today, &mut group).unwrap();
                alone.apply(&operations, &world.unlink, &limits(), today).unwrap();
            }
            grouped.finish_group(&mut group, &world.unlink, &limits());
            assert!(group.is_finished());
            prop_assert_eq!(all(&grouped), all(&alone));
        }
    }

    /// Whatever there is of room: base counters are as without series, what is told of a period is no more than the truth, it is
    /// the truth where nothing is said to be missing, and a replay has the same.
    #[test]
    fn where_there_is_no_room_series_say_so_and_nothing_else_suffers(
        days in history(),
        fingerprints in 1..60_u64,
        memory_bytes in prop::option::of(2_000..30_000_u64),
    ) {
        let world = World::new();
        let time = TimeLimits { fingerprints, ..TIME };
        let small = ShardLimits { time, memory_bytes: memory_bytes.unwrap_or(u64::MAX), ..ShardLimits::NONE };
        let (mut state, mut without, mut replayed) = (Aggregator::default(), Aggregator::default(), Aggregator::default());
        let (mut model, mut today) = (Model::default(), day(0));
        for DayOfHistory { pause, batches } in days {
            today = today.plus(pause);
            let closed: Vec<Effect> = state.close_periods(today, time).into_iter().collect();
            replayed.restore(&closed).unwrap();
            for (batch, _) in &batches {
                let operations: Vec<Operation> =
                    batch.iter().map(|event| world.record(event.event, event.user, event.value, today.plus(-event.late))).collect();
                let before = (all(&state), state.memory_bytes());
                let applied = state.apply(&operations, &world.unlink, &small, today);
                let base: Vec<Operation> = operations.iter().map(|operation| match *operation {
                    Operation::Record { event, tag, user, value, week, .. } => Operation::Record { event, tag, user, value, week, time: None },
                    goal @ Operation::Goal { .. } => goal,
                }).collect();
                if let Ok(effects) = applied {
                    replayed.restore(&journal::decode(&journal::encode(&effects)).unwrap()).unwrap();
                    without.apply(&base, &world.unlink, &ShardLimits::NONE, today).unwrap();
                    for &happening in batch {
                        model.record(happening, today);
                    }
                } else {
                    prop_assert_eq!((all(&state), state.memory_bytes()), before);
                    // Without sets of periods it would not have fitted either: only the numbers take room for good.
                    let mut alone = without.clone();
                    let numbers = state.series().memory_bytes() as u64 + POINTS_OF_A_BATCH_BYTES;
                    let spare = small.memory_bytes.saturating_sub(numbers);
                    let limits = ShardLimits { memory_bytes: spare, ..ShardLimits::NONE };
                    prop_assert!(alone.apply(&base, &world.unlink, &limits, today).is_err());
                }
                prop_assert!(state.memory_bytes() as u64 <= small.memory_bytes);
                prop_assert!(state.sets().in_periods() <= fingerprints);
                prop_assert_eq!(all(&replayed), all(&state));
                prop_assert_eq!(state.report(), without.report());
            }
        }
        let missed = state.series().missed();
        for ((of, period), users) in &model.users {
            let found = state.points(*of, *period, *period).first().map(|(_, point)| *point).unwrap_or_default();
            let is_missed = missed.is_some_and(|missed| period.first_day() <= missed.to && period.last_day() >= missed.from);
            let (first_users, value) = model.firsts.get(&(*of, *period)).copied().unwrap_or_default();
            prop_assert!(found.users as usize <= users.len());
            if !is_missed {
                prop_assert_eq!(found.first_users, first_users, "{:?} {}", of, period);
                prop_assert_eq!(found.value.map(Sum::value), value);
                if !found.is_over {
                    prop_assert_eq!(found.users as usize, users.len(), "{:?} {}", of, period);
                }
            }
        }
    }
}

/// The kept points: the oldest go, and a year of days takes what was told.
#[test]
fn the_oldest_points_go() {
    let world = World::new();
    let mut state = Aggregator::default();
    for nth in 0..500_u32 {
        let today = day(nth.into());
        state.close_periods(today, TIME);
        state.apply([world.record(0, nth, None, today)], &world.unlink, &limits(), today).unwrap();
    }
    let days = state.points(Some(0), Period::of(Unit::Day, day(0)), Period::of(Unit::Day, day(600)));
    // 400 were left at the last closing, and one has come since.
    assert_eq!((days.len(), days[0].0), (401, Period::of(Unit::Day, day(99))));
    assert_eq!(state.series().get(Some(0)).unwrap().dropped(Unit::Day), Some(Period::of(Unit::Day, day(98))));
    assert!(days.iter().all(|(_, point)| point.users == 1 && point.first_users == 1));
    let weeks = state.points(Some(0), Period::of(Unit::Week, day(0)), Period::of(Unit::Week, day(600)));
    assert_eq!(weeks.iter().map(|(_, point)| point.users).sum::<u32>(), 500);
}

/// What is missed outlives a snapshot also where nobody has a point yet.
#[test]
fn days_without_points_are_stored() {
    let world = World::new();
    let (mut state, today) = (Aggregator::default(), day(0));
    // Room for the event and its user, and for nothing of their periods.
    let limits = ShardLimits { memory_bytes: state.memory_bytes() as u64 + 544, ..limits() };
    let effects = state.apply([world.record(0, 1, None, today)], &world.unlink, &limits, today).unwrap();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Miss { .. })), "{effects:?}");
    let missed = state.series().missed();
    assert!(missed.is_some());
    let sections = snapshot::encode_all(&state);
    let mut again = Aggregator::default();
    for section in &sections {
        snapshot::decode(&mut again, section).unwrap();
    }
    assert_eq!(again.series().missed(), missed);
    assert_eq!(snapshot::encode_all(&again), sections);
}

proptest! {
    /// Of every unit that an event has, `begun` is the first day of those on which it has had it without a gap, and events of all of
    /// these are counted in it.
    #[test]
    fn units_that_are_chosen_are_had_from_the_next_day_on(choices in prop::collection::vec(prop::option::weighted(0.4, 0_u8..8), 1..12)) {
        let mut kept = Kept::always(Units::OF_EVENTS);
        // What was had on each day, from a day before the first choice.
        let mut had = vec![Units::OF_EVENTS];
        for (nth, choice) in (1..).zip(&choices) {
            had.push(kept.on(day(nth)));
            if let Some(bits) = *choice {
                kept = kept.changed(Units::of_bits(bits), day(nth));
            }
        }
        had.push(kept.units);
        let today = choices.len() as i64;
        prop_assert_eq!(kept.on(day(today + 1)), kept.units);
        for unit in kept.units.iter() {
            let gap = had.iter().rposition(|units| !units.has(unit)).map(|nth| day(nth as i64 + 1));
            let is_usual = Units::OF_EVENTS.has(unit) && gap.is_none();
            prop_assert_eq!(kept.begun(unit), if is_usual { None } else { gap });
            let begun = gap.unwrap_or_else(|| day(0));
            for nth in 0..=today + 1 {
                if day(nth) >= begun {
                    prop_assert!(kept.on(day(nth)).has(unit), "{:?} on day {}", unit, nth);
                }
            }
        }
    }
}
