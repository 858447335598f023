//! `make bench-accuracy`: how accurate our user set and the sketches of Apache `DataSketches` are, and what they take.
//!
//! Everything but the times follows from fixed keys, so what is asserted holds in every run or in none; times are not
//! asserted. `--users-max 1000` leaves out what is larger and asks for fewer absent users: the tests run it so.
#![cfg_attr(target_arch = "wasm32", no_main)]
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::disallowed_methods)]

mod sketches;

use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use datasketches::cpc::CpcSketch;
use datasketches::hll::{HllSketch, HllType};
use datasketches::theta::ThetaSketchBuilder;
use kimball_edge::core::sets::user_set::UserSet;
use sketches::{Filter, Sketch, Stream, UserSets, shards};

const USERS_MAX: u64 = 10_000_000;
const USERS: [u64; 6] = [100, 1_000, 10_000, 100_000, 1_000_000, USERS_MAX];
/// Absent users that are asked for at each number of users, over all repetitions.
const PROBES: u64 = 20_000_000;

/// A sketch as its documentation recommends it.
struct Config {
    name: &'static str,
    /// The documented relative error of a count, with so many users in a set: what is expected for the user set, the most
    /// for the filter, one standard deviation for the others.
    error: fn(f64) -> f64,
    /// The most users that a count may be off by, of the number that `error` makes of them.
    off_max: fn(f64) -> f64,
    /// The documented rate of false positives, with so many users in a set; `None` where it knows no members.
    false_positive_rate: Option<fn(f64) -> f64>,
    /// The factor by which the rate may be greater, with so many users.
    false_positive_excess: fn(f64) -> f64,
    measure: fn(&Stream, u64) -> Outcome,
}

const CONFIGS: [Config; 6] = [
    Config {
        name: "user set",
        error: |users| users / (1_u64 << (UserSet::FINGERPRINT_BITS + 1)) as f64,
        off_max: rare_max,
        false_positive_rate: Some(|users| users / (1_u64 << UserSet::FINGERPRINT_BITS) as f64),
        false_positive_excess: |_| 1.0,
        measure: |stream, rounds| measure(stream, rounds, || Ok(UserSets::new(stream))),
    },
    Config {
        name: "Bloom filter, 1e-4",
        error: |_| UserSet::FALSE_POSITIVE_RATE_MAX,
        off_max: rare_max,
        false_positive_rate: Some(|_| UserSet::FALSE_POSITIVE_RATE_MAX),
        // Its double hashing: in a simulation a filter for a hundred users has 2.1e-4 with it and 1.0e-4 with independent
        // hashes, one for a thousand 1.1e-4 and 1.0e-4.
        false_positive_excess: |users| 1.0 + 150.0 / users,
        measure: |stream, rounds| {
            measure(stream, rounds, || Ok(Filter::new(stream, UserSet::FALSE_POSITIVE_RATE_MAX)?))
        },
    },
    Config {
        name: "HLL_8, lg_k 12",
        error: |_| hll_error(12),
        off_max: four_deviations,
        false_positive_rate: None,
        false_positive_excess: |_| 1.0,
        measure: |stream, rounds| measure(stream, rounds, || Ok(HllSketch::new(12, HllType::Hll8)?)),
    },
    Config {
        name: "HLL_4, lg_k 14",
        error: |_| hll_error(14),
        off_max: four_deviations,
        false_positive_rate: None,
        false_positive_excess: |_| 1.0,
        measure: |stream, rounds| measure(stream, rounds, || Ok(HllSketch::new(14, HllType::Hll4)?)),
    },
    Config {
        name: "CPC, lg_k 11",
        // `sqrt(ln 2 / 2) / sqrt(k)`: Lang, "Back to the Future" (2017), for sketches that were not merged.
        error: |_| (std::f64::consts::LN_2 / 2.0 / 2_048.0).sqrt(),
        off_max: four_deviations,
        false_positive_rate: None,
        false_positive_excess: |_| 1.0,
        measure: |stream, rounds| measure(stream, rounds, || Ok(CpcSketch::new(11)?)),
    },
    Config {
        name: "Theta, lg_k 12",
        error: |_| (1.0 / 4_095_f64).sqrt(),
        off_max: four_deviations,
        false_positive_rate: None,
        false_positive_excess: |_| 1.0,
        measure: |stream, rounds| measure(stream, rounds, || Ok(ThetaSketchBuilder::default().lg_k(12).build()?)),
    },
];

