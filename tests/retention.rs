//! Retention grids beside exact sets: by day, week and month, through any history, with restarts between any two batches.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use kimball_edge::core::answers::gate::{Gate, Gated};
use kimball_edge::core::answers::retention::Asking;
use kimball_edge::core::identity::{Keys, UnlinkKey};
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::period::{Period, Unit, Units};
use kimball_edge::core::settings::limits::SERIES_POINTS;
use kimball_edge::core::state::aggregator::{Aggregator, Group, Operation};
use kimball_edge::core::state::definitions::retention::Retention;
use kimball_edge::core::state::definitions::{Definition, Spec};
use kimball_edge::core::state::effect::Effect;
use kimball_edge::core::state::grid_report::{CohortReport, GridReport};
use kimball_edge::core::state::journal;
use kimball_edge::core::state::series::Occurrence;
use kimball_edge::core::state::shard_limits::{ShardLimits, TimeLimits};
use kimball_edge::core::state::snapshot;
use proptest::prelude::*;

const START: i64 = 1_640_000_000;
const LATENESS: i64 = 2;
/// Days after which a grid by month has nothing open any more.
const ALL_OVER: i64 = 200;
/// Days of the longest history: numbers of a grid by day go after [`KEPT_DAYS`], and all is to be over before.
const LONGEST: i64 = KEPT_DAYS - ALL_OVER - LATENESS - 1;
const KEPT_DAYS: i64 = SERIES_POINTS[0] as i64;
const TIME: TimeLimits = TimeLimits { lateness_days: LATENESS, fingerprints: u64::MAX };

fn day(nth: i64) -> Day {
    Day::of_unix_s(START + nth * 86_400)
}

/// By day, by week and by month; one whose start is what is returned for; one that begins later.
fn definitions() -> Vec<Definition> {
    let grid = |number, start, returning, unit, periods, since: Option<i64>| Definition {
        number,
        since: since.map(day),
        spec: Spec::Retention(Retention { start, returning, unit, periods }),
    };
    vec![
        grid(0, 0, 1, Unit::Day, 3, None),
        grid(1, 0, 1, Unit::Week, 4, None),
        grid(3, 1, 1, Unit::Month, 2, None),
        grid(9, 2, 0, Unit::Week, 2, Some(9)),
    ]
}

fn asked(definition: &Definition) -> Retention {
    match definition.spec {
        Spec::Retention(grid) => grid,
    }
}

/// What one event of a history is, and of how many days before.
type Happening = (u32, u32, i64);

/// A day of a history: how long after the one before it is, its batches, and whether the state is stored and read before each.
type DayOfHistory = (i64, Vec<(Vec<Happening>, bool)>);

fn history() -> impl Strategy<Value = Vec<DayOfHistory>> {
    let event =
        (0..3_u32, 0..10_u32, -1..7_i64).prop_map(|(event, user, late)| (event, user, if late > 3 { 0 } else { late }));
    let batch = (prop::collection::vec(event, 0..10), any::<bool>());
    let pause = prop_oneof![6 => Just(1), 2 => Just(5), 1 => Just(40)];
    let days = prop::collection::vec((pause, prop::collection::vec(batch, 0..4)), 1..14);
    days.prop_map(|days: Vec<DayOfHistory>| {
        let mut length = 0;
        let is_kept = |(pause, _): &DayOfHistory| {
            length += pause;
            length <= LONGEST
        };
        days.into_iter().take_while(is_kept).collect()
    })
}

/// The exact numbers.
#[derive(Default)]
struct Model {
    seen: BTreeSet<(u32, u32)>,
    cohorts: BTreeMap<(u32, u32), Period>,
    returns: BTreeSet<(u32, u32, Period)>,
}

impl Model {
    fn record(&mut self, (event, user, late): Happening, today: Day) {
        let is_first = self.seen.insert((event, user));
        let on = today.plus(-late);
        if on.plus(LATENESS) < today || on > today.plus(1) {
            return;
        }
        for definition in definitions().iter().filter(|definition| definition.counts_on(on)) {
            let grid = asked(definition);
            let period = Period::of(grid.unit, on);
            if is_first && event == grid.start {
                self.cohorts.insert((definition.number, user), period);
            }
            if event == grid.returning {
                self.returns.insert((definition.number, user, period));
            }
        }
    }

