//! `make bench-growth`: how costs grow with the users and the events of a shard. Prints tables and plots into docs/.
#![allow(missing_docs, clippy::disallowed_methods)]

#[allow(dead_code)]
mod workload;

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use kimball_edge::core::answers::analytics::Analytics;
use kimball_edge::core::answers::gate::{Gate, Gated};
use kimball_edge::core::format::seal::Seal;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::settings::limits::{JOURNAL_BYTES, JOURNAL_ROWS, SHARD_MEMORY_BYTES};
use kimball_edge::core::state::aggregator::{Aggregator, Operation, Replay};
use kimball_edge::core::state::journal;
use kimball_edge::core::state::shard_limits::ShardLimits;
use kimball_edge::core::state::snapshot;
use plotters::prelude::*;
use workload::{Stream, mixed, per_item};

const BATCH: u64 = 1_000;
/// Events that each user has done.
const DONE: u64 = 2;
/// Bytes that a new user's event takes in a journal row, as far as the row is long.
const JOURNAL_BYTES_PER_EVENT: u64 = 12;
/// Users that complete the goal, the same whatever the number of users, so that reads have the same to tell.
const COMPLETIONS: u64 = 500;

/// Costs in microseconds.
struct Costs {
    memory_bytes: usize,
    event: f64,
    completion: f64,
    read: f64,
    reload: f64,
    compaction: f64,
}