/// `sqrt(ln 2) / sqrt(k)`, for sketches that were not merged.
fn hll_error(lg_k: i32) -> f64 {
    (std::f64::consts::LN_2 / 2_f64.powi(lg_k)).sqrt()
}

fn four_deviations(deviation: f64) -> f64 {
    4.0 * deviation
}

/// The most of what is rare and independent: six standard deviations of a Poisson variable above what is expected.
fn rare_max(expected: f64) -> f64 {
    expected + 6.0 * expected.sqrt() + 1.0
}

type Outcome = Result<Sample, Box<dyn Error>>;

/// What one repetition found. Times are nanoseconds of one operation.
struct Sample {
    /// By how much the count was off, relative to the users.
    error: f64,
    memory_bytes: f64,
    serialized_bytes: f64,
    new: f64,
    repeat: f64,
    /// Time of asking for an absent user, and how many of them were taken for present.
    absent: Option<(f64, usize)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let users_max = users_max()?;
    println!("{}. Medians of nanoseconds from a user's 16-byte key on, hashing included.\n", head()?);
    println!(
        "| users | sketch | error %, root mean square | greatest | documented | bytes in memory | serialized \
         | new ns | repeat ns | absent ns | false positives per million (documented) |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for users in USERS.into_iter().filter(|users| *users <= users_max) {
        let repetitions = (20_000_000 / users).clamp(5, 100);
        let probes = PROBES.min(users_max * 200) / repetitions;
        // Less than that takes no longer than the clock.
        let rounds = (users_max.min(20_000) / users).max(1);
        let mut samples = CONFIGS.map(|_| Vec::new());
        for repetition in 0..repetitions {
            let stream = Stream::new(repetition, users, probes);
            for (config, samples) in CONFIGS.iter().zip(&mut samples) {
                samples.push((config.measure)(&stream, rounds)?);
            }
        }
        for (config, samples) in CONFIGS.iter().zip(&samples) {
            println!("{}", row(config, users, probes * repetitions, samples));
        }
    }
    println!("\n{ANSWERS}");
    Ok(())
}

/// The greatest number of users that is asked for by `--users-max`, or all.
fn users_max() -> Result<u64, Box<dyn Error>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--users-max").skip(1);
    Ok(arguments.next().map_or(Ok(USERS_MAX), |number| number.parse())?)
}

/// What was measured, and on what.
fn head() -> Result<String, Box<dyn Error>> {
    let after = |text: &str, start: &str, end: char| {
        text.split_once(start).and_then(|(_, rest)| rest.split(end).next()).map(|found| found.trim().to_owned())
    };
    let datasketches = after(include_str!("../Cargo.lock"), "name = \"datasketches\"\nversion = \"", '"');
    let rustc = Command::new("rustc").arg("--version").output()?;
    let rustc = after(&String::from_utf8(rustc.stdout)?, "rustc ", ' ');
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| after(&text, "model name\t:", '\n'));
    Ok(format!(
        "Kimball Edge {}, datasketches {}, Rust {}, {} × {}",
        env!("CARGO_PKG_VERSION"),
        datasketches.unwrap_or_default(),
        rustc.unwrap_or_default(),
        std::thread::available_parallelism()?,
        processor.unwrap_or_else(|| std::env::consts::ARCH.into()),
    ))
}

