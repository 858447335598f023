//! The alarm of a shard: one, for whatever comes first.
//!
//! It is there for rows of the journal that have no mark yet, and for periods that are open: what has closed is not to lie in
//! files as fingerprints until somebody asks for the shard. All shards close the same days, so the alarms for that are spread
//! over [`CLOSING_SPREAD_MS`], and [`CLOSING_SHARDS`] of an isolate close at a time: each holds descriptors, and loads its state.

use std::cell::Cell;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use worker::Storage;

use super::failure::{Outcome, storage as failed};
use crate::core::periods::day::Day;
use crate::core::settings::limits::{ALARM_OVERDUE_MS, CLOSING_RETRY_MS, CLOSING_SHARDS, CLOSING_SPREAD_MS};
use crate::edge::host::clock;
use crate::edge::host::record;

thread_local! {
    static AT_WORK: Cell<u32> = const { Cell::new(0) };
}

/// One of the shards whose alarm is at work; dropped, it is done.
pub struct AtWork;

impl AtWork {
    /// `None` where there are as many as may be.
    fn begin() -> Option<Self> {
        let others = AT_WORK.get();
        (others < CLOSING_SHARDS).then(|| {
            AT_WORK.set(others + 1);
            Self
        })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(AT_WORK.get() - 1);
    }
}

/// The alarm of a shard, and for when it is set, as far as that is known.
#[derive(Default)]
pub struct Alarm(Cell<Option<u64>>);

impl Alarm {
    /// Notes that the alarm has come. `None` where as many are at work as may be: then it comes again.
    pub async fn begin(&self, storage: &Storage) -> Outcome<Option<AtWork>> {
        self.0.set(None);
        let at_work = AtWork::begin();
        if at_work.is_none() {
            self.set(storage, clock::now_ms() + CLOSING_RETRY_MS).await?;
        }
        Ok(at_work)
    }

    /// Sets the alarm, where none is set that comes as early.
    pub async fn ensure(&self, storage: &Storage, due_ms: Option<u64>) -> Outcome<()> {
        let Some(due_ms) = due_ms else {
            return Ok(());
        };
        // One that should have come long ago does not: the clock was set.
        let oldest_ms = clock::now_ms().saturating_sub(ALARM_OVERDUE_MS);
        if self.0.get().is_some_and(|set_ms| (oldest_ms..=due_ms.max(oldest_ms)).contains(&set_ms)) {
            return Ok(());
        }
        if self.0.replace(Some(due_ms)).is_none() {
            // This instance has set none: an earlier one may have.
            let set = storage.get_alarm().await.map_err(|error| failed(&error)).inspect_err(|_| self.0.set(None))?;
            let set_ms = set.and_then(clock::of_runtime_ms);
            if let Some(set_ms) = set_ms.filter(|&set_ms| set_ms <= due_ms) {
                self.0.set(Some(set_ms));
                return Ok(());
            }
        }
        self.set(storage, due_ms).await
    }

    async fn set(&self, storage: &Storage, due_ms: u64) -> Outcome<()> {
        self.0.set(Some(due_ms));
        let after_ms = clock::in_runtime_ms(due_ms.saturating_sub(clock::now_ms()));
        storage.set_alarm(after_ms as i64).await.map_err(|error| failed(&error)).inspect_err(|_| self.0.set(None))?;
        // Setting one is billed as a row.
        record::wrote(1);
        Ok(())
    }

    /// Sets no alarm but for this time, if there is one.
    pub async fn put(&self, storage: &Storage, due_ms: Option<u64>) -> Outcome<()> {
        if let Some(due_ms) = due_ms {
            return self.set(storage, due_ms).await;
        }
        storage.delete_alarm().await.map_err(|error| failed(&error))?;
        self.0.set(None);
        Ok(())
    }
}

/// When the shard of this id closes what closes on a day, in Unix milliseconds.
pub fn closing_ms(id: &str, day: Day) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(id.as_bytes());
    u64::try_from(day.unix_s()).unwrap_or(0) * 1_000 + hasher.finish() % CLOSING_SPREAD_MS
}
