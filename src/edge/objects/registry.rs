//! The registry: one Durable Object that knows the namespaces, their shard counts, event names, goals and the key.
//!
//! It answers the questions of [`crate::messages::registry`] and asks nobody. Names never change meaning, so callers cache
//! them.
//!
//! Storage:
//!
//! | table | columns |
//! |---|---|
//! | `setting` | `name TEXT` primary key, `value BLOB`: `hash_key` (32 bytes, generated) or `hash_key_check` (8 bytes, LE); `flags_version` (8 bytes, LE), one more with every change of a flag |
//! | `namespace` | `id INTEGER` primary key, `name TEXT` unique, `shards INTEGER` |
//! | `namespace_setting` | `namespace INTEGER`, `name TEXT` primary key together; `value INTEGER`: `group_users_min`, `since` (the stored number of the first day of which periods are counted), `has_earlier` (1 where events were counted before that), `replay` (1 on a replay clock), `replay_today` (the stored number of its present day), `replayed` (1 once that has ended), `definitions` (how many it has had) |
//! | `series` | `namespace INTEGER`, `event INTEGER` primary key together; `units INTEGER` (1 days, 2 weeks, 4 months), `since INTEGER`, the stored number of the day from which on, `former INTEGER`, the units before; `day INTEGER`, `week INTEGER`, `month INTEGER`, from which day on each without a gap |
//! | `definition` | `namespace INTEGER`, `kind INTEGER` (0 retention), `name TEXT` primary key together; `number INTEGER`, `since INTEGER`, the stored number of the first day that counts or 0, `spec TEXT`: JSON, `events TEXT`: the numbers of the events that it names, in their order, with commas between them |
//! | `flag` | `name TEXT` primary key, `spec TEXT`: the JSON of GET /v0/featureSpecs with `rollout_reached` |
//! | `mark` | `shard TEXT` primary key, the id of a shard's object; `generation INTEGER`, the greatest that it told |
//! | `event` | `namespace INTEGER`, `name TEXT` primary key together; `number INTEGER` from 0, `goal INTEGER` 0 or 1 |
//! | `incarnation` | `namespace INTEGER` primary key; `number INTEGER`, that of the last deletion of it; of namespace 0, of the last one of all |
//! | `retired` | `namespace INTEGER`, `number INTEGER` primary key together: events that were deleted |
//! | `deletion` | `number INTEGER` primary key, `namespace TEXT`, `shards INTEGER`, `kind INTEGER` (0 namespace, 1 event, 2 goal, 3 definition), `event INTEGER`, its number: what shards have yet to carry out |
//! | `tally` | `namespace INTEGER` primary key, 0 for the namespaces themselves; `names INTEGER`, how many it has; `day INTEGER` since 1970, and `added INTEGER`, how many of them ingest tokens added on it |

// The constructors that the attribute makes have no place for docs.
#![allow(missing_docs)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use worker::{DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, State, durable_object};

use super::definitions;
use super::names::{self, Names};
use crate::core::flags::{FlagJson, FlagSpec, NewFlag, NewRollout};
use crate::core::identity::Keys;
use crate::core::requests::{DEFAULT_NAMESPACE, parse_stored_flag};
use crate::edge::host::config::Config;
use crate::edge::host::record;
use crate::edge::host::sql;
use crate::edge::host::wire::{Incoming, encoded, refuse, reply, respond};
use crate::messages::definitions::PutDefinition;
use crate::messages::registry::{
    Delete, EndDeletion, Flags, FlagsReply, Key, ListGoals, Lookup, Marks, Namespaces, NoteReadable, Overview,
    OverviewReply, PendingDeletions, PutFlag, PutNamespace, PutSeries, RaiseWatermark, Register, RemoveFlag, Renew,
    RolloutTimes, Unreadable, Watermark,
};
use crate::messages::{Failure, FlagLimit, Question};

/// The registry. The head of this file has its calls and its storage.
#[durable_object]
pub struct Registry {
    state: State,
    env: Env,
    has_tables: Cell<bool>,
    unreadable: RefCell<BTreeSet<String>>,
    /// The answer to a question for all flags, as it is sent, until one changes: each isolate asks for it after a change.
    flags_answer: RefCell<Option<Vec<u8>>>,
}

