//! A shard: the Durable Object that holds all events of its share of a namespace's users.
//!
//! Named `namespace/index`. It answers the questions of [`crate::messages::shard`]. It asks the registry for its watermark
//! (see [`super::store`], which has its storage), once per instance, and for the generated key, once per isolate and only
//! where `HASH_KEY` is not set; it tells it of every generation, and when its state cannot be read.
//!
//! State is loaded on first use and dropped whenever in doubt: memory is a cache of storage. The batches of a
//! [`super::group`] are applied and journalled in one synchronous stretch, and the runtime holds their answers back until
//! the row is durable.

// The constructors that the attribute makes have no place for docs.
#![allow(missing_docs)]

use std::cell::Cell;
use std::rc::Rc;

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use super::group::{Arrival, Group, Joined};
use super::loaded::{Loaded, Outcome, storage};
use super::store::Store;
use crate::api::code::Code;
use crate::core::format::corrupt::Corrupt;
use crate::core::format::seal::Seal;
use crate::core::identity::{Keys, UnlinkKey, UserKey};
use crate::core::state::aggregator::Aggregator;
use crate::core::state::counts;
use crate::core::state::report::Report;
use crate::edge::gateway::ask::ask_registry;
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::open;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::record::{self, Work};
use crate::edge::host::wire::{Incoming, ready_to_close, refuse, reply};
use crate::edge::http::error::ApiError;
use crate::isolate::budget::{Budget, Slot};
use crate::messages::registry::{Marks, NoteReadable, RaiseWatermark, Renew, Watermark};
use crate::messages::shard::{
    AcceptOlder, Apply, CarryOutDeletion, Check, Close, Compact, EventsOf, GetCounts, GetNumbers, GetStatus, Inspect,
    Inspection, Numbers, Status,
};
use crate::messages::{Failure, Question};

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
    marks: Cell<Option<Marks>>,
    is_raising: Cell<bool>,
    is_renewing: Cell<bool>,
    is_unreadable: Cell<bool>,
    group: Group,
}

impl DurableObject for Shard {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            slot: BUDGET.with(Budget::slot),
            has_alarm: Cell::new(false),
            marks: Cell::new(None),
            is_raising: Cell::new(false),
            is_renewing: Cell::new(false),
            is_unreadable: Cell::new(false),
            group: Group::default(),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let arrival = self.group.arrive();
        let asked = Incoming::of(&mut request).await?;
        if asked.kind() == Some(Apply::KIND) {
            return self.answer(&asked, async |batch| self.apply(batch, arrival).await).await;
        }
        drop(arrival);
        match asked.kind() {
            Some(CarryOutDeletion::KIND) => self.answer(&asked, async |question| self.delete(question).await).await,
            Some(GetNumbers::KIND) => self.answer(&asked, async |GetNumbers| self.numbers().await).await,
            Some(GetCounts::KIND) => self.answer(&asked, async |GetCounts| self.counts().await).await,
            Some(EventsOf::KIND) => self.answer(&asked, async |question| self.events_of(question).await).await,
            Some(GetStatus::KIND) => self.answer(&asked, async |GetStatus| self.status()).await,
            Some(Check::KIND) => self.answer(&asked, async |Check| self.check().await).await,
            Some(Close::KIND) => {
                self.close().await;
                ready_to_close()
            }
            Some(AcceptOlder::KIND) => self.answer(&asked, async |AcceptOlder| self.accept_older().await).await,
            Some(Compact::KIND) => self.answer(&asked, async |Compact| self.compact().await).await,
            Some(Inspect::KIND) => self.answer(&asked, async |Inspect| self.inspect().await).await,
            _ => refuse(),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        let _open = open::note(&self.env, self.state.id().to_string());
        self.has_alarm.set(false);
        let outcome = self.compact_or_mark().await;
        self.report_readable(outcome.as_ref().err()).await;
        match outcome {
            Ok(()) => Response::empty(),
            // An alarm that fails is tried again by the runtime.
            Err(_) => Err("neither compacted nor marked".into()),
        }
    }
}

impl Shard {
    /// Answers a question by what `work` makes of it, and tells the registry where the state could not be read.
    async fn answer<Q: Question>(
        &self,
        asked: &Incoming,
        work: impl AsyncFnOnce(Q) -> Outcome<Q::Answer>,
    ) -> Result<Response> {
        let Some(question) = asked.question() else {
            return refuse();
        };
        let answer = work(question).await;
        self.report_readable(answer.as_ref().err()).await;
        reply::<Q>(&answer)
    }