    fn numbers(&self, definition: &Definition) -> BTreeMap<Period, CohortReport> {
        let (number, periods) = (definition.number, asked(definition).periods);
        let mut all: BTreeMap<Period, CohortReport> = BTreeMap::new();
        for (&(_, user), &cohort) in self.cohorts.iter().filter(|((of, _), _)| *of == number) {
            let report = all.entry(cohort).or_insert_with(|| CohortReport {
                seen: vec![0; usize::from(periods) + 1],
                returned: vec![0; periods.into()],
                is_over: false,
            });
            let back = |behind: &u8| self.returns.contains(&(number, user, cohort.after((*behind).into())));
            let back: Vec<u8> = (1..=periods).filter(back).collect();
            report.seen[usize::from(back.last().copied().unwrap_or(0))] += 1;
            for behind in back {
                report.returned[usize::from(behind) - 1] += 1;
            }
        }
        all
    }
}

struct World {
    keys: Keys,
    unlink: UnlinkKey,
    state: Aggregator,
    journal: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let keys = Keys::new(&[7; 32]);
        let unlink = keys.unlink("default");
        let mut world = Self { keys, unlink, state: Aggregator::default(), journal: Vec::new() };
        let defined = world.state.define(&definitions());
        world.note(&defined);
        assert_eq!(world.state.define(&definitions()), []);
        world
    }

    fn note(&mut self, effects: &[Effect]) {
        let row = journal::encode(effects);
        assert_eq!(journal::decode(&row).unwrap(), effects);
        self.journal.push(row);
    }

    fn operations(&self, batch: &[Happening], today: Day) -> Vec<Operation> {
        let record = |&(event, user, late): &Happening| {
            let (tag, user) = (self.unlink.tag(&event.to_string()), self.keys.user("default", &user.to_string()));
            let time = Some(Occurrence { day: today.plus(-late), units: Units::OF_EVENTS });
            Operation::Record { event, tag, user, value: None, week: None, time }
        };
        batch.iter().map(record).collect()
    }

    fn apply(&mut self, batch: &[Happening], today: Day, limits: &ShardLimits) {
        let closed = self.state.close_periods(today, limits.time);
        let operations = self.operations(batch, today);
        let (before, told) = (self.state.memory_bytes(), self.state.growth_bytes(operations.iter()));
        let effects = self.state.apply(operations, &self.unlink, limits, today).unwrap();
        assert!(self.state.memory_bytes() <= before + told);
        self.note(&closed.into_iter().chain(effects).collect::<Vec<_>>());
    }

    fn play(&mut self, history: &[DayOfHistory], limits: &ShardLimits, mut also: impl FnMut(&Happening, Day)) -> Day {
        let mut today = day(0);
        for (pause, batches) in history {
            today = today.plus(*pause);
            for (batch, restarts) in batches {
                if *restarts {
                    self.state = stored(&self.state);
                }
                self.apply(batch, today, limits);
                for happening in batch {
                    also(happening, today);
                }
            }
        }
        today
    }

    fn numbers(&self, definition: &Definition) -> BTreeMap<Period, CohortReport> {
        GridReport::of(&self.state, definition.number).cohorts.into_iter().collect()
    }

    /// A journal that is replayed, at once or over the snapshot that it led to, is the same state.
    fn check_replay(&self) {
        let stored_as = snapshot::encode_all(&self.state);
        let effects: Vec<Effect> = self.journal.iter().flat_map(|row| journal::decode(row).unwrap()).collect();
        let mut replayed = Aggregator::default();
        replayed.restore(&effects).unwrap();
        assert_eq!(snapshot::encode_all(&replayed), stored_as);
        let again: Vec<Effect> =
            effects.into_iter().filter(|effect| matches!(effect, Effect::Grid { .. } | Effect::Define(_))).collect();
        replayed.restore(&again).unwrap();
        assert_eq!(snapshot::encode_all(&replayed), stored_as);
    }
}

