//! What an isolate counts about itself, in memory only. Bounded by the table of routes and the codes of errors.
//!
//! Work is timed from its begin to its end, where the clock goes on meanwhile. On Cloudflare it stands still until the
//! next I/O: there, the time is that until a timer set at the end has fired, and includes what else is run before it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use worker::Delay;
use worker::wasm_bindgen_futures::spawn_local;

use crate::api::code::Code;
use crate::core::order::map_of;
use crate::core::requests::Level;
use crate::edge::host::clock;
use crate::messages::shard::{Durations, Totals};

impl Durations {
    /// Adds another's.
    const fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum_ms += other.sum_ms;
    }
}

/// What the shards of all these isolates have done, each isolate named by its number and counted once.
pub fn totals_of(isolates: impl IntoIterator<Item = (u64, Totals)>) -> Totals {
    let isolates = map_of(isolates);
    let mut totals = Totals::default();
    for isolate in isolates.into_values() {
        totals.accepted += isolate.accepted;
        totals.repeated += isolate.repeated;
        totals.batches += isolate.batches;
        totals.rows_written += isolate.rows_written;
        totals.loads.merge(isolate.loads);
        totals.compactions.merge(isolate.compactions);
    }
    totals
}

/// Work of a shard that is timed.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// Reading the state from storage.
    Load,
    /// Writing the snapshot and emptying the journal.
    Compaction,
}

/// A route, its method and the status that it was answered with.
pub type Answered = (&'static str, &'static str, u16);

/// What the Worker of one isolate has done since the isolate began.
#[derive(Debug, Clone, Default)]
pub struct WorkerTotals {
    /// Answers.
    pub requests: BTreeMap<Answered, u64>,
    /// Events of refused requests.
    pub refused: BTreeMap<Code, u64>,
    /// Events of acknowledged requests, with the time of their requests.
    pub added: Durations,
    /// Acknowledged requests by what their sender kept of its events: the name of a level, or `unsaid`.
    pub kept: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Isolate {
    id: u64,
    began_ms: u64,
    worker: WorkerTotals,
    shards: Totals,
}

thread_local! {
    static ISOLATE: RefCell<Isolate> = RefCell::default();
    /// Whether the clock was ever seen to go on without I/O.
    static CLOCK_GOES_ON: Cell<bool> = const { Cell::new(false) };
    /// Objects that could not be asked when that was last tried; no more than there are shards.
    static UNREACHABLE: RefCell<BTreeSet<String>> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Isolate) -> T) -> T {
    ISOLATE.with_borrow_mut(|isolate| {
        if isolate.id == 0 {
            isolate.id = getrandom::u64().unwrap_or_default().max(1);
            isolate.began_ms = clock::now_ms();
        }
        work(isolate)
    })
}

/// Counts an answer; `route` is the path of the table, or `other`.
pub fn answered(route: &'static str, method: &'static str, status: u16) {
    with(|isolate| *isolate.worker.requests.entry((route, method, status)).or_default() += 1);
}

/// Counts the events of a request that was acknowledged.
pub fn added(events: u64, started_ms: u64) {
    let sum_ms = clock::now_ms().saturating_sub(started_ms);
    with(|isolate| isolate.worker.added.merge(Durations { count: events, sum_ms }));
}

/// Counts an acknowledged request by what its sender kept.
pub fn kept(level: Option<Level>) {
    with(|isolate| *isolate.worker.kept.entry(level.map_or("unsaid", Level::name)).or_default() += 1);
}

/// Counts the events of a request that was refused.
pub fn refused(events: u64, reason: Code) {
    with(|isolate| *isolate.worker.refused.entry(reason).or_default() += events);
}

/// Counts batches, and what their events were to a shard.
pub fn applied(batches: u64, accepted: u64, repeated: u64) {
    with(|isolate| {
        isolate.shards.batches += batches;
        isolate.shards.accepted += accepted;
        isolate.shards.repeated += repeated;
    });
}

/// Counts rows that a shard has written.
pub fn wrote(rows: u64) {
    with(|isolate| isolate.shards.rows_written += rows);
}

/// Notes whether an object could be asked.
pub fn reached(object: &str, is_reached: bool) {
    UNREACHABLE.with_borrow_mut(|unreachable| {
        if is_reached {
            unreachable.remove(object);
        } else {
            unreachable.insert(object.to_owned());
        }
    });
}

/// How many objects could not be asked when this isolate last tried.
pub fn unreachable() -> u64 {
    UNREACHABLE.with_borrow(|unreachable| unreachable.len() as u64)
}

/// Does some work of a shard without I/O that is awaited, and counts it with its time if it succeeds.
///
/// # Errors
/// Those of the work.
pub fn timed<T, E>(kind: Work, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let started_ms = clock::now_ms();
    let done = work()?;
    if clock::now_ms() > started_ms {
        CLOCK_GOES_ON.set(true);
    }
    if CLOCK_GOES_ON.get() {
        worked(kind, started_ms);
    } else {
        spawn_local(async move {
            Delay::from(Duration::ZERO).await;
            worked(kind, started_ms);
        });
    }
    Ok(done)
}

fn worked(kind: Work, started_ms: u64) {
    let once = Durations { count: 1, sum_ms: clock::now_ms().saturating_sub(started_ms) };
    with(|isolate| match kind {
        Work::Load => isolate.shards.loads.merge(once),
        Work::Compaction => isolate.shards.compactions.merge(once),
    });
}

/// The isolate's own number, and what its shards have done.
pub fn shards() -> (u64, Totals) {
    with(|isolate| (isolate.id, isolate.shards))
}

/// What the Worker has done, and when the isolate began, in Unix milliseconds.
pub fn worker() -> (WorkerTotals, u64) {
    with(|isolate| (isolate.worker.clone(), isolate.began_ms))
}
