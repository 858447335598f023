//! The aggregator against an exact model, and its laws: replay equals state, a reload equals state, a refused batch
//! changes nothing, order and sharding do not matter.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use kimball_edge::core::identity::{Keys, UnlinkKey};
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::week::Week;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::counts;
use kimball_edge::core::state::error::Refusal;
use kimball_edge::core::state::report::Report;
use kimball_edge::core::state::set_key::SetKey;
use kimball_edge::core::state::shard_limits::{ShardLimits, Sizing};
use kimball_edge::core::state::sum::Sum;
use kimball_edge::core::state::{effect, journal, snapshot};
use litemap::LiteMap;
use proptest::prelude::*;

const EVENTS: u32 = 6;

struct World {
    keys: Keys,
    unlink: UnlinkKey,
}

impl World {
    fn new() -> Self {
        let keys = Keys::new(&[5; 32]);
        let unlink = keys.unlink("default");
        Self { keys, unlink }
    }

    fn goal(&self, event: u32) -> Operation {
        Operation::Goal { event, tag: self.unlink.tag(&format!("event {event}")) }
    }

    fn record(&self, event: u32, user: u32, value: Option<f64>) -> Operation {
        let user = self.keys.user("default", &user.to_string());
        Operation::Record {
            event,
            tag: self.unlink.tag(&format!("event {event}")),
            user,
            value,
            week: None,
            time: None,
        }
    }

    fn operation(&self, step: &Step) -> Operation {
        match *step {
            Step::Goal(event) => self.goal(event),
            Step::Record(event, user, value, nth_week) => {
                let mut operation = self.record(event, user, value.map(f64::from));
                if let Operation::Record { week, .. } = &mut operation {
                    *week = nth_week.map(nth);
                }
                operation
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Goal(u32),
    Record(u32, u32, Option<i16>, Option<u8>),
}

/// Weeks around the turn of a year.
fn nth(week: u8) -> Week {
    Week::of_unix_s(1_608_000_000 + i64::from(week) * 7 * 86_400).unwrap()
}

/// Event 0 has small fingerprints, event 1 large ones.
fn sizings(users_max: u64) -> LiteMap<u32, Sizing> {
    let sizing = |false_positive_rate| Sizing { users_max, false_positive_rate };
    [(0, sizing(1e-4)), (1, sizing(1e-9))].into_iter().collect()
}

fn unlimited() -> ShardLimits {
    ShardLimits { sizings: sizings(1_000_000), ..ShardLimits::NONE }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..EVENTS).prop_map(Step::Goal),
        30 => (0..EVENTS, 0..60_u32, prop::option::of(any::<i16>()), prop::option::of(0..5_u8))
            .prop_map(|(e, u, v, w)| Step::Record(e, u, v, w)),
    ]
}

/// What the numbers have to be, by exact sets.
#[derive(Default)]
struct Model {
    done: BTreeMap<u32, BTreeSet<u32>>,
    sums: BTreeMap<u32, i64>,
    goals: BTreeMap<u32, BTreeMap<BTreeSet<u32>, u64>>,
    weeks: BTreeMap<(u32, Week), BTreeSet<u32>>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Goal(event) => {
                self.done.entry(event).or_default();
                self.goals.entry(event).or_default();
            }
            Step::Record(event, user, value, week) => {
                if let Some(week) = week {
                    self.weeks.entry((event, nth(week))).or_default().insert(user);
                }
                let prior = self.done.iter().filter(|(e, users)| **e != event && users.contains(&user));
                let prior: BTreeSet<u32> = prior.map(|(&e, _)| e).collect();
                if !self.done.entry(event).or_default().insert(user) {
                    return;
                }
                if let Some(value) = value {
                    *self.sums.entry(event).or_default() += i64::from(value);
                }
                if let Some(combinations) = self.goals.get_mut(&event) {
                    *combinations.entry(prior).or_default() += 1;
                }
            }
        }
    }

    fn check(&self, report: &Report) {
        let users: BTreeSet<u32> = self.done.values().flatten().copied().collect();
        assert_eq!(report.users, users.len() as u64);
        assert_eq!(report.counters.len(), self.done.len());
        for counter in &report.counters {
            assert_eq!(counter.count, self.done[&counter.event].len() as u64);
            let weeks = self.weeks.iter().filter(|((event, _), _)| *event == counter.event);
            let weeks: LiteMap<Week, u64> = weeks.map(|((_, week), users)| (*week, users.len() as u64)).collect();
            assert_eq!(counter.weeks, weeks);
            let sum = self.sums.get(&counter.event).map(|&sum| sum as f64);
            assert_eq!(counter.sum.map(Sum::value), sum);
            let Some(goal) = &counter.goal else {
                assert!(!self.goals.contains_key(&counter.event));
                continue;
            };
            let expected = &self.goals[&counter.event];
            let listed: BTreeMap<BTreeSet<u32>, u64> =
                goal.combinations.iter().map(|(c, &count)| (c.events().collect(), count)).collect();
            assert_eq!((&listed, goal.other), (expected, 0));
            let mut single = LiteMap::<u32, u64>::new();
            for (combination, count) in expected {
                for &event in combination {
                    *single.entry(event).or_default() += count;
                }
            }
            assert_eq!(goal.single, single);
        }
    }
}

