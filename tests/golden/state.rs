//! The states that the golden files hold, by version of the formats, and the journals that lead to them.

use kimball_edge::core::identity::Keys;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::week::Week;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::journal;
use kimball_edge::core::state::shard_limits::{ShardLimits, Sizing};

/// Three events, one of them a goal with values and an overflow bucket.
pub fn state() -> (Aggregator, Vec<Vec<u8>>) {
    let keys = Keys::new(&[42; 32]);
    let unlink = keys.unlink("default");
    let limits = ShardLimits { combinations_per_goal: 3, ..ShardLimits::NONE };
    let names = ["Sign up", "Login", "Completed purchase"];
    let tag = |event: u32| unlink.tag(names.get(event as usize).unwrap_or(&""));
    let record = |event: u32, user: u32, value| Operation::Record {
        event,
        tag: tag(event),
        user: keys.user("default", &format!("user-{user}")),
        value,
        week: None,
        time: None,
    };
    let mut state = Aggregator::default();
    let goal = Operation::Goal { event: 2, tag: tag(2) };
    let batches = [
        vec![record(2, 1, None), goal],
        (0..40).map(|user| record(0, user, None)).collect(),
        (0..40).step_by(3).map(|user| record(1, user, Some(f64::from(user) * 0.1))).collect(),
        (0..60).step_by(2).map(|user| record(2, user, Some(-1.5))).collect(),
        (60..70).map(|user| record(1, user, None)).collect(),
        (60..70).map(|user| record(2, user, None)).collect(),
    ];
    let journal = batches
        .iter()
        .map(|batch| journal::encode(&state.apply(batch, &unlink, &limits, Day::MAX).unwrap_or_default()))
        .collect();
    (state, journal)
}

/// An event with weekly cohorts, one of them the overflow that there was then, and one with fingerprints of its own size.
pub fn state_2() -> (Aggregator, Vec<Vec<u8>>) {
    let batches: [Vec<Operation>; 3] = [
        (0..30).map(|user| weekly(0, user, Some(i64::from(user % 4)))).collect(),
        (0..50).map(|user| weekly(1, user, None)).collect(),
        (10..20).map(|user| weekly(1, user, Some(0))).collect(),
    ];
    apply(&mut Aggregator::default(), &batches)
}

/// Events with weekly cohorts of which some have closed: an event of fingerprints of the usual size, and one of its own.
pub fn state_3() -> (Aggregator, Vec<Vec<u8>>) {
    let batches: [Vec<Operation>; 3] = [
        (0..60).map(|user| weekly(0, user, Some(i64::from(user / 12)))).collect(),
        (0..50).map(|user| weekly(1, user, Some(i64::from(user % 2)))).collect(),
        (10..20).map(|user| weekly(1, user, Some(9))).collect(),
    ];
    apply(&mut Aggregator::default(), &batches)
}

/// Events in series, one of them with values and fingerprints of its own size: some days have closed, some are open, one set is over,
/// and of one day something is missing.
#[cfg(not(feature = "browser"))]
#[allow(dead_code, reason = "not every test has it")]
pub fn state_4() -> (Aggregator, Vec<Vec<u8>>) {
    use kimball_edge::core::periods::period::Units;
    use kimball_edge::core::state::series::Occurrence;
    use kimball_edge::core::state::shard_limits::TimeLimits;

    let unlink = Keys::new(&[42; 32]).unlink("default");
    let sizing = Sizing { users_max: 1_000, false_positive_rate: 0.01 };
    let time = TimeLimits { lateness_days: 2, fingerprints: 150 };
    let limits = ShardLimits { time, sizings: [(1, sizing)].into_iter().collect(), ..ShardLimits::NONE };
    let day = |nth: u32| Day::of_unix_s(1_645_000_000 + i64::from(nth) * 86_400);
    let record = |event: u32, user: u32, on: u32| {
        let mut operation = weekly(event, user, None);
        if let Operation::Record { value, time, .. } = &mut operation {
            *value = Some(f64::from(user) / 4.0).filter(|_| event == 1 && user.is_multiple_of(2));
            *time = Some(Occurrence { day: day(on), units: if event == 0 { Units::OF_EVENTS } else { Units::ALL } });
        }
        operation
    };
    let (mut state, mut journal) = (Aggregator::default(), Vec::new());
    for today in 0..6 {
        let mut effects: Vec<_> = state.close_periods(day(today), time).into_iter().collect();
        let batch = (0..20 + today).map(|user| record(user % 2, user + today, today.saturating_sub(user % 4)));
        let no_room = ShardLimits { memory_bytes: state.memory_bytes() as u64 + 1_000, ..limits.clone() };
        let limits = if today == 5 { &no_room } else { &limits };
        effects.extend(state.apply(batch.collect::<Vec<_>>(), &unlink, limits, day(today)).unwrap_or_default());
        journal.push(journal::encode(&effects));
    }
    (state, journal)
}