fn stored(state: &Aggregator) -> Aggregator {
    let mut read = Aggregator::default();
    for section in snapshot::encode_all(state) {
        snapshot::decode(&mut read, &section).unwrap();
    }
    assert_eq!(snapshot::encode_all(&read), snapshot::encode_all(state));
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn grids_are_those_of_exact_sets(history in history()) {
        let (mut world, mut model) = (World::new(), Model::default());
        let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
        let today = world.play(&history, &limits, |&happening, today| model.record(happening, today));
        for definition in definitions() {
            prop_assert_eq!(world.numbers(&definition), model.numbers(&definition), "grid {}", definition.number);
        }
        world.check_replay();
        // Once all is over, numbers are all that is left.
        world.apply(&[], today.plus(ALL_OVER), &limits);
        for definition in definitions() {
            prop_assert_eq!(world.numbers(&definition), model.numbers(&definition), "grid {} closed", definition.number);
        }
        prop_assert_eq!(world.state.sets().in_periods(), 0);
        prop_assert_eq!(world.state.sets().of_periods().count(), 0);
        world.check_replay();
    }

    /// What is not marked as incomplete is exact, and what is has no more than there is.
    #[test]
    fn what_has_no_room_goes_over_for_good(history in history(), fingerprints in 1..60_u64) {
        let (mut world, mut model) = (World::new(), Model::default());
        let limits = ShardLimits { time: TimeLimits { fingerprints, ..TIME }, ..ShardLimits::NONE };
        world.play(&history, &limits, |&happening, today| model.record(happening, today));
        prop_assert!(world.state.sets().in_periods() <= fingerprints);
        for definition in definitions() {
            let (report, exact) = (GridReport::of(&world.state, definition.number), model.numbers(&definition));
            for (cohort, numbers) in &exact {
                let (found, last) = (report.get(*cohort), asked(&definition).last_of(*cohort));
                prop_assert!(found.users() <= numbers.users());
                prop_assert!(found.returned.iter().zip(&numbers.returned).all(|(found, exact)| found <= exact));
                if !found.is_over && !report.lacks(*cohort, last) {
                    prop_assert_eq!(&found, numbers);
                }
            }
            prop_assert!(report.cohorts.iter().all(|(cohort, numbers)| numbers.users() == 0 || exact.contains_key(cohort)));
        }
        world.check_replay();
    }

    /// Where a batch is refused for memory, everything is as before.
    #[test]
    fn a_refused_batch_changes_nothing(history in history(), room in 0..4_000_u64) {
        let mut world = World::new();
        let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
        let today = world.play(&history, &limits, |_, _| {});
        world.state.close_periods(today, TIME);
        let (before, bytes) = (snapshot::encode_all(&world.state), world.state.memory_bytes() as u64);
        let new: Vec<Happening> = (0..400).map(|user| (user % 3, 100 + user / 3, 0)).collect();
        let limits = ShardLimits { memory_bytes: bytes.saturating_sub(2_000) + room, ..limits };
        let operations = world.operations(&new, today);
        if world.state.apply(operations, &world.unlink, &limits, today).is_err() {
            prop_assert_eq!(snapshot::encode_all(&world.state), before);
        }
    }

    /// The order in which events come on a day does not matter, but for which `start` of a user comes first.
    #[test]
    fn returns_and_joins_may_come_in_any_order(history in history(), seed in any::<u64>()) {
        let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
        let on_time: Vec<DayOfHistory> = history.into_iter().map(|(pause, batches)| {
            (pause, batches.into_iter().map(|(batch, restarts)| {
                (batch.into_iter().map(|(event, user, _)| (event, user, 0)).collect(), restarts)
            }).collect())
        }).collect();
        let turned: Vec<DayOfHistory> = on_time.iter().map(|(pause, batches)| {
            let mut batches = batches.clone();
            for (batch, _) in &mut batches {
                batch.sort_by_key(|&(event, user, _)| u64::from(event * 31 + user).wrapping_mul(seed | 1));
            }
            batches.reverse();
            (*pause, batches)
        }).collect();
        let [mut a, mut b] = [World::new(), World::new()];
        a.play(&on_time, &limits, |_, _| {});
        b.play(&turned, &limits, |_, _| {});
        for definition in definitions() {
            prop_assert_eq!(a.numbers(&definition), b.numbers(&definition));
        }
    }
}

/// What a group brings is carried out a part at a time, and that makes no difference.
#[test]
fn a_large_group_is_carried_out_in_parts() {
    let (mut world, mut model) = (World::new(), Model::default());
    let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
    let mut parts = 0;
    for today in 0..3 {
        let batch: Vec<Happening> = (0..3_000).map(|n| (n % 3, n / 3 + 200 * today, 0)).collect();
        let today = day(today.into());
        let (operations, mut group) = (world.operations(&batch, today), Group::default());
        let mut effects = world.state.apply_in_group(operations, &world.unlink, &limits, today, &mut group).unwrap();
        while !group.is_finished() {
            effects.extend(world.state.finish_group(&mut group, &world.unlink, &limits));
            parts += 1;
        }
        world.note(&effects);
        for happening in batch {
            model.record(happening, today);
        }
    }
    assert!(parts > 6, "{parts} parts");
    for definition in definitions() {
        assert_eq!(world.numbers(&definition), model.numbers(&definition));
    }
    world.check_replay();
}

