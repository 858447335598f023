//! A shard: the Durable Object that holds all events of its share of a namespace's users.
//!
//! Named `namespace/index`. Calls: [`ShardRequest`] by [`super::message::ask`]; it asks the registry for the generated
//! key, once per isolate and only where `HASH_KEY` is not set. Storage: [`super::store`].
//!
//! State is loaded on first use and dropped whenever in doubt: memory is a cache of storage. A batch is applied and
//! journalled in one synchronous stretch, and the runtime holds the answer back until the row is durable.

// The constructors that the attribute makes have no place for docs.
#![allow(missing_docs)]

use std::cell::Cell;
use std::rc::Rc;

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use super::clock;
use super::config::Config;
use super::error::ApiError;
use super::keys::keys;
use super::message::{Apply, Failure, Inspection, ShardReply, ShardRequest, Status, reply};
use super::metrics::record::{self, Work};
use super::store::Store;
use crate::api::code::Code;
use crate::core::aggregator::{Aggregator, Operation};
use crate::core::budget::{Budget, Slot};
use crate::core::effect::Effect;
use crate::core::error::Refusal;
use crate::core::identity::Keys;
use crate::core::seal::Seal;
use crate::core::snapshot;

struct Loaded {
    state: Aggregator,
    store: Store,
}

thread_local! {
    static BUDGET: Budget<Loaded> = const { Budget::new() };
}

/// A shard. The head of this file has its calls, `store` its storage.
#[durable_object]
pub struct Shard {
    state: State,
    env: Env,
    slot: Rc<Slot<Loaded>>,
    has_alarm: Cell<bool>,
}

type Outcome<T> = std::result::Result<T, Failure>;

impl DurableObject for Shard {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, slot: BUDGET.with(Budget::slot), has_alarm: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let question = request.bytes().await?;
        reply(&self.answer(&question).await)
    }

    async fn alarm(&self) -> Result<Response> {
        self.has_alarm.set(false);
        match self.compact().await {
            Ok(()) => Response::empty(),
            // An alarm that fails is tried again by the runtime.
            Err(_) => Err("compaction failed".into()),
        }
    }
}

impl Shard {
    async fn answer(&self, question: &[u8]) -> Outcome<ShardReply> {
        match postcard::from_bytes(question).map_err(|_| Failure::Storage)? {
            ShardRequest::Apply(batch) => self.apply(&batch).await.map(|()| ShardReply::Done),
            ShardRequest::Report => {
                let (config, keys) = self.prepare().await?;
                let report = self.with(&config, &keys, |loaded| Ok(loaded.state.report()))?;
                self.ensure_alarm(&config, &keys).await?;
                Ok(ShardReply::Report(report))
            }
            ShardRequest::EventsOf { unlink, user } => {
                let (config, keys) = self.prepare().await?;
                let events = self.with(&config, &keys, |loaded| Ok(loaded.state.events_of(user, &unlink)))?;
                self.ensure_alarm(&config, &keys).await?;
                Ok(ShardReply::Events(events))
            }
            ShardRequest::Status => self.status().map(ShardReply::Status),
            ShardRequest::Check => {
                let (config, keys) = self.prepare().await?;
                self.with(&config, &keys, |_| Ok(()))?;
                self.status().map(ShardReply::Status)
            }
            ShardRequest::Compact => self.compact().await.map(|()| ShardReply::Done),
            ShardRequest::Inspect => {
                let (config, keys) = self.prepare().await?;
                self.with(&config, &keys, |loaded| loaded.inspect().map(ShardReply::Inspection))
            }
        }
    }

    /// Everything that has to be awaited, before the first look at the state.
    async fn prepare(&self) -> Outcome<(Rc<Config>, Rc<Keys>)> {
        let config = Config::of(&self.env).map_err(|error| unprepared(&error))?;
        let keys = keys(&self.env, &config).await.map_err(|error| unprepared(&error))?;
        Ok((config, keys))
    }

