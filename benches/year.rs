//! `make bench-year`: the memory of a shard's state through a year of days, by a population of about 100,000 monthly users.
#![allow(missing_docs, clippy::disallowed_methods, clippy::cast_sign_loss)]

#[allow(dead_code)]
mod workload;

use kimball_edge::core::periods::day::Day;
use kimball_edge::core::settings::limits::{LATENESS_DAYS, SHARD_MEMORY_BYTES, TIME_FINGERPRINTS};
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::shard_limits::{ShardLimits, TimeLimits};
use workload::{Stream, mixed};

const DAYS: u64 = 365;
const SHARDS: u64 = 4;
const EVENTS: u64 = 50;
const BATCH: usize = 1_000;
/// Users by how likely they are to come on a day: who comes nearly daily, weekly, and once in a while.
const USERS: [(u64, f64); 3] = [(8_000, 0.75), (30_000, 0.2), (230_000, 0.012)];
/// Every so many days, of the third kind others come instead.
const STAY_DAYS: u64 = 120;

/// A number from 0 to 1 that depends on what it is drawn for.
fn draw(of: u64) -> f64 {
    mixed(of) as f64 / u64::MAX as f64
}

/// Who comes on a day, and which events they do: some five kinds, those of small numbers most.
fn day_of(day: u64, mut happens: impl FnMut(u32, u64)) -> u64 {
    let (mut first, mut active) = (0, 0);
    for (kind, (users, chance)) in (0_u64..).zip(USERS) {
        for nth in first..first + users {
            let user = if kind == 2 { nth + (day / STAY_DAYS) * 1_000_000 } else { nth };
            if draw(user << 20 | day) < chance {
                active += 1;
                for kind in 0..=mixed(user ^ day << 40) % 9 {
                    // Zipf: the n-th event is done in proportion to 1 / n.
                    let event = (EVENTS as f64).powf(draw(user << 24 ^ day << 8 ^ kind)) - 1.0;
                    happens(event as u32, user);
                }
            }
        }
        first += users;
    }
    active
}

fn main() {
    let stream = Stream::new();
    let time = TimeLimits { lateness_days: LATENESS_DAYS.default as i64, fingerprints: TIME_FINGERPRINTS.default };
    let limits = ShardLimits { time, memory_bytes: SHARD_MEMORY_BYTES.default, ..ShardLimits::NONE };
    let begin = Day::of_unix_s(1_767_225_600);
    let mut shards: Vec<(Aggregator, Vec<Operation>)> =
        (0..SHARDS).map(|_| (Aggregator::default(), Vec::new())).collect();
    let (mut refused, mut active) = (0, 0);
    println!("{SHARDS} shards, {EVENTS} events, all shards together; MiB of memory\n");
    println!(
        "| day | active users of the day | of the month | all ever | state | open periods | fingerprints in them | MiB a million of them |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for nth in 0..DAYS {
        let today = begin.plus(nth as i64);
        for (state, _) in &mut shards {
            state.close_periods(today, time);
        }
        let month: u64 = shards.iter().map(|(state, _)| month_users(state, today)).sum();
        if nth % 30 == 29 || (58..70).contains(&nth) && nth % 3 == 0 {
            print(nth, active, month, &shards);
        }
        active = day_of(nth, |event, user| {
            let at = (mixed(user) % SHARDS) as usize;
            let Some((state, batch)) = shards.get_mut(at) else { return };
            batch.push(stream.on_day(event, user, today));
            if batch.len() == BATCH {
                refused += u64::from(state.apply(&*batch, &stream.unlink, &limits, today).is_err());
                batch.clear();
            }
        });
        for (state, batch) in &mut shards {
            refused += u64::from(state.apply(&*batch, &stream.unlink, &limits, today).is_err());
            batch.clear();
        }
    }
    println!("\n{refused} batches were refused for the memory of a shard ({} MiB).", SHARD_MEMORY_BYTES.default >> 20);
}

fn month_users(state: &Aggregator, today: Day) -> u64 {
    use kimball_edge::core::periods::period::{Period, Unit};
    let month = Period::of(Unit::Month, today.plus(-1));
    state.points(None, month, month).iter().map(|(_, point)| u64::from(point.users)).sum()
}

fn print(nth: u64, active: u64, month: u64, shards: &[(Aggregator, Vec<Operation>)]) {
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let sum = |of: &dyn Fn(&Aggregator) -> usize| shards.iter().map(|(state, _)| of(state)).sum::<usize>();
    let state = mib(sum(&Aggregator::memory_bytes));
    let open = mib(sum(&|state| state.sets().of_periods().map(|(_, users)| users.memory_bytes()).sum()));
    let fingerprints = sum(&|state| state.sets().in_periods() as usize);
    let users: u64 = shards.iter().map(|(state, _)| state.report().users).sum();
    let each = open / fingerprints as f64 * 1e6;
    println!("| {nth} | {active} | {month} | {users} | {state:.1} | {open:.1} | {fingerprints} | {each:.2} |");
}