impl DurableObject for Registry {
    fn new(state: State, env: Env) -> Self {
        let (has_tables, unreadable, flags_answer) = (Cell::new(false), RefCell::default(), RefCell::default());
        Self { state, env, has_tables, unreadable, flags_answer }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let asked = Incoming::of(&mut request).await?;
        match asked.kind() {
            Some(Key::KIND) => answer(&asked, |Key { check }| self.key(check)),
            Some(Lookup::KIND) => {
                answer(&asked, |Lookup { namespace }| self.with_names(|names| names.lookup(&namespace)))
            }
            Some(Register::KIND) => answer(&asked, |Register { registrations, registrant }| {
                self.with_names(|names| names.register(registrations, registrant))
            }),
            Some(ListGoals::KIND) => answer(&asked, |ListGoals { namespace, incarnation, events }| {
                self.list_goals(&namespace, incarnation, &events)
            }),
            Some(Watermark::KIND) => {
                answer(&asked, |Watermark { shard, namespace }| self.marks(&shard, namespace.as_deref()))
            }
            Some(RaiseWatermark::KIND) => {
                answer(&asked, |RaiseWatermark { shard, generation }| self.raise_watermark(&shard, generation))
            }
            Some(Renew::KIND) => answer(&asked, |Renew { namespace, incarnation }| {
                self.with_names(|names| names.renew(&namespace, incarnation))
            }),
            Some(NoteReadable::KIND) => answer(&asked, |NoteReadable { shard, is_readable }| {
                self.note_readable(shard, is_readable);
                Ok(())
            }),
            Some(Unreadable::KIND) => answer(&asked, |Unreadable| self.unreadable()),
            Some(PutNamespace::KIND) => {
                answer(&asked, |question: PutNamespace| self.with_names(|names| names.put(&question)))
            }
            Some(PutSeries::KIND) => {
                answer(&asked, |question: PutSeries| self.with_names(|names| names.put_series(&question)))
            }
            Some(PutDefinition::KIND) => {
                answer(&asked, |question: PutDefinition| self.with_names(|names| names.put_definition(&question)))
            }
            Some(Namespaces::KIND) => answer(&asked, |Namespaces| self.namespaces()),
            Some(Overview::KIND) => answer(&asked, |Overview| self.overview()),
            Some(Flags::KIND) => match asked.question::<Flags>() {
                Some(Flags { known }) => match self.flags(known) {
                    Ok(answer) => respond(answer),
                    Err(fault) => reply::<Flags>(&Err(fault.into())),
                },
                None => refuse(),
            },
            Some(PutFlag::KIND) => answer(&asked, |question| self.put_flag(&question)),
            Some(Delete::KIND) => {
                answer(&asked, |Delete { namespace, what }| self.with_names(|names| names.delete(&namespace, &what)))
            }
            Some(EndDeletion::KIND) => {
                answer(&asked, |EndDeletion { number }| self.with_names(|names| names.end_deletion(number)))
            }
            Some(PendingDeletions::KIND) => {
                answer(&asked, |PendingDeletions| self.with_names(|names| names.deletions(None)))
            }
            Some(RemoveFlag::KIND) => answer(&asked, |RemoveFlag { name }| self.remove_flag(&name)),
            _ => refuse(),
        }
    }
}

/// Answers a question by what `work` makes of it.
fn answer<Q: Question>(
    asked: &Incoming,
    work: impl FnOnce(Q) -> std::result::Result<Q::Answer, Cause>,
) -> Result<Response> {
    match asked.question() {
        Some(question) => reply::<Q>(&work(question).map_err(Failure::from)),
        None => refuse(),
    }
}

/// Why a call failed: a refusal, or storage.
enum Cause {
    Refused(Failure),
    Storage(worker::Error),
}