/// What counts have of a report.
fn without_details(mut report: Report) -> Report {
    for counter in &mut report.counters {
        counter.sum = None;
        if let Some(goal) = &mut counter.goal {
            goal.other += std::mem::take(&mut goal.combinations).into_iter().map(|(_, count)| count).sum::<u64>();
        }
    }
    report
}

fn reload(state: &Aggregator) -> Aggregator {
    let mut reloaded = Aggregator::default();
    for section in snapshot::encode_all(state) {
        snapshot::decode(&mut reloaded, &section).unwrap();
    }
    reloaded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn numbers_equal_exact_sets_through_batches_replays_and_reloads(
        steps in prop::collection::vec(step(), 0..700),
        batch_len in 1..50_usize,
        reload_every in 1..8_usize,
    ) {
        let world = World::new();
        let (mut state, mut replayed, mut model) = (Aggregator::default(), Aggregator::default(), Model::default());
        let (mut followed, mut closing, mut closed) = (Report::default(), Aggregator::default(), Report::default());
        let few_weeks = ShardLimits { weeks_per_event: 2, ..unlimited() };
        for (nth, batch) in steps.chunks(batch_len).enumerate() {
            let operations: Vec<Operation> = batch.iter().map(|step| world.operation(step)).collect();
            let effects = state.apply(&operations, &world.unlink, &unlimited(), Day::MAX).unwrap();
            let row = journal::encode(&effects);
            let decoded = journal::decode(&row).unwrap();
            prop_assert_eq!(&decoded, &effects);
            replayed.restore(&decoded).unwrap();
            // A journal that is replayed twice changes nothing the second time.
            replayed.restore(&decoded).unwrap();
            counts::follow(&mut followed, &decoded);
            counts::follow(&mut closed, &closing.apply(&operations, &world.unlink, &few_weeks, Day::MAX).unwrap());
            // Nor does a batch that is sent twice.
            prop_assert!(state.apply(&operations, &world.unlink, &unlimited(), Day::MAX).unwrap().is_empty());
            for step in batch {
                model.apply(step);
            }
            if nth % reload_every == 0 {
                state = reload(&state);
                let stored = counts::encode(&state, nth as u64);
                prop_assert_eq!(counts::decode(&stored), Ok((nth as u64, counts::of(&state))));
                followed = counts::decode(&counts::encode_report(&followed, 7)).unwrap().1;
            }
        }
        prop_assert_eq!(&followed, &counts::of(&state));
        prop_assert_eq!(&closed, &counts::of(&closing));
        prop_assert_eq!(&followed, &without_details(state.report()));
        model.check(&state.report());
        prop_assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
        prop_assert_eq!(replayed.report(), state.report());
    }

    #[test]
    fn a_refused_batch_changes_nothing(
        before in prop::collection::vec(step(), 0..200),
        refused in prop::collection::vec(step(), 1..200),
        memory_bytes in 0..3_000_u64,
        users_per_event in 1..40_u64,
        refuses_goals in any::<bool>(),
    ) {
        let world = World::new();
        let operations = |steps: &[Step]| steps.iter().map(|step| world.operation(step)).collect::<Vec<_>>();
        let mut state = Aggregator::default();
        state.apply(operations(&before), &world.unlink, &unlimited(), Day::MAX).unwrap();
        let limits = ShardLimits {
            memory_bytes: state.memory_bytes() as u64 + memory_bytes,
            users_per_event,
            combinations_per_goal: 3,
            weeks_per_event: 2,
            refuses_goals,
            sizings: sizings(users_per_event),
            ..ShardLimits::NONE
        };
        let (sections, bytes) = (snapshot::encode_all(&state), state.memory_bytes());
        let batch = operations(&refused);
        match state.apply(&batch, &world.unlink, &limits, Day::MAX) {
            Err(_) => {
                prop_assert_eq!(snapshot::encode_all(&state), sections);
                prop_assert_eq!(state.memory_bytes(), bytes);
                prop_assert_eq!(reload(&state).memory_bytes(), bytes);
            }
            Ok(effects) => {
                prop_assert!(!refuses_goals || state.memory_bytes() as u64 <= limits.memory_bytes);
                let mut replayed = Aggregator::default();
                for section in &sections {
                    snapshot::decode(&mut replayed, section).unwrap();
                }
                replayed.restore(&effects).unwrap();
                prop_assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
            }
        }
    }

    #[test]
    fn shards_add_up_in_any_order(steps in prop::collection::vec(step(), 0..400), shards in 1..7_u32) {
        let world = World::new();
        let mut whole = Aggregator::default();
        let mut parts = vec![Aggregator::default(); shards as usize];
        for step in &steps {
            let operation = world.operation(step);
            whole.apply([operation], &world.unlink, &unlimited(), Day::MAX).unwrap();
            let targets = match operation {
                Operation::Goal { .. } => 0..shards,
                Operation::Record { user, .. } => user.shard(shards)..user.shard(shards) + 1,
            };
            for target in targets {
                parts[target as usize].apply([operation], &world.unlink, &unlimited(), Day::MAX).unwrap();
            }
        }
        let reports: Vec<Report> = parts.iter().map(Aggregator::report).collect();
        let forward = reports.iter().cloned().fold(Report::default(), Report::merge);
        let backward = reports.iter().rev().cloned().fold(Report::default(), |sum, report| report.merge(sum));
        prop_assert_eq!(&forward, &backward);
        prop_assert_eq!(forward.users, whole.report().users);
        for (merged, single) in forward.counters.iter().zip(&whole.report().counters) {
            prop_assert_eq!((merged.event, merged.count, &merged.goal), (single.event, single.count, &single.goal));
            prop_assert_eq!(&merged.weeks, &single.weeks);
            prop_assert_eq!(merged.sum.map(Sum::value), single.sum.map(Sum::value));
        }
        prop_assert_eq!(forward.counters.len(), whole.report().counters.len());
    }

    #[test]
    fn decoders_survive_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = journal::decode(&bytes);
        let _ = snapshot::decode(&mut Aggregator::default(), &bytes);
        // The same behind a valid frame, where the checksum no longer protects.
        for version in 1..=5 {
            let _ = journal::decode(&kimball_edge::core::format::bytes::frame(b'J', version, &bytes));
            let _ = snapshot::decode(&mut Aggregator::default(), &kimball_edge::core::format::bytes::frame(b'S', version, &bytes));
        }
    }
}