/// Fills a sketch from nothing, so often, and asks the last one.
fn measure<S: Sketch>(stream: &Stream, rounds: u64, empty: impl Fn() -> Result<S, Box<dyn Error>>) -> Outcome {
    let users = stream.users.len() as f64;
    let per_item = |start: Instant, items: f64| start.elapsed().as_secs_f64() * 1e9 / items;
    let mut sketch = empty()?;
    let start = Instant::now();
    for _ in 0..rounds {
        sketch = empty()?;
        for user in &stream.users {
            black_box(sketch.insert(*user));
        }
    }
    let new = per_item(start, users * rounds as f64);
    let (count, memory_bytes, serialized_bytes) = (sketch.count(), sketch.memory_bytes(), sketch.serialized_bytes());

    let start = Instant::now();
    let mut absent = 0;
    for _ in 0..rounds {
        absent += stream.users.iter().filter(|user| sketch.insert(**user)).count();
    }
    let repeat = per_item(start, users * rounds as f64);
    assert_eq!(absent, 0, "repeats were taken for new");
    assert!((sketch.count() - count).abs() < 0.5, "repeats were counted");

    let start = Instant::now();
    let present = stream.absent.iter().filter(|user| sketch.contains(**user) == Some(true)).count();
    let time = per_item(start, stream.absent.len() as f64);
    let answers = || stream.users.iter().filter_map(|user| sketch.contains(*user));
    assert!(answers().all(|is_present| is_present), "users were forgotten");
    Ok(Sample {
        error: count / users - 1.0,
        memory_bytes: memory_bytes as f64,
        serialized_bytes: serialized_bytes as f64,
        new,
        repeat,
        absent: answers().next().map(|_| (time, present)),
    })
}

/// One row of the table, once what is documented has been found to be so.
fn row(config: &Config, users: u64, probes: u64, samples: &[Sample]) -> String {
    let shards = shards(users);
    let in_a_set = users as f64 / f64::from(shards);
    let documented = (config.error)(in_a_set);
    let greatest = samples.iter().map(|sample| sample.error.abs()).fold(0.0, f64::max);
    let mean_square = samples.iter().map(|sample| sample.error.powi(2)).sum::<f64>() / samples.len() as f64;
    let off_max = (config.off_max)(documented * users as f64);
    assert!(greatest * users as f64 <= off_max, "{}, {users} users: {greatest} off", config.name);

    let false_positives = config.false_positive_rate.map_or(String::new(), |rate| {
        let found = samples.iter().filter_map(|sample| sample.absent).map(|(_, found)| found as f64).sum::<f64>();
        let most = rare_max(rate(in_a_set) * (config.false_positive_excess)(users as f64) * probes as f64);
        assert!(found <= most, "{}, {users} users: {found} false positives of {probes}", config.name);
        format!("{:.2} ({:.2})", found / probes as f64 * 1e6, rate(in_a_set) * 1e6)
    });
    let median = |of: fn(&Sample) -> Option<f64>| {
        let mut found: Vec<f64> = samples.iter().filter_map(of).collect();
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).map_or(String::new(), |median| grouped(*median))
    };
    let name = if shards > 1 && config.name == "user set" {
        format!("{}, {shards} shards", config.name)
    } else {
        config.name.into()
    };
    format!(
        "| {} | {name} | {:.4} | {:.4} | {:.4} | {} | {} | {} | {} | {} | {false_positives} |",
        grouped(users as f64),
        mean_square.sqrt() * 100.0,
        greatest * 100.0,
        documented * 100.0,
        median(|sample| Some(sample.memory_bytes)),
        median(|sample| Some(sample.serialized_bytes)),
        median(|sample| Some(sample.new)),
        median(|sample| Some(sample.repeat)),
        median(|sample| sample.absent.map(|(time, _)| time)),
    )
}

/// A number with commas between thousands.
fn grouped(number: f64) -> String {
    let mut digits = format!("{number:.0}");
    let mut at = digits.len();
    while at > 3 {
        at -= 3;
        digits.insert(at, ',');
    }
    digits
}

/// What each can be asked. The errors of merged sketches are documented as `sqrt(3 ln 2 - 1) / sqrt(k)` (HLL) and
/// `ln 2 / sqrt(k)` (CPC).
const ANSWERS: &str = "\
| | user set | Bloom filter | HLL, lg_k 12 | CPC, lg_k 11 | Theta, lg_k 12 |
|---|---|---|---|---|---|
| how many users did it | exact up to collisions | by a number kept beside it | ±1.3 % | ±1.3 % | ±1.6 %, exact at first |
| has this user done it (for repeats, sums and combinations) | yes | yes | no | no | while it holds all |
| take one user back | yes | no | no | no | as an estimate (A not B) |
| merge two | yes | of one size, without its number | yes, then ±1.6 % | yes, then ±1.5 % | yes |
| users of both of two events, afterwards | no, on purpose | of one size, without a number | by subtraction \
| by subtraction | yes |
| no capacity given | up to 6.9 million a set | no | yes | yes | yes |
| bytes stop growing | no | no | yes | yes | yes |";