impl From<worker::Error> for Cause {
    fn from(error: worker::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<Cause> for Failure {
    fn from(fault: Cause) -> Self {
        match fault {
            Cause::Refused(failure) => failure,
            Cause::Storage(error) => {
                worker::console_error!("registry storage: {error}");
                Self::Storage
            }
        }
    }
}

impl Registry {
    fn sql(&self) -> Result<SqlStorage> {
        let sql = self.state.storage().sql();
        if !self.has_tables.get() {
            sql.exec(
                "CREATE TABLE IF NOT EXISTS setting(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS mark(shard TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS flag(name TEXT PRIMARY KEY, spec TEXT NOT NULL) WITHOUT ROWID;",
                None,
            )?;
            sql.exec(names::TABLES, None)?;
            sql.exec(definitions::TABLE, None)?;
            names::note_since(&sql)?;
            self.has_tables.set(true);
        }
        Ok(sql)
    }

    fn key(&self, check: Option<u64>) -> std::result::Result<Option<[u8; 32]>, Cause> {
        let sql = self.sql()?;
        let stored_check = setting::<8>(&sql, "hash_key_check")?.map(u64::from_le_bytes);
        let generated = setting::<32>(&sql, "hash_key")?;
        match (check, stored_check, generated) {
            (Some(check), Some(stored), _) if check == stored => Ok(None),
            (None, None, Some(generated)) => Ok(Some(generated)),
            // The operator made the generated key a secret of the deployment.
            (Some(check), None, Some(generated)) if Keys::new(&generated).check() == check => {
                sql::transaction(&self.state.storage(), || {
                    put_setting(&sql, "hash_key_check", &check.to_le_bytes())?;
                    sql.exec("DELETE FROM setting WHERE name = 'hash_key'", None).map(|_| None)
                })
                .map_err(Cause::from)
            }
            (Some(check), None, None) => {
                put_setting(&sql, "hash_key_check", &check.to_le_bytes())?;
                Ok(None)
            }
            (None, None, None) => {
                let mut key = [0; 32];
                getrandom::fill(&mut key).map_err(|error| worker::Error::from(error.to_string()))?;
                put_setting(&sql, "hash_key", &key)?;
                Ok(Some(key))
            }
            _ => Err(Cause::Refused(Failure::KeyChanged)),
        }
    }

    /// Has `work` done on the names.
    fn with_names<T>(&self, work: impl FnOnce(&Names<'_>) -> Result<T>) -> std::result::Result<T, Cause> {
        let config = Config::of(&self.env).map_err(|_| Cause::Refused(Failure::Storage))?;
        Ok(work(&Names { storage: &self.state.storage(), sql: &self.sql()?, config: &config })?)
    }

    fn list_goals(&self, namespace: &str, incarnation: u64, events: &[u32]) -> std::result::Result<(), Cause> {
        let sql = self.sql()?;
        let Some(id) = self.with_names(|names| match names.find(namespace)? {
            Some((id, _)) => Ok(Some(id).filter(|_| names.incarnation(id).is_ok_and(|now| now == incarnation))),
            None => Ok(None),
        })?
        else {
            // It was deleted meanwhile, or something of it.
            return Err(Cause::Refused(Failure::OtherIncarnation));
        };
        sql::transaction(&self.state.storage(), || {
            for &event in events {
                let bindings = vec![id.into(), i64::from(event).into()];
                sql.exec("UPDATE event SET goal = 1 WHERE namespace = ? AND number = ?", bindings)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn marks(&self, shard: &str, namespace: Option<&str>) -> std::result::Result<Marks, Cause> {
        let mark = sql::value(&self.sql()?, "SELECT generation FROM mark WHERE shard = ?", vec![shard.into()])?;
        let incarnation = self.with_names(|names| names.incarnation_of(namespace))?;
        Ok(Marks { generation: mark.as_ref().map_or(0, sql::integer), incarnation })
    }

    fn raise_watermark(&self, shard: &str, generation: u64) -> std::result::Result<(), Cause> {
        let put = "INSERT INTO mark(shard, generation) VALUES(?, ?)
                   ON CONFLICT DO UPDATE SET generation = max(generation, excluded.generation)";
        let cursor = self.sql()?.exec(put, vec![shard.into(), (generation as i64).into()])?;
        record::wrote(cursor.rows_written() as u64);
        Ok(())
    }

    /// In memory only: after a restart it is the shards that know.
    fn note_readable(&self, shard: String, is_readable: bool) {
        let mut unreadable = self.unreadable.borrow_mut();
        if is_readable {
            unreadable.remove(&shard);
        } else {
            unreadable.insert(shard);
        }
    }

    /// Reads a table too, so that an answer means that the registry's own storage can be read.
    fn unreadable(&self) -> std::result::Result<u64, Cause> {
        sql::value(&self.sql()?, "SELECT count(*) FROM setting", vec![])?;
        Ok(self.unreadable.borrow().len() as u64)
    }

    fn overview(&self) -> std::result::Result<OverviewReply, Cause> {
        let sql = self.sql()?;
        let mut namespaces = Vec::new();
        for row in sql::rows(&sql, "SELECT name, shards FROM namespace ORDER BY name", vec![])? {
            if let [SqlStorageValue::String(name), shards] = row.as_slice() {
                namespaces.push((name.clone(), sql::integer(shards) as u32));
            }
        }
        let number =
            |query: &str| -> Result<u64> { Ok(sql::value(&sql, query, vec![])?.as_ref().map_or(0, sql::integer)) };
        let counters = number("SELECT count(*) FROM event")?;
        let flags = number("SELECT count(*) FROM flag")?;
        let flags_bytes = number("SELECT sum(length(CAST(spec AS BLOB))) FROM flag")?;
        Ok(OverviewReply { namespaces, counters, flags, flags_bytes })
    }

    /// The encoded answer to a question for the flags.
    fn flags(&self, known: Option<u64>) -> std::result::Result<Vec<u8>, Cause> {
        let sql = self.sql()?;
        let version = flags_version(&sql)?;
        if known == Some(version) {
            return Ok(encoded::<Flags>(&Ok(FlagsReply { version, flags: None }))?);
        }
        if let Some(answer) = &*self.flags_answer.borrow() {
            return Ok(answer.clone());
        }
        let mut flags = Vec::new();
        for row in sql::rows(&sql, "SELECT spec FROM flag ORDER BY name", vec![])? {
            if let [SqlStorageValue::String(spec)] = row.as_slice() {
                flags.push(spec.clone());
            }
        }
        let answer = encoded::<Flags>(&Ok(FlagsReply { version, flags: Some(flags) }))?;
        self.flags_answer.replace(Some(answer.clone()));
        Ok(answer)
    }

    fn put_flag(&self, PutFlag { flag, rollout, now }: &PutFlag) -> std::result::Result<(), Cause> {
        let rollout = rollout.map(|RolloutTimes { start, end }| NewRollout { start, end });
        let flag = NewFlag { spec: stored_flag(flag)?, rollout };
        let config = Config::of(&self.env).map_err(|_| Cause::Refused(Failure::Storage))?;
        let sql = self.sql()?;
        let name = flag.spec.name.clone();
        let former = match sql::value(&sql, "SELECT spec FROM flag WHERE name = ?", vec![name.as_str().into()])? {
            Some(SqlStorageValue::String(spec)) => Some(stored_flag(&spec)?),
            _ => None,
        };
        let flag = flag.succeed(former.as_ref(), *now);
        let spec = FlagJson::stored(&flag).to_text().ok_or_else(|| worker::Error::from("a flag has no JSON"))?;
        // One that cannot be read again would make all flags unreadable.
        if stored_flag(&spec)? != flag {
            return Err(Cause::Storage("a flag would be stored as another one".into()));
        }
        let number = |query: &str| -> Result<u64> {
            let value = sql::value(&sql, query, vec![name.as_str().into()])?;
            Ok(value.as_ref().map_or(0, sql::integer))
        };
        let others = number("SELECT count(*) FROM flag WHERE name <> ?")?;
        if others + 1 > config.flags.flags {
            return Err(Cause::Refused(Failure::FlagsFull { limit: FlagLimit::Flags(config.flags.flags) }));
        }
        let bytes = number("SELECT sum(length(CAST(spec AS BLOB))) FROM flag WHERE name <> ?")?;
        if bytes + spec.len() as u64 > config.flags.bytes {
            return Err(Cause::Refused(Failure::FlagsFull { limit: FlagLimit::Bytes(config.flags.bytes) }));
        }
        let version = flags_version(&sql)? + 1;
        self.flags_answer.take();
        sql::transaction(&self.state.storage(), || {
            let bindings = vec![name.as_str().into(), spec.as_str().into()];
            sql.exec("INSERT OR REPLACE INTO flag(name, spec) VALUES(?, ?)", bindings)?;
            put_setting(&sql, "flags_version", &version.to_le_bytes())
        })?;
        Ok(())
    }

    fn remove_flag(&self, name: &str) -> std::result::Result<bool, Cause> {
        let sql = self.sql()?;
        if sql::value(&sql, "SELECT 1 FROM flag WHERE name = ?", vec![name.into()])?.is_none() {
            return Ok(false);
        }
        let version = flags_version(&sql)? + 1;
        self.flags_answer.take();
        sql::transaction(&self.state.storage(), || {
            sql.exec("DELETE FROM flag WHERE name = ?", vec![name.into()])?;
            put_setting(&sql, "flags_version", &version.to_le_bytes())
        })?;
        Ok(true)
    }

    fn namespaces(&self) -> std::result::Result<Vec<String>, Cause> {
        let sql = self.sql()?;
        let mut names = BTreeSet::from([DEFAULT_NAMESPACE.to_owned()]);
        for row in sql::rows(&sql, "SELECT name FROM namespace", vec![])? {
            if let [SqlStorageValue::String(name)] = row.as_slice() {
                names.insert(name.clone());
            }
        }
        Ok(names.into_iter().collect())
    }
}

fn setting<const N: usize>(sql: &SqlStorage, name: &str) -> Result<Option<[u8; N]>> {
    match sql::value(sql, "SELECT value FROM setting WHERE name = ?", vec![name.into()])? {
        Some(SqlStorageValue::Blob(bytes)) => {
            bytes.try_into().map(Some).map_err(|_| format!("the stored {name} has the wrong length").into())
        }
        _ => Ok(None),
    }
}

fn flags_version(sql: &SqlStorage) -> Result<u64> {
    Ok(setting::<8>(sql, "flags_version")?.map_or(0, u64::from_le_bytes))
}

fn stored_flag(spec: &str) -> Result<FlagSpec> {
    parse_stored_flag(spec).map_err(|_| "a stored flag cannot be read".into())
}

fn put_setting(sql: &SqlStorage, name: &str, value: &[u8]) -> Result<()> {
    sql.exec("INSERT OR REPLACE INTO setting(name, value) VALUES(?, ?)", vec![name.into(), value.to_vec().into()])
        .map(|_| ())
}