    async fn delete(&self, CarryOutDeletion { number, what }: CarryOutDeletion) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        let watermark = self.known_watermark();
        self.with(&config, &keys, |loaded| {
            loaded.store.delete(&mut loaded.state, number, what, watermark).map_err(|error| storage(&error))
        })?;
        self.finish_writes(&config, &keys).await
    }

    async fn numbers(&self) -> Outcome<Numbers> {
        let (config, keys) = self.prepare().await?;
        let report = self.with(&config, &keys, |loaded| Ok(loaded.state.report()))?;
        self.finish_writes(&config, &keys).await?;
        Ok(report.into())
    }

    async fn events_of(&self, EventsOf { unlink, user }: EventsOf) -> Outcome<Vec<u32>> {
        let (config, keys) = self.prepare().await?;
        let (user, unlink) = (UserKey::from_bytes(user), UnlinkKey::from_bytes(unlink));
        let events = self.with(&config, &keys, |loaded| Ok(loaded.state.events_of(user, &unlink)))?;
        self.finish_writes(&config, &keys).await?;
        Ok(events)
    }

    async fn counts(&self) -> Outcome<Numbers> {
        let (config, keys) = self.prepare().await?;
        self.read_counts(&config, &keys).map(Numbers::from)
    }

    async fn accept_older(&self) -> Outcome<bool> {
        let (config, keys) = self.prepare().await?;
        let (generation, is_accepted) = self.take_older(&config, &keys)?;
        self.ensure_watermark(generation).await;
        if is_accepted {
            // It is accepted also where the rest of it cannot be read.
            let _ = self.finish_writes(&config, &keys).await;
        }
        Ok(is_accepted)
    }

    async fn check(&self) -> Outcome<Status> {
        let (config, keys) = self.prepare().await?;
        let generation = self.with(&config, &keys, |loaded| Ok(loaded.store.generation()))?;
        self.ensure_watermark(generation).await;
        self.status()
    }

    async fn inspect(&self) -> Outcome<Inspection> {
        let (config, keys) = self.prepare().await?;
        self.with(&config, &keys, |loaded| loaded.inspect())
    }

    /// Everything that has to be awaited, before the first look at the state.
    async fn prepare(&self) -> Outcome<(Rc<Config>, Rc<Keys>)> {
        let config = Config::of(&self.env).map_err(|invalid| Failure::Configuration(invalid.what))?;
        let keys = keys(&self.env, &config).await.map_err(|error| unprepared(&error))?;
        if self.marks.get().is_none() {
            let question = Watermark { shard: self.state.id().to_string(), namespace: self.namespace() };
            self.raise(ask_registry(&self.env, &question).await.map_err(|_| Failure::Storage)?);
        }
        Ok((config, keys))
    }

    async fn apply(&self, batch: Apply, arrival: Arrival<'_>) -> Outcome<()> {
        if !batch.operations.fit(&batch.events) {
            worker::console_error!("a batch came with operations on events that it does not list");
            return Err(Failure::Storage);
        }
        let (config, keys) = self.prepare().await?;
        batch.fault.delay_shard().await;
        let led = match arrival.join(batch).await {
            Joined::Leads(led) => led,
            Joined::Done(outcome) => return outcome,
        };
        let applied = self.with(&config, &keys, |loaded| {
            self.make_room_to_grow(loaded, led.batches(), &config);
            loaded.apply(led.batches(), &config, self.known_watermark())
        });
        let outcomes = match applied {
            Ok(outcomes) => {
                led.batches().for_each(|batch| batch.fault.strike_shard());
                self.finish_writes(&config, &keys).await.map(|()| outcomes)
            }
            Err(failure) => Err(failure),
        };
        led.tell(outcomes)
    }

    /// What is due after a change. Reads do it too: a process may have died between a journal row and its alarm, or
    /// between a new generation and its mark.
    async fn finish_writes(&self, config: &Config, keys: &Keys) -> Outcome<()> {
        let (generation, needs_alarm, accepted) = self.with(config, keys, |Loaded { store, .. }| {
            let accepted = store.has_accepted().then(|| store.incarnation());
            Ok((store.generation(), store.needs_alarm(), accepted))
        })?;
        self.ensure_watermark(generation).await;
        if let Some(incarnation) = accepted {
            self.ensure_renewed(config, keys, incarnation).await?;
        }
        self.ensure_alarm(config, needs_alarm).await
    }

    /// Has the registry give the namespace a new incarnation, because older storage was accepted. Where it cannot be reached,
    /// the next call asks again, as it does where the runtime does not say what the shard is called.
    async fn ensure_renewed(&self, config: &Config, keys: &Keys, incarnation: u64) -> Outcome<()> {
        let Some(namespace) = self.namespace() else {
            return Ok(());
        };
        if self.is_renewing.replace(true) {
            return Ok(());
        }
        let renewed = ask_registry(&self.env, &Renew { namespace, incarnation }).await;
        self.is_renewing.set(false);
        match renewed {
            Ok(incarnation) => self.with(config, keys, |loaded| {
                let renewed = incarnation.max(loaded.store.incarnation());
                loaded.store.renew(renewed).map_err(|error| storage(&error))
            }),
            Err(_) => Ok(()),
        }
    }

    /// Tells the registry of the generation that is stored. The runtime lets the message out once the generation is
    /// durable. Where the registry cannot be reached, the next call tells it.
    async fn ensure_watermark(&self, generation: u64) {
        if self.known_watermark() < generation && !self.is_raising.replace(true) {
            let question = RaiseWatermark { shard: self.state.id().to_string(), generation };
            let told = ask_registry(&self.env, &question).await;
            self.is_raising.set(false);
            if told.is_ok() {
                self.raise(Marks { generation, ..self.known_marks() });
            }
        }
    }

    /// Tells the registry when the state cannot be read, and when it can be again.
    async fn report_readable(&self, failure: Option<&Failure>) {
        let is_unreadable = match failure {
            Some(Failure::Unreadable(_)) => true,
            // Not every call reads the state.
            None if self.slot.content().is_some_and(|content| content.is_some()) => false,
            _ => return,
        };
        if self.is_unreadable.replace(is_unreadable) || is_unreadable {
            let told = NoteReadable { shard: self.state.id().to_string(), is_readable: !is_unreadable };
            // Nothing depends on it: the next failure tells it again.
            let _ = ask_registry(&self.env, &told).await;
        }
    }

    /// Sets the alarm, where one has something to do and none is set. A journal whose rows all have their mark needs none
    /// for a day: a shard that nobody asks does not wake itself.
    async fn ensure_alarm(&self, config: &Config, is_needed: bool) -> Outcome<()> {
        if is_needed && !self.has_alarm.replace(true) {
            let set = self.state.storage().set_alarm(config.compaction_delay_ms).await;
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
            is_unreadable: self.is_unreadable.get(),
        })
    }

    async fn compact(&self) -> Outcome<()> {
        self.renew(Store::compact).await
    }

    /// What is due when an alarm comes.
    async fn compact_or_mark(&self) -> Outcome<()> {
        self.renew(Store::compact_or_mark).await
    }

    /// Does what may make a new generation, and tells the registry of it.
    async fn renew(&self, work: impl FnOnce(&mut Store, &mut Aggregator, u64) -> Result<()>) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        let generation = self.with(&config, &keys, |loaded| {
            work(&mut loaded.store, &mut loaded.state, self.known_watermark()).map_err(|error| storage(&error))?;
            Ok(loaded.store.generation())
        })?;
        self.ensure_watermark(generation).await;
        Ok(())
    }

    /// Makes ready to be closed: where all has its mark, no alarm opens it again. Where that fails, the alarm stays set.
    async fn close(&self) {
        let has_unmarked = Store::measure(&self.state.storage().sql()).is_ok_and(|measures| measures.has_unmarked);
        if has_unmarked && self.compact_or_mark().await.is_ok() && self.state.storage().delete_alarm().await.is_ok() {
            self.has_alarm.set(false);
        }
        // Being closed takes back what is not durable yet, which is nothing that was acknowledged.
        let _ = self.state.storage().sync().await;
        if let Some(mut content) = self.slot.content() {
            content.take();
        }
        BUDGET.with(|budget| budget.settle(&self.slot, 0, usize::MAX));
    }

    fn known_watermark(&self) -> u64 {
        self.known_marks().generation
    }

    fn known_marks(&self) -> Marks {
        self.marks.get().unwrap_or(Marks { generation: 0, incarnation: 0 })
    }

    /// Notes what the registry knows, as far as another call has not gone on to more meanwhile.
    fn raise(&self, marks: Marks) {
        let Marks { generation, incarnation } = self.known_marks();
        let raised =
            Marks { generation: generation.max(marks.generation), incarnation: incarnation.max(marks.incarnation) };
        self.marks.set(Some(raised));
    }

    /// Runs `work` on the loaded state, in one synchronous stretch. Where it fails for storage, the state is dropped
    /// and read anew next time.
    fn with<T>(&self, config: &Config, keys: &Keys, work: impl FnOnce(&mut Loaded) -> Outcome<T>) -> Outcome<T> {
        let mut content = self.slot.content().ok_or(Failure::Storage)?;
        let mut loaded = match content.take() {
            Some(loaded) => loaded,
            None => self.load(config, keys)?,
        };
        let outcome = work(&mut loaded);
        // What it has heard of meanwhile the registry has given out.
        self.raise(Marks { incarnation: loaded.store.incarnation(), ..self.known_marks() });
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

    /// Makes room for what batches may add, as far as a shard may grow.
    fn make_room_to_grow<'a>(&self, loaded: &Loaded, batches: impl Iterator<Item = &'a Apply>, config: &Config) {
        let bytes = loaded.state.memory_bytes();
        let grown = bytes + loaded.state.growth_bytes(batches.flat_map(|batch| batch.operations.read(&batch.events)));
        self.make_room(grown.min(bytes.max(config.shard_memory_bytes_max as usize)), config);
    }

    /// Drops what other shards of the isolate have loaded, until there is room for so much of this one.
    fn make_room(&self, bytes: usize, config: &Config) {
        let bytes = size_of::<Loaded>() + bytes;
        BUDGET.with(|budget| budget.make_room(&self.slot, bytes, config.isolate_memory_bytes_max));
    }

    fn load(&self, config: &Config, keys: &Keys) -> Outcome<Loaded> {
        let load = || {
            let (mut store, _) = self.open(config, keys)?;
            let state = store.load(|bytes| self.make_room(bytes, config))?;
            Ok(Loaded { state, store })
        };
        record::timed(Work::Load, load).map_err(|error: worker::Error| self.unreadable(&error))
    }

    /// The tables, as old as they must be, and whether they are older and taken nevertheless.
    fn open(&self, config: &Config, keys: &Keys) -> Result<(Store, bool)> {
        let mut store = Store::open(self.state.storage(), Seal::new(&keys.seal()))?;
        let name = self.name();
        let accepted = store.check_age(self.known_marks(), config.older_state.accepts(&name))?;
        if let Some(older) = &accepted {
            worker::console_warn!("ACCEPT_OLDER_STATE: shard {name} is taken as it is, from now on: {older}");
        }
        Ok((store, accepted.is_some()))
    }

    /// The counts: of the state where it is loaded, else of the tables. Neither loads it, nor counts as a use of it.
    fn read_counts(&self, config: &Config, keys: &Keys) -> Outcome<Report> {
        let loaded = self.slot.content().and_then(|content| content.as_ref().map(|loaded| counts::of(&loaded.state)));
        match loaded {
            Some(counts) => Ok(counts),
            // The counts may be sound where the rest is not.
            None if self.is_unreadable.get() => self.with(config, keys, |loaded| Ok(counts::of(&loaded.state))),
            None => {
                let damaged = |corrupt: &Corrupt| {
                    worker::console_warn!("shard {}, {corrupt}: they are counted anew", self.name());
                };
                let counts = self
                    .open(config, keys)
                    .and_then(|(mut store, _)| store.counts(damaged, |bytes| self.make_room(bytes, config)));
                counts.map_err(|error| self.unreadable(&error))
            }
        }
    }

    /// Takes older storage, if it is to be taken. Answers the generation of what is stored, and whether it was older.
    fn take_older(&self, config: &Config, keys: &Keys) -> Outcome<(u64, bool)> {
        let loaded = self.slot.content().and_then(|content| Some(content.as_ref()?.store.generation()));
        if let Some(generation) = loaded {
            return Ok((generation, false));
        }
        match self.open(config, keys) {
            Ok((store, is_accepted)) => Ok((store.generation(), is_accepted)),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// The name that operators know, or else the id.
    fn name(&self) -> String {
        let id = self.state.id();
        id.name().unwrap_or_else(|| id.to_string())
    }

    /// The name of the namespace, where the runtime says what the shard is called.
    fn namespace(&self) -> Option<String> {
        let name = self.state.id().name()?;
        name.rsplit_once('/').map(|(namespace, _)| namespace.to_owned())
    }

    /// Tells the log what cannot be read, where, and in whose database.
    fn unreadable(&self, error: &worker::Error) -> Failure {
        let what = one_line(&format!("shard {}, {error}", self.name()));
        worker::console_error!("what is stored cannot be used: {what} (database {})", self.state.id());
        Failure::Unreadable(what)
    }
}

/// What `SQLite` says of a damaged database may have several lines.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn unprepared(error: &ApiError) -> Failure {
    match error.code {
        Code::HashKeyChanged => Failure::KeyChanged,
        Code::ConfigurationInvalid => Failure::Configuration(error.what().to_owned()),
        _ => Failure::Storage,
    }
}
