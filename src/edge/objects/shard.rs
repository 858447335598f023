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

use std::rc::Rc;

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use super::alarm::Alarm;
use super::failure::{Outcome, storage};
use super::group::{Arrival, Group, Joined};
use super::loaded::Loaded;
use super::marks::KnownMarks;
use super::store::Store;
use crate::api::code::Code;
use crate::core::format::corrupt::Corrupt;
use crate::core::format::seal::Seal;
use crate::core::identity::{Keys, UnlinkKey, UserKey};
use crate::core::periods::day::Day;
use crate::core::periods::period::Period;
use crate::core::state::aggregator::Aggregator;
use crate::core::state::counts;
use crate::core::state::grid_report::GridReport;
use crate::core::state::report::Report;
use crate::core::state::series_report::SeriesReport;
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::open;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::record::{self, Work};
use crate::edge::host::wire::{Incoming, ready_to_close, refuse, reply};
use crate::edge::http::error::ApiError;
use crate::isolate::budget::{Budget, Slot};
use crate::messages::definitions::{GetGrid, GridNumbers};
use crate::messages::registry::Marks;
use crate::messages::shard::{
    AcceptOlder, Adopt, Apply, CarryOutDeletion, Check, Close, Compact, EndReplay, EventsOf, GetCounts, GetNumbers,
    GetSeries, GetStatus, Inspect, Inspection, Numbers, SeriesNumbers, Status,
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
    alarm: Alarm,
    marks: KnownMarks,
    group: Group,
}

impl DurableObject for Shard {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            slot: BUDGET.with(Budget::slot),
            alarm: Alarm::default(),
            marks: KnownMarks::default(),
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
            Some(GetSeries::KIND) => self.answer(&asked, async |question| self.series(question).await).await,
            Some(GetGrid::KIND) => self.answer(&asked, async |question| self.grid(question).await).await,
            Some(Adopt::KIND) => self.answer(&asked, async |question| self.adopt(question).await).await,
            Some(EndReplay::KIND) => self.answer(&asked, async |question| self.end_replay(question).await).await,
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
        let outcome = self.answer_alarm().await;
        self.report_readable(outcome.as_ref().err()).await;
        match outcome {
            Ok(()) => Response::empty(),
            // An alarm that fails is tried again by the runtime.
            Err(_) => Err("neither closed, compacted nor marked".into()),
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
        let watermark = self.marks.watermark();
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

    /// The series, after periods whose time is over have closed.
    async fn series(&self, GetSeries { today, time, of, from, to }: GetSeries) -> Outcome<SeriesNumbers> {
        let (config, keys) = self.prepare().await?;
        let today = Day::of_number(today.into()).unwrap_or(Day::MAX);
        let (from, to) = (Period::of_code(from).unwrap_or(Period::MIN), Period::of_code(to).unwrap_or(Period::MIN));
        let series = self.with(&config, &keys, |loaded| {
            loaded.close_periods(today, time.into())?;
            Ok(SeriesReport::of(&loaded.state, of.into(), from, to))
        })?;
        self.finish_writes(&config, &keys).await?;
        Ok(series.into())
    }

    /// A retention grid, after cohorts whose time is over have closed.
    async fn grid(&self, GetGrid { today, time, definition }: GetGrid) -> Outcome<GridNumbers> {
        let (config, keys) = self.prepare().await?;
        let today = Day::of_number(today.into()).unwrap_or(Day::MAX);
        let grid = self.with(&config, &keys, |loaded| {
            loaded.close_periods(today, time.into())?;
            Ok(GridReport::of(&loaded.state, definition))
        })?;
        self.finish_writes(&config, &keys).await?;
        Ok(grid.into())
    }

    async fn adopt(&self, Adopt { incarnation }: Adopt) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        self.with(&config, &keys, |loaded| loaded.store.adopt(incarnation).map_err(|error| storage(&error)))
    }