#[test]
fn combinations_beyond_the_limit_count_in_other() {
    let world = World::new();
    let limits = ShardLimits { combinations_per_goal: 4, ..ShardLimits::NONE };
    let mut state = Aggregator::default();
    let mut effects = state.apply([world.goal(0)], &world.unlink, &limits, Day::MAX).unwrap();
    // Eight users with eight different combinations of three events, twice over.
    for user in 0..16_u32 {
        let mut batch: Vec<Operation> =
            (1..4).filter(|event| user >> (event - 1) & 1 == 1).map(|event| world.record(event, user, None)).collect();
        batch.push(world.record(0, user, None));
        effects.extend(state.apply(&batch, &world.unlink, &limits, Day::MAX).unwrap());
    }
    let report = state.report();
    let goal = report.counters[0].goal.as_ref().unwrap();
    assert_eq!(goal.combinations.len(), 4);
    assert_eq!(goal.combinations.values().sum::<u64>(), 8);
    assert_eq!(goal.other, 8);
    assert_eq!(goal.single.values().sum::<u64>(), 24);
    let mut replayed = Aggregator::default();
    replayed.restore(&effects).unwrap();
    assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
}

#[test]
fn limits_refuse_one_past_them() {
    let world = World::new();
    let limits = ShardLimits { users_per_event: 3, ..ShardLimits::NONE };
    let mut state = Aggregator::default();
    let three: Vec<Operation> = (0..3).map(|user| world.record(0, user, None)).collect();
    state.apply(&three, &world.unlink, &limits, Day::MAX).unwrap();
    assert_eq!(state.apply([world.record(0, 3, None)], &world.unlink, &limits, Day::MAX), Err(Refusal::Users));
    assert_eq!(state.apply(&three, &world.unlink, &limits, Day::MAX), Ok(vec![]));

    let limits = ShardLimits { memory_bytes: state.memory_bytes() as u64, ..ShardLimits::NONE };
    assert_eq!(state.apply([world.record(1, 0, None)], &world.unlink, &limits, Day::MAX), Err(Refusal::Memory));
    assert_eq!(state.apply(&three, &world.unlink, &limits, Day::MAX), Ok(vec![]));

    let Operation::Goal { tag, .. } = world.goal(5) else { unreachable!() };
    let misnamed = Operation::Goal { event: 0, tag };
    assert_eq!(state.apply([misnamed], &world.unlink, &ShardLimits::NONE, Day::MAX), Err(Refusal::Tag));
    let beyond = Operation::Goal { event: 1_000_000, tag };
    assert_eq!(state.apply([beyond], &world.unlink, &ShardLimits::NONE, Day::MAX), Err(Refusal::Tag));
}

