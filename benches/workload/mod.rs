//! What is measured, the same natively and in WebAssembly. Times come from a clock that is handed in, in nanoseconds.

use std::collections::HashSet;
use std::fmt::Write;
use std::hint::black_box;

use kimball_edge::core::flags::{Condition, FlagSpec, Rollout, Test, User, Value};
use kimball_edge::core::identity::{Keys, UnlinkKey};
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::period::Units;
use kimball_edge::core::sets::user_set::UserSet;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::series::Occurrence;
use kimball_edge::core::state::shard_limits::ShardLimits;
#[cfg(not(feature = "browser"))]
use kimball_edge::core::state::shard_limits::TimeLimits;
use kimball_edge::core::state::snapshot;

/// Runs everything and answers the tables.
pub fn run(clock: &dyn Fn() -> f64) -> String {
    let mut out = String::new();
    let written = user_sets(clock, &mut out)
        .and_then(|()| events(clock, &mut out))
        .and_then(|()| goals(clock, &mut out))
        .and_then(|()| flags(clock, &mut out))
        .and_then(|()| snapshots(clock, &mut out));
    if written.is_err() {
        out.push_str("(a table could not be written)\n");
    }
    out
}

/// Median time of five runs, per item.
pub fn per_item(clock: &dyn Fn() -> f64, items: usize, mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = clock();
            work();
            (clock() - start) / items as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(2).copied().unwrap_or_default()
}

/// A stream of well-mixed numbers (`SplitMix64`, Steele et al. 2014).
pub fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn filled(users: u64) -> UserSet {
    let mut set = UserSet::new();
    for n in 0..users {
        let _ = black_box(set.insert(mixed(n), usize::MAX));
    }
    set
}

fn user_sets(clock: &dyn Fn() -> f64, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nUser set (std HashSet<u64> in the same run for scale)\n")?;
    writeln!(
        out,
        "| users | bytes | bytes/user | insert ns | contains (present) ns | contains (absent) ns | HashSet insert ns |"
    )?;
    writeln!(out, "|---:|---:|---:|---:|---:|---:|---:|")?;
    for users in [100_u64, 10_000, 1_000_000] {
        let rounds = (1_000_000 / users).min(1_000);
        let items = (users * rounds) as usize;
        let set = filled(users);
        let insert = per_item(clock, items, || (0..rounds).for_each(|_| drop(black_box(filled(users)))));
        let probe = |from: u64| {
            per_item(clock, items, || {
                for _ in 0..rounds {
                    for n in from..from + users {
                        black_box(set.contains(mixed(n)));
                    }
                }
            })
        };
        let (present, absent) = (probe(0), probe(users));
        let exact = per_item(clock, items, || {
            for _ in 0..rounds {
                drop(black_box((0..users).map(mixed).collect::<HashSet<u64>>()));
            }
        });
        let bytes = set.memory_bytes();
        let each = bytes as f64 / users as f64;
        writeln!(out, "| {users} | {bytes} | {each:.2} | {insert:.0} | {present:.0} | {absent:.0} | {exact:.0} |")?;
    }
    Ok(())
}

/// What makes operations of numbers of events and users.
pub struct Stream {
    /// The deployment's keys.
    pub keys: Keys,
    /// The key of the namespace.
    pub unlink: UnlinkKey,
}

impl Stream {
    /// With a fixed key.
    pub fn new() -> Self {
        let keys = Keys::new(&[1; 32]);
        let unlink = keys.unlink("default");
        Self { keys, unlink }
    }

    /// A user's event.
    pub fn record(&self, event: u32, user: u64) -> Operation {
        let tag = self.unlink.tag(&event.to_string());
        Operation::Record {
            event,
            tag,
            user: self.keys.user("default", &user.to_string()),
            value: None,
            week: None,
            time: None,
        }
    }

    /// The same event on a day, in the series that events have.
    pub fn on_day(&self, event: u32, user: u64, day: Day) -> Operation {
        let mut operation = self.record(event, user);
        if let Operation::Record { time, .. } = &mut operation {
            *time = Some(Occurrence { day, units: Units::OF_EVENTS });
        }
        operation
    }

    /// Applies a batch without limits.
    pub fn apply(&self, state: &mut Aggregator, operations: &[Operation]) {
        self.apply_on_day(state, operations, Day::MAX);
    }

    /// Applies a batch on a day, without limits.
    pub fn apply_on_day(&self, state: &mut Aggregator, operations: &[Operation], today: Day) {
        let _ = black_box(state.apply(operations, &self.unlink, &ShardLimits::NONE, today));
    }
}