#[test]
fn numbers_of_a_day_go_once_it_is_older_than_what_is_kept_and_those_of_its_week_stay() {
    let mut world = World::new();
    let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
    let [by_day, by_week, ..] = &definitions()[..] else { unreachable!() };
    world.apply(&[(0, 0, 0)], day(0), &limits);
    // What a closing has to close is of the day before.
    let close = |world: &mut World, on: i64| {
        world.apply(&[(0, 1, 0)], day(on - LATENESS - 1), &limits);
        world.apply(&[], day(on), &limits);
    };
    close(&mut world, KEPT_DAYS);
    assert!(world.numbers(by_day).contains_key(&Period::of(Unit::Day, day(0))));
    close(&mut world, KEPT_DAYS + 40);
    assert!(!world.numbers(by_day).contains_key(&Period::of(Unit::Day, day(0))));
    assert!(world.numbers(by_week).contains_key(&Period::of(Unit::Week, day(0))));
    world.check_replay();
}

#[test]
fn a_deleted_definition_leaves_nothing_and_the_others_everything() {
    let mut world = World::new();
    let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
    let batch: Vec<Happening> = (0..60).map(|n| (n % 3, n / 2, 0)).collect();
    (0..20).for_each(|nth| world.apply(&batch, day(nth), &limits));
    let before = world.numbers(&definitions()[1]);
    assert!(before.values().any(|cohort| cohort.users() > 0));
    world.state.delete_definition(0);
    world.state.delete_definition(7);
    assert!(world.state.definitions().get(0).is_none() && world.state.grids().get(0).is_none());
    assert!(world.state.sets().of_periods().all(|(set, _)| set.definition() != Some(0)));
    assert_eq!(world.numbers(&definitions()[1]), before);
    assert_eq!(snapshot::encode_all(&stored(&world.state)), snapshot::encode_all(&world.state));
}

/// Rows of a grid by hand: two shards, one cohort of two users in each, of whom one returned twice and one came late.
#[test]
fn rows_say_what_is_known_and_hide_what_is_small() {
    let definition = &definitions()[1];
    let monday = Period::of(Unit::Week, day(9)).first_day();
    let nth = i64::from(monday.number()) - i64::from(day(0).number());
    let mut shards = [World::new(), World::new()];
    let limits = ShardLimits { time: TIME, ..ShardLimits::NONE };
    for (shard, world) in shards.iter_mut().enumerate() {
        world.apply(&[(0, 1, 0), (0, 2, 0), (1, 1, 0)], day(nth), &limits);
        world.apply(&[(1, 1, 0)], day(nth + 7), &limits);
        world.apply(&[(1, 1, 0), (1, 2, 0)][..=shard], day(nth + 14), &limits);
    }
    let asking = Asking {
        today: day(nth + 15),
        lateness_days: LATENESS,
        since: None,
        now: Period::of(Unit::Week, day(nth + 15)),
        periods: 4,
    };
    let merged = || {
        let [a, b] = shards.each_ref().map(|world| GridReport::of(&world.state, definition.number));
        a.merge(b)
    };
    let open = Gated::new(merged(), Gate::OPEN);
    let rows = serde_json::to_value(asking.rows(&open)).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(
        rows[0],
        serde_json::json!({
            "cohort": Period::of(Unit::Week, day(nth)).to_string(), "users": 4, "state": "open", "complete": true,
            "returned": [2, 3, null, null], "on_or_after": [3, 3, null, null],
        })
    );
    assert_eq!(asking.average(&open), [Some(0.5), None, None, None]);
    let lapsed = |of: &Gated<GridReport>, periods| serde_json::to_value(asking.lapsed(of, periods)).unwrap();
    assert_eq!(lapsed(&open, 2)[0]["users"], 1);
    assert_eq!(lapsed(&open, 1)[0]["users"], 1);
    assert_eq!(lapsed(&open, 3), serde_json::json!([]));
    let gated = Gated::new(merged(), Gate::new(3));
    let row = &serde_json::to_value(asking.rows(&gated)).unwrap()[0];
    assert_eq!(
        (&row["users"], &row["returned"], &row["suppressed"]),
        (&4.into(), &serde_json::json!([null, 3, null, null]), &true.into())
    );
    assert_eq!(asking.average(&gated), [None; 4]);
    assert_eq!(lapsed(&gated, 2)[0], serde_json::json!({"cohort": row["cohort"], "users": null, "suppressed": true}));
}