/// Definitions, and what one grid by day and one by week have counted: cohorts that are open, that have closed and that are over, and
/// returns of a day that are over.
#[cfg(not(feature = "browser"))]
#[allow(dead_code, reason = "not every test has it")]
pub fn state_5() -> (Aggregator, Vec<Vec<u8>>) {
    use kimball_edge::core::periods::period::{Unit, Units};
    use kimball_edge::core::state::definitions::retention::Retention;
    use kimball_edge::core::state::definitions::{Definition, Spec};
    use kimball_edge::core::state::series::Occurrence;
    use kimball_edge::core::state::shard_limits::TimeLimits;

    let unlink = Keys::new(&[42; 32]).unlink("default");
    let day = |nth: u32| Day::of_unix_s(1_645_000_000 + i64::from(nth) * 86_400);
    let grid = |number, since: Option<u32>, returning, unit, periods| Definition {
        number,
        since: since.map(day),
        spec: Spec::Retention(Retention { start: 0, returning, unit, periods }),
    };
    let (mut state, mut journal) = (Aggregator::default(), Vec::new());
    journal.push(journal::encode(&state.define(&[grid(0, None, 1, Unit::Day, 2), grid(7, Some(1), 0, Unit::Week, 3)])));
    for today in 0..12 {
        let time = TimeLimits { lateness_days: 1, fingerprints: if today == 4 { 90 } else { 1_000 } };
        let limits = ShardLimits { time, ..ShardLimits::NONE };
        let record = |user: u32| {
            let mut operation = weekly(user % 2, user / 2 + 5 * today, None);
            if let Operation::Record { time, .. } = &mut operation {
                *time = Some(Occurrence { day: day(today.saturating_sub(user % 2)), units: Units::NONE });
            }
            operation
        };
        let mut effects: Vec<_> = state.close_periods(day(today), time).into_iter().collect();
        let batch: Vec<Operation> = (0..40).map(record).collect();
        effects.extend(state.apply(&batch, &unlink, &limits, day(today)).unwrap_or_default());
        journal.push(journal::encode(&effects));
    }
    (state, journal)
}

/// One more user, in a week behind those of version 2.
pub fn add_a_week(state: &mut Aggregator) {
    apply(state, &[vec![weekly(0, 0, Some(9))]]);
}

fn weekly(event: u32, user: u32, week: Option<i64>) -> Operation {
    let keys = Keys::new(&[42; 32]);
    Operation::Record {
        event,
        tag: keys.unlink("default").tag(if event == 0 { "Login" } else { "Search" }),
        user: keys.user("default", &format!("user-{user}")),
        value: None,
        week: week.and_then(|week| Week::of_unix_s(1_645_000_000 + week * 604_800)),
        time: None,
    }
}

/// Two weeks are kept of each event.
fn apply(state: &mut Aggregator, batches: &[Vec<Operation>]) -> (Aggregator, Vec<Vec<u8>>) {
    let unlink = Keys::new(&[42; 32]).unlink("default");
    let sizing = Sizing { users_max: 1_000, false_positive_rate: 0.01 };
    let limits = ShardLimits { weeks_per_event: 2, sizings: [(1, sizing)].into_iter().collect(), ..ShardLimits::NONE };
    let journal = batches
        .iter()
        .map(|batch| journal::encode(&state.apply(batch, &unlink, &limits, Day::MAX).unwrap_or_default()))
        .collect();
    (state.clone(), journal)
}