    async fn end_replay(&self, EndReplay { today, time }: EndReplay) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        self.with(&config, &keys, |loaded| {
            loaded.store.set_replay(false).map_err(|error| storage(&error))?;
            loaded.close_periods(Day::of_number(today.into()).unwrap_or(Day::MAX), time.into())
        })?;
        self.finish_writes(&config, &keys).await
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
        self.marks.ensure_watermark(&self.env, self.id(), generation).await;
        if is_accepted {
            // It is accepted also where the rest of it cannot be read.
            let _ = self.finish_writes(&config, &keys).await;
        }
        Ok(is_accepted)
    }

    async fn check(&self) -> Outcome<Status> {
        let (config, keys) = self.prepare().await?;
        let generation = self.with(&config, &keys, |loaded| Ok(loaded.store.generation()))?;
        self.marks.ensure_watermark(&self.env, self.id(), generation).await;
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
        self.marks.learn(&self.env, self.id(), self.namespace()).await?;
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
            loaded.apply(led.batches(), &config, self.marks.watermark())
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
        let (generation, due_ms, accepted) = self.with(config, keys, |loaded| {
            let accepted = loaded.store.has_accepted().then(|| loaded.store.incarnation());
            Ok((loaded.store.generation(), loaded.due_ms(&self.id(), config), accepted))
        })?;
        self.marks.ensure_watermark(&self.env, self.id(), generation).await;
        if let Some(incarnation) = accepted
            && let Some(renewed) = self.marks.renewed(&self.env, self.namespace(), incarnation).await
        {
            self.with(config, keys, |loaded| {
                let renewed = renewed.max(loaded.store.incarnation());
                loaded.store.renew(renewed).map_err(|error| storage(&error))
            })?;
        }
        self.alarm.ensure(&self.state.storage(), due_ms).await
    }

    /// Tells the registry when the state cannot be read, and when it can be again.
    async fn report_readable(&self, failure: Option<&Failure>) {
        let is_unreadable = match failure {
            Some(Failure::Unreadable(_)) => true,
            // Not every call reads the state.
            None if self.slot.content().is_some_and(|content| content.is_some()) => false,
            _ => return,
        };
        self.marks.report_readable(&self.env, self.id(), is_unreadable).await;
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
            is_unreadable: self.marks.is_unreadable(),
        })
    }

    async fn compact(&self) -> Outcome<()> {
        self.renew(|loaded, mark| loaded.store.compact(&mut loaded.state, mark).map_err(|error| storage(&error))).await
    }

    /// Closes the periods that are over, and then compacts, or does what else is due.
    async fn close_and(&self, then: fn(&mut Store, &mut Aggregator, u64) -> Result<()>) -> Outcome<()> {
        let time = Config::of(&self.env).map_err(|invalid| Failure::Configuration(invalid.what))?.time();
        self.renew(|loaded, mark| {
            if !loaded.store.is_replay() {
                loaded.close_periods(clock::today(), time.into())?;
            }
            then(&mut loaded.store, &mut loaded.state, mark).map_err(|error| storage(&error))
        })
        .await
    }

    /// Does what may make a new generation, and tells the registry of it.
    async fn renew(&self, work: impl FnOnce(&mut Loaded, u64) -> Outcome<()>) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        let generation = self.with(&config, &keys, |loaded| {
            work(loaded, self.marks.watermark())?;
            Ok(loaded.store.generation())
        })?;
        self.marks.ensure_watermark(&self.env, self.id(), generation).await;
        Ok(())
    }

    /// Closes periods, and compacts or marks. Where too many shards are at it, the alarm comes again.
    async fn answer_alarm(&self) -> Outcome<()> {
        let Some(_at_work) = self.alarm.begin(&self.state.storage()).await? else {
            return Ok(());
        };
        self.close_and(Store::compact_or_mark).await?;
        let (config, keys) = self.prepare().await?;
        self.finish_writes(&config, &keys).await
    }

    /// Makes ready to be closed: where all has its mark, no alarm opens the shard again soon. Where that fails, the alarm stays set.
    async fn close(&self) {
        let has_unmarked = Store::measure(&self.state.storage().sql()).is_ok_and(|measures| measures.has_unmarked);
        if has_unmarked && self.close_and(Store::leave).await.is_ok() {
            let _ = self.put_later_alarm().await;
        }
        // Being closed takes back what is not durable yet, which is nothing that was acknowledged.
        let _ = self.state.storage().sync().await;
        if let Some(mut content) = self.slot.content() {
            content.take();
        }
        BUDGET.with(|budget| budget.settle(&self.slot, 0, usize::MAX));
    }

    async fn put_later_alarm(&self) -> Outcome<()> {
        let (config, keys) = self.prepare().await?;
        let later_ms = self.with(&config, &keys, |loaded| Ok(loaded.later_ms(&self.id(), &config)))?;
        self.alarm.put(&self.state.storage(), later_ms).await
    }

    fn id(&self) -> String {
        self.state.id().to_string()
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
        self.marks.raise(Marks { incarnation: loaded.store.incarnation(), ..self.marks.get() });
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
        let grown = bytes + loaded.state.growth_bytes(batches.flat_map(Apply::read));
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
        let accepted = store.check_age(self.marks.get(), config.older_state.accepts(&name))?;
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
            None if self.marks.is_unreadable() => self.with(config, keys, |loaded| Ok(counts::of(&loaded.state))),
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