type Series = (&'static str, fn(&Costs) -> f64);

const SERIES: [Series; 5] = [
    ("event", |costs| costs.event),
    ("goal completion", |costs| costs.completion),
    ("read", |costs| costs.read),
    ("reload", |costs| costs.reload),
    ("compaction", |costs| costs.compaction),
];

fn main() -> Result<(), Box<dyn Error>> {
    let users: Vec<(u64, Costs)> = [1_000, 10_000, 100_000, 1_000_000].map(|users| (users, measure(users, 10))).into();
    print("users", &users);
    plot("docs/growth-users.svg", "users of a shard (10 events)", &users)?;
    if let (Some((_, least)), Some((_, most))) = (users.first(), users.last()) {
        println!("\nA read of 1,000,000 users takes {:.2} times that of 1,000 (at most 1.3).", most.read / least.read);
    }
    let events: Vec<(u64, Costs)> = [10, 30, 100, 300, 1_000].map(|events| (events, measure(10_000, events))).into();
    print("events", &events);
    plot("docs/growth-events.svg", "events of a namespace (10,000 users in a shard)", &events)?;
    let (bytes, journal_bytes, ms) = full_reload();
    println!(
        "\nReload of a full shard ({bytes} bytes in memory) with a full journal of {} rows ({journal_bytes} bytes): \
         {ms:.0} ms (at most 300).",
        JOURNAL_ROWS.default
    );
    Ok(())
}

/// A batch of the events of these users, `DONE` each.
fn operations(stream: &Stream, users: std::ops::Range<u64>, events: u64) -> Vec<Operation> {
    users
        .flat_map(|user| (0..DONE).map(move |nth| (user, (mixed(user) + nth * (1 + user % (events - 1))) % events)))
        .map(|(user, event)| stream.record(event as u32, user))
        .collect()
}

/// A state with so many users and events, and a goal behind them.
fn filled(stream: &Stream, users: u64, events: u64) -> Aggregator {
    let mut state = Aggregator::default();
    let goal = events as u32;
    let everything: Vec<Operation> = (0..events).map(|event| stream.record(event as u32, u64::MAX)).collect();
    stream.apply(&mut state, &everything);
    stream.apply(&mut state, &[Operation::Goal { event: goal, tag: stream.unlink.tag(&goal.to_string()) }]);
    for from in (0..users).step_by(BATCH as usize) {
        stream.apply(&mut state, &operations(stream, from..users.min(from + BATCH), events));
    }
    let completions: Vec<Operation> = (0..COMPLETIONS).map(|user| stream.record(goal, user)).collect();
    stream.apply(&mut state, &completions);
    state
}

fn measure(users: u64, events: u64) -> Costs {
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64() * 1e6;
    let stream = Stream::new();
    let mut state = filled(&stream, users, events);
    let names: Vec<String> = (0..=events).map(|event| format!("event {event}")).collect();

    let news = operations(&stream, users..users + BATCH, events);
    let completions: Vec<Operation> =
        (COMPLETIONS..2 * COMPLETIONS).map(|user| stream.record(events as u32, user)).collect();
    let applied = |batch: &[Operation]| {
        let mut copies: Vec<Aggregator> = (0..5).map(|_| state.clone()).collect();
        per_item(&clock, batch.len(), || {
            if let Some(mut copy) = copies.pop() {
                stream.apply(&mut copy, batch);
                std::mem::forget(copy);
            }
        })
    };
    let (event, completion) = (applied(&news), applied(&completions));
    // Often, because one is short.
    let reads = 200;
    let read = per_item(&clock, reads, || {
        for _ in 0..reads {
            let report = Gated::new(black_box(&state).report(), Gate::OPEN);
            let answer = Analytics::of(&report, &names, 1_000);
            black_box(answer.map(|answer| serde_json::to_string(&answer)).is_ok());
        }
    });
    let sections = snapshot::encode_all(&state);
    let reload = per_item(&clock, 1, || {
        black_box(decoded(&sections));
    });
    stream.apply(&mut state, &news);
    let compaction = per_item(&clock, 1, || {
        for section in state.changed() {
            black_box(snapshot::encode(&state, section));
        }
    });
    Costs { memory_bytes: state.memory_bytes(), event, completion, read, reload, compaction }
}

fn decoded(sections: &[Vec<u8>]) -> Aggregator {
    let mut state = Aggregator::default();
    for section in sections {
        let _ = black_box(snapshot::decode(&mut state, section));
    }
    state
}

/// Bytes in memory of a shard that is as full as a shard may be, those of a journal as long as one may be, and the
/// milliseconds of a reload with it.
fn full_reload() -> (usize, usize, f64) {
    let stream = Stream::new();
    let mut state = filled(&stream, 1_000_000, 10);
    let mut users = 1_000_000;
    let limits = ShardLimits { memory_bytes: SHARD_MEMORY_BYTES.default, ..ShardLimits::NONE };
    while state.apply(operations(&stream, users..users + BATCH, 10), &stream.unlink, &limits, Day::MAX).is_ok() {
        users += BATCH;
    }
    let sections = snapshot::encode_all(&state);
    let seal = Seal::new(&stream.keys.seal());
    // As many rows as there may be, that together have as many bytes. New users, taken without a limit.
    let per_row = JOURNAL_BYTES.default / JOURNAL_ROWS.default / JOURNAL_BYTES_PER_EVENT;
    let journal: Vec<Vec<u8>> = (0..JOURNAL_ROWS.default)
        .filter_map(|row| {
            let first = users + BATCH + row * per_row;
            let operations: Vec<_> =
                (first..first + per_row).map(|user| stream.record((user % 10) as u32, user)).collect();
            let effects = state.apply(&operations, &stream.unlink, &ShardLimits::NONE, Day::MAX).ok()?;
            seal.close([0; 24], &journal::encode(&effects))
        })
        .collect();
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64() * 1e3;
    let ms = per_item(&clock, 1, || {
        let mut state = decoded(&sections);
        let mut replay = Replay::of(&mut state);
        for row in &journal {
            let effects = seal.open(row).and_then(|row| journal::decode(&row));
            black_box(effects.and_then(|effects| replay.add(&effects)).is_ok());
        }
        black_box(replay.finish().is_ok());
        black_box(state);
    });
    (state.memory_bytes(), journal.iter().map(Vec::len).sum(), ms)
}

fn print(of: &str, rows: &[(u64, Costs)]) {
    println!("\n| {of} | bytes | event µs | goal completion µs | read µs | reload ms | compaction ms |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for (count, costs) in rows {
        println!(
            "| {count} | {} | {:.2} | {:.1} | {:.0} | {:.2} | {:.2} |",
            costs.memory_bytes,
            costs.event,
            costs.completion,
            costs.read,
            costs.reload / 1e3,
            costs.compaction / 1e3
        );
    }
}

fn plot(path: &str, label: &str, rows: &[(u64, Costs)]) -> Result<(), Box<dyn Error>> {
    let from = rows.first().map_or(1.0, |(count, _)| *count as f64);
    let to = rows.last().map_or(1.0, |(count, _)| *count as f64);
    let area = SVGBackend::new(path, (760, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .margin_right(48)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((from..to).log_scale(), (0.1..1e6).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(label)
        .y_desc("microseconds")
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_label_formatter(&|us| if *us < 1.0 { format!("{us:.1}") } else { format!("{us:.0}") })
        .draw()?;
    let colours = [
        RGBColor(0, 114, 178),
        RGBColor(213, 94, 0),
        RGBColor(0, 158, 115),
        RGBColor(204, 121, 167),
        RGBColor(60, 60, 60),
    ];
    for ((name, cost), colour) in SERIES.into_iter().zip(colours) {
        let points: Vec<(f64, f64)> = rows.iter().map(|(count, costs)| (*count as f64, cost(costs))).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(PointSeries::of_element(points, 4, colour.filled(), &|at, size, style| {
            Circle::new(at, size, style)
        }))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    area.present()?;
    Ok(())
}