    async fn apply(&self, batch: &Apply) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        batch.fault.delay_shard().await;
        self.with(&config, &keys, |loaded| loaded.apply(batch, &config))?;
        batch.fault.strike_shard();
        self.ensure_alarm(&config, &keys).await
    }

    /// Sets the alarm that compacts, where there is something to compact and none is set. Reads do it too: a process
    /// may have died between a journal row and its alarm.
    async fn ensure_alarm(&self, config: &Config, keys: &Keys) -> Outcome<()> {
        let has_journal = self.with(config, keys, |loaded| Ok(loaded.store.journal().0 > 0))?;
        if has_journal && !self.has_alarm.replace(true) {
            let set = self.state.storage().set_alarm(config.compaction_idle_ms).await;
            set.map_err(|error| storage(&error)).inspect_err(|_| self.has_alarm.set(false))?;
            // Setting one is billed as a row.
            record::wrote(1);
        }
        Ok(())
    }

    /// How the shard is, as it is: loaded or not.
    fn status(&self) -> Outcome<Status> {
        let measures = Store::measure(&self.state.storage().sql()).map_err(|error| storage(&error))?;
        let content = self.slot.content();
        let loaded = content.as_ref().and_then(|content| content.as_ref());
        let (isolate, totals) = record::shards();
        Ok(Status {
            isolate,
            totals,
            journal_rows: measures.journal_rows,
            journal_bytes: measures.journal_bytes,
            stored_counters: measures.counters,
            snapshot_age_s: measures
                .compacted_s
                .map(|time| u64::try_from(clock::now_s()).unwrap_or(0).saturating_sub(time)),
            memory_bytes: loaded.map_or(0, |loaded| loaded.state.memory_bytes() as u64),
        })
    }

    async fn compact(&self) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        self.with(&config, &keys, |loaded| loaded.store.compact(&mut loaded.state).map_err(|error| storage(&error)))
    }

    /// Runs `work` on the loaded state, in one synchronous stretch. Where it fails for storage, the state is dropped
    /// and read anew next time.
    fn with<T>(&self, config: &Config, keys: &Keys, work: impl FnOnce(&mut Loaded) -> Outcome<T>) -> Outcome<T> {
        let mut content = self.slot.content().ok_or(Failure::Storage)?;
        let mut loaded = match content.take() {
            Some(loaded) => loaded,
            None => self.load(keys)?,
        };
        let outcome = work(&mut loaded);
        let bytes = if matches!(outcome, Err(Failure::Storage)) {
            0
        } else {
            let bytes = size_of::<Loaded>() + loaded.state.memory_bytes();
            *content = Some(loaded);
            bytes
        };
        drop(content);
        BUDGET.with(|budget| budget.settle(&self.slot, bytes, config.isolate_memory_bytes_max));
        outcome
    }

    fn load(&self, keys: &Keys) -> Outcome<Loaded> {
        let load = || {
            let mut store = Store::open(self.state.storage(), Seal::new(&keys.seal()))?;
            let state = store.load()?;
            Ok(Loaded { state, store })
        };
        record::timed(Work::Load, load).map_err(|error: worker::Error| storage(&error))
    }
}

impl Loaded {
    /// Applies and journals a batch, and compacts where the journal has grown long.
    fn apply(&mut self, batch: &Apply, config: &Config) -> Outcome<()> {
        let Apply { unlink, limits, operations, fault } = batch;
        let effects = self.state.apply(operations, unlink, limits).map_err(|refusal| refused(refusal, config))?;
        if !effects.is_empty() {
            if fault.fails_journal() {
                return Err(storage(&"injected".into()));
            }
            self.store.append(&effects).map_err(|error| storage(&error))?;
        }
        let events = operations.iter().filter(|operation| matches!(operation, Operation::Record { .. })).count();
        let firsts = effects.iter().filter(|effect| matches!(effect, Effect::First(_))).count();
        record::applied(firsts as u64, (events - firsts) as u64);
        let (rows, bytes) = self.store.journal();
        if rows >= config.journal_rows_max || bytes >= config.journal_bytes_max {
            self.store.compact(&mut self.state).map_err(|error| storage(&error))?;
        }
        Ok(())
    }

    fn inspect(&self) -> Outcome<Inspection> {
        let (journal_rows, journal_bytes) = self.store.journal();
        let snapshot_rows = self.store.snapshot_rows().map_err(|error| storage(&error))?;
        let digest = crate::core::bytes::checksum(&snapshot::encode_all(&self.state).concat());
        let memory_bytes = self.state.memory_bytes() as u64;
        Ok(Inspection { journal_rows, journal_bytes, snapshot_rows, memory_bytes, digest })
    }
}

fn refused(refusal: Refusal, config: &Config) -> Failure {
    let limit = match refusal {
        Refusal::Users => config.users_per_event_max,
        Refusal::Memory | Refusal::Tag => config.shard_memory_bytes_max,
        Refusal::CounterSize { users_max } => users_max,
    };
    Failure::Refused { refusal, limit }
}

fn storage(error: &worker::Error) -> Failure {
    worker::console_error!("shard storage: {error}");
    Failure::Storage
}

fn unprepared(error: &ApiError) -> Failure {
    match error.code {
        Code::HashKeyChanged => Failure::KeyChanged,
        Code::ConfigurationInvalid => Failure::Configuration(error.what().to_owned()),
        _ => Failure::Storage,
    }
}