#[test]
fn a_counter_setting_bounds_the_users_of_an_event_and_of_each_of_its_weeks() {
    let world = World::new();
    let limits = ShardLimits { sizings: sizings(3), ..ShardLimits::NONE };
    let mut state = Aggregator::default();
    let record = |user, week| world.operation(&Step::Record(0, user, None, Some(week)));
    for user in 0..3 {
        state.apply([record(user, 0)], &world.unlink, &limits, Day::MAX).unwrap();
    }
    let refusal = Refusal::CounterSize { users_max: 3 };
    assert_eq!(state.apply([record(3, 1)], &world.unlink, &limits, Day::MAX), Err(refusal));
    assert_eq!(state.apply([record(2, 1)], &world.unlink, &limits, Day::MAX).map(|effects| effects.len()), Ok(1));
    assert_eq!(state.apply([record(2, 1)], &world.unlink, &limits, Day::MAX), Ok(vec![]));
    let bits = |event| state.counter(event).unwrap().fingerprint_bits;
    assert_eq!(bits(0), 16);
    // Fingerprints of 16 bits keep to 1e-4 for six users, however many a later setting allows.
    let raised = ShardLimits { sizings: sizings(1_000_000), ..ShardLimits::NONE };
    for user in 3..6 {
        state.apply([record(user, 0)], &world.unlink, &raised, Day::MAX).unwrap();
    }
    let refusal = Refusal::CounterSize { users_max: 6 };
    assert_eq!(state.apply([record(6, 0)], &world.unlink, &raised, Day::MAX), Err(refusal));
}

#[test]
fn at_the_limit_the_oldest_week_closes() {
    let world = World::new();
    let limits = ShardLimits { weeks_per_event: 2, ..ShardLimits::NONE };
    let mut state = Aggregator::default();
    let mut journal = Vec::new();
    let mut count = |users: std::ops::Range<u32>, week, limits: &ShardLimits, today| {
        let batch: Vec<Operation> =
            users.map(|user| world.operation(&Step::Record(0, user, None, Some(week)))).collect();
        journal.extend(state.apply(&batch, &world.unlink, limits, today).unwrap());
        let mut replayed = Aggregator::default();
        replayed.restore(&journal).unwrap();
        replayed.restore(&journal).unwrap();
        assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
        assert_eq!(reload(&state).memory_bytes(), state.memory_bytes());
        let weeks = &state.report().counters[0].weeks;
        weeks.iter().map(|(&week, &users)| (week, users)).collect::<Vec<_>>()
    };
    let five: Vec<_> = (0..5).map(|week| count(0..3, week, &limits, Day::MAX)).collect();
    assert_eq!(five[1], [(nth(0), 3), (nth(1), 3)]);
    assert_eq!(five[4], [(Week::OTHER, 9), (nth(3), 3), (nth(4), 3)]);
    // A closed week takes nobody any more, a kept one does.
    assert_eq!(count(3..9, 2, &limits, Day::MAX), five[4]);
    assert_eq!(count(3..4, 3, &limits, Day::MAX), [(Week::OTHER, 9), (nth(3), 4), (nth(4), 3)]);
    // A lower limit closes more with the next new week.
    let one = ShardLimits { weeks_per_event: 1, ..ShardLimits::NONE };
    assert_eq!(count(0..1, 4, &one, Day::MAX), [(Week::OTHER, 9), (nth(3), 4), (nth(4), 3)]);
    assert_eq!(count(0..1, 6, &one, Day::MAX), [(Week::OTHER, 16), (nth(6), 1)]);
    // A week that is older than all that are kept closes at once, and with it whatever is before it.
    assert_eq!(count(0..5, 5, &one, Day::MAX), [(Week::OTHER, 17), (nth(6), 1)]);
    assert_eq!(count(0..5, 5, &ShardLimits::NONE, Day::MAX), [(Week::OTHER, 17), (nth(6), 1)]);
    // A week that is too late is not taken.
    let today = Day::of_unix_s(1_608_000_000 + 6 * 7 * 86_400);
    assert_eq!(count(0..5, 8, &ShardLimits::NONE, today), [(Week::OTHER, 17), (nth(6), 1)]);
    assert_eq!(count(0..5, 7, &ShardLimits::NONE, today), [(Week::OTHER, 17), (nth(6), 1), (nth(7), 5)]);
}