fn events(clock: &dyn Fn() -> f64, out: &mut String) -> std::fmt::Result {
    const USERS: u64 = 100_000;
    let stream = Stream::new();
    let batches = |operation: &dyn Fn(u32, u64) -> Operation| -> Vec<Vec<Operation>> {
        let batch =
            |batch| (batch * 1_000..(batch + 1) * 1_000).map(|user| operation((user % 12) as u32, user)).collect();
        (0..USERS / 1_000).map(batch).collect()
    };
    let day = Day::of_unix_s(1_795_500_000);
    let sides: [(&str, Day, Vec<Vec<Operation>>); 3] = [
        ("without series", day, batches(&|event, user| stream.record(event, user))),
        ("with series", day, batches(&|event, user| stream.on_day(event, user, day))),
        ("with series, on the next day", day.plus(1), batches(&|event, user| stream.on_day(event, user, day.plus(1)))),
    ];
    let apply_all = |state: &mut Aggregator, (_, today, batches): &(&str, Day, Vec<Vec<Operation>>)| {
        for batch in batches {
            stream.apply_on_day(state, batch, *today);
        }
    };
    let [without, with, next_day] = &sides;
    let first = |side| per_item(clock, USERS as usize, || apply_all(&mut Aggregator::default(), side));
    let firsts = [first(without), first(with)];
    let mut state = Aggregator::default();
    apply_all(&mut state, without);
    let mut repeat = |side| per_item(clock, USERS as usize, || apply_all(&mut state, side));
    let repeat_without = repeat(without);
    let mut states: Vec<Aggregator> = Vec::new();
    apply_all(&mut state, with);
    states.resize_with(5, || state.clone());
    let repeat_with = per_item(clock, USERS as usize, || apply_all(&mut state, with));
    let first_of_day = per_item(clock, USERS as usize, || {
        if let Some(mut state) = states.pop() {
            apply_all(&mut state, next_day);
        }
    });
    let start = clock();
    close(&mut state, day.plus(40));
    let closing_ms = (clock() - start) / 1e6;
    writeln!(out, "\nAggregator, batches of 1,000, {USERS} users, 12 events\n")?;
    writeln!(
        out,
        "| | first occurrence ns/event | first of the next day ns/event | repeat within the day ns/event |\n|---|---:|---:|---:|"
    )?;
    writeln!(out, "| {} | {:.0} | | {repeat_without:.0} |", without.0, firsts[0])?;
    if cfg!(feature = "browser") {
        return writeln!(out, "\nA page has no series.");
    }
    writeln!(out, "| {} | {:.0} | {first_of_day:.0} | {repeat_with:.0} |", with.0, firsts[1])?;
    writeln!(out, "| ratio | {:.2} | | {:.2} |", firsts[1] / firsts[0], repeat_with / repeat_without)?;
    writeln!(out, "\nClosing all of that: {closing_ms:.2} ms")
}

#[cfg(not(feature = "browser"))]
fn close(state: &mut Aggregator, today: Day) {
    black_box(state.close_periods(today, TimeLimits::NONE));
}

/// A page has no periods.
#[cfg(feature = "browser")]
const fn close(_: &mut Aggregator, _: Day) {}

fn goals(clock: &dyn Fn() -> f64, out: &mut String) -> std::fmt::Result {
    const USERS: u64 = 1_000;
    writeln!(out, "\nGoal completion, every user having done half of the events\n")?;
    writeln!(out, "| events in the namespace | µs/completion |\n|---:|---:|")?;
    for events in [10_u32, 100, 1_000] {
        let stream = Stream::new();
        let mut prepared = Aggregator::default();
        let tag = stream.unlink.tag(&events.to_string());
        stream.apply(&mut prepared, &[Operation::Goal { event: events, tag }]);
        for user in 0..USERS {
            let done: Vec<Operation> = (0..events)
                .filter(|event| (u64::from(*event) + user) % 2 == 0)
                .map(|event| stream.record(event, user))
                .collect();
            stream.apply(&mut prepared, &done);
        }
        let completions: Vec<Operation> = (0..USERS).map(|user| stream.record(events, user)).collect();
        let mut states: Vec<Aggregator> = (0..5).map(|_| prepared.clone()).collect();
        let each = per_item(clock, USERS as usize, || {
            if let Some(mut state) = states.pop() {
                stream.apply(&mut state, &completions);
            }
        });
        writeln!(out, "| {events} | {:.1} |", each / 1e3)?;
    }
    Ok(())
}

fn flags(clock: &dyn Fn() -> f64, out: &mut String) -> std::fmt::Result {
    const FLAGS: usize = 1_000;
    const USERS: usize = 100;
    let condition = |n: usize| Condition {
        property: format!("property {}", n % 20),
        test: Test::In((0..50_i128).map(Value::Integer).collect::<Vec<_>>().into()),
    };
    let running = Rollout { start: 0, end: 1_000_000, reached: None };
    let specs: Vec<FlagSpec> = (0..FLAGS)
        .map(|n| FlagSpec {
            name: format!("feature number {n}"),
            boolean: false,
            conditions: (0..3).map(|more| condition(n + more)).collect(),
            rollout: Some(running),
        })
        .collect();
    let users: Vec<User> = (0..USERS)
        .map(|n| User {
            id: Some(format!("user-{n}")),
            properties: (0..20).map(|p| (format!("property {p}"), Value::Integer(50 + p))).collect(),
        })
        .collect();
    let each = per_item(clock, USERS, || {
        for user in &users {
            black_box(specs.iter().filter(|flag| flag.evaluate(user, 500_000, &mut || 0)).count());
        }
    });
    writeln!(
        out,
        "\n{FLAGS} flags for one user, each with three conditions `in` 50 values, none met, and a rollout\n"
    )?;
    writeln!(out, "| µs/user |\n|---:|\n| {:.0} |", each / 1e3)
}

fn snapshots(clock: &dyn Fn() -> f64, out: &mut String) -> std::fmt::Result {
    const USERS: u64 = 1_000_000;
    let stream = Stream::new();
    let mut state = Aggregator::default();
    for user in 0..USERS {
        stream.apply(&mut state, &[stream.record(0, user)]);
    }
    let sections = snapshot::encode_all(&state);
    let bytes: usize = sections.iter().map(Vec::len).sum();
    let encode = per_item(clock, 1, || drop(black_box(snapshot::encode_all(&state))));
    let decode = per_item(clock, 1, || {
        let mut state = Aggregator::default();
        for section in &sections {
            let _ = black_box(snapshot::decode(&mut state, section));
        }
    });
    writeln!(out, "\nSnapshot of {USERS} users who did one event (the event's set and the set of all users)\n")?;
    writeln!(out, "| bytes in memory | bytes stored | encode ms | decode ms |\n|---:|---:|---:|---:|")?;
    writeln!(out, "| {} | {bytes} | {:.1} | {:.1} |", state.memory_bytes(), encode / 1e6, decode / 1e6)
}