/// Whoever invents weeks, in whatever order, closes invented ones: of the weeks that are as recent as the limit lets them be,
/// every one is exact.
#[test]
fn invented_weeks_never_close_recent_ones() {
    const WEEKS: u64 = 52;
    let world = World::new();
    let present_s = 1_795_000_000;
    let week = |back: i64| Week::of_unix_s(present_s - back * 7 * 86_400).unwrap();
    let limits = ShardLimits { weeks_per_event: WEEKS, ..ShardLimits::NONE };
    let today = Day::of_unix_s(present_s);
    let record = |user: u32, week| {
        let mut operation = world.record(0, user, None);
        if let Operation::Record { week: of, .. } = &mut operation {
            *of = Some(week);
        }
        operation
    };
    // All weeks of 2,000 years before, the real ones among them, and those of a thousand years to come.
    let back = -52_000_i64..104_000;
    let forward: Vec<i64> = back.step_by(7).collect();
    let backward = forward.iter().rev().copied().collect();
    let shuffled = (0..10_000).map(|n| (n * 7_919) % 104_000 - 20_000).collect();
    let orders = [forward, backward, shuffled];
    for invented in orders {
        let mut state = Aggregator::default();
        let real = |users: std::ops::Range<u32>| users.flat_map(|user| (0..3).map(move |back| (user, back)));
        let batch =
            |events: &mut dyn Iterator<Item = (u32, i64)>| events.map(|(u, w)| record(u, week(w))).collect::<Vec<_>>();
        state.apply(batch(&mut real(0..20)), &world.unlink, &limits, today).unwrap();
        let effects =
            state.apply(batch(&mut invented.iter().map(|&week| (1_000, week))), &world.unlink, &limits, today).unwrap();
        assert!(effects.len() <= 3 * invented.len());
        state.apply(batch(&mut real(20..40)), &world.unlink, &limits, today).unwrap();
        let counter = &state.report().counters[0];
        assert!(counter.weeks.len() <= WEEKS as usize + 1);
        assert!(counter.weeks.keys().all(|&kept| kept <= today.latest_week()));
        let kept = |back| counter.weeks.get(&week(back)).copied();
        let own = |back: i64| u64::from(invented.contains(&back));
        for back in 0..3 {
            assert_eq!(kept(back), Some(40 + own(back)), "{back} weeks ago");
        }
    }
}

/// A set of version 2 for all weeks without room stays readable; as the oldest it is the first to close.
#[test]
fn the_overflow_of_version_2_closes_first() {
    let world = World::new();
    let limits = ShardLimits { weeks_per_event: 2, ..ShardLimits::NONE };
    let row = |week| effect::Effect::insert(SetKey::Week(0, week), u64::MAX / 3);
    let mut state = Aggregator::default();
    state.apply([world.record(0, 1, None)], &world.unlink, &limits, Day::MAX).unwrap();
    for week in [nth(0), nth(1), Week::OTHER, Week::OTHER] {
        state.restore(&[row(week)]).unwrap();
    }
    let weeks = |state: &Aggregator| state.report().counters[0].weeks.iter().map(|(&w, &n)| (w, n)).collect::<Vec<_>>();
    assert_eq!(weeks(&state), [(Week::OTHER, 1), (nth(0), 1), (nth(1), 1)]);
    let mut state = reload(&state);
    let effects =
        state.apply([world.operation(&Step::Record(0, 9, None, Some(3)))], &world.unlink, &limits, Day::MAX).unwrap();
    assert_eq!(weeks(&state), [(Week::OTHER, 2), (nth(1), 1), (nth(3), 1)]);
    assert_eq!(effects.len(), 4);
}

#[test]
fn a_closing_without_cohorts_is_corrupt() {
    let world = World::new();
    let mut state = Aggregator::default();
    let close = effect::Effect::Close { last: SetKey::Week(0, nth(0)) };
    assert!(state.restore(std::slice::from_ref(&close)).is_err());
    state.apply([world.record(0, 1, None)], &world.unlink, &ShardLimits::NONE, Day::MAX).unwrap();
    let said = state.restore(&[close]).unwrap_err().to_string();
    assert!(said.starts_with("effect 0 (closed sets of event "), "{said}");
}
