//! The names of namespaces and events in the tables of the registry, and who may add some.
//!
//! Ingest tokens are public. What all of them together can add is bounded by the day, and never the last tenth of what
//! fits, which is kept for admins.

use std::collections::BTreeMap;

use worker::{Result, SqlStorage, SqlStorageValue, Storage};

use crate::core::periods::day::Day;
use crate::core::requests::DEFAULT_NAMESPACE;
use crate::core::settings::limits::{EVENTS_PER_NAMESPACE, NAMES_PER_QUERY, open_share};
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::sql;
use crate::messages::definitions::DefinitionRecord;
use crate::messages::registry::{
    Deletion, EventRecord, NameRefusal, NamesReply, NamespacePut, NamespaceRecord, PutNamespace, Registered,
    Registrant, Registration, Replay, Since,
};

/// The tables. Their columns are described at the head of [`super::registry`].
pub const TABLES: &str =
    "CREATE TABLE IF NOT EXISTS namespace(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, shards INTEGER NOT NULL);
     CREATE TABLE IF NOT EXISTS event(namespace INTEGER NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL,
       goal INTEGER NOT NULL, PRIMARY KEY(namespace, name)) WITHOUT ROWID;
     CREATE TABLE IF NOT EXISTS tally(namespace INTEGER PRIMARY KEY, names INTEGER NOT NULL, day INTEGER NOT NULL,
       added INTEGER NOT NULL);
     CREATE TABLE IF NOT EXISTS incarnation(namespace INTEGER PRIMARY KEY, number INTEGER NOT NULL);
     CREATE TABLE IF NOT EXISTS retired(namespace INTEGER NOT NULL, number INTEGER NOT NULL,
       PRIMARY KEY(namespace, number)) WITHOUT ROWID;
     CREATE TABLE IF NOT EXISTS deletion(number INTEGER PRIMARY KEY, namespace TEXT NOT NULL, shards INTEGER NOT NULL,
       kind INTEGER NOT NULL, event INTEGER NOT NULL);
     CREATE TABLE IF NOT EXISTS namespace_setting(namespace INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
       PRIMARY KEY(namespace, name)) WITHOUT ROWID;
     CREATE TABLE IF NOT EXISTS series(namespace INTEGER NOT NULL, event INTEGER NOT NULL, units INTEGER NOT NULL,
       since INTEGER NOT NULL, former INTEGER NOT NULL, day INTEGER NOT NULL, week INTEGER NOT NULL,
       month INTEGER NOT NULL, PRIMARY KEY(namespace, event)) WITHOUT ROWID;";

/// The setting that raises `GROUP_USERS_MIN` for a namespace.
const GROUP_USERS_MIN: &str = "group_users_min";
/// The settings that say since when a namespace counts in periods.
const SINCE: &str = "since";
const HAS_EARLIER: &str = "has_earlier";
/// The settings of a replay clock: that there is one, and its present day.
const REPLAY: &str = "replay";
const REPLAY_TODAY: &str = "replay_today";
/// The setting that says that a replay has ended, for good.
const REPLAYED: &str = "replayed";

/// Notes of the namespaces of an earlier version that they count in periods from the next day on.
///
/// # Errors
/// When storage fails.
pub fn note_since(sql: &SqlStorage) -> Result<()> {
    let put = "INSERT INTO namespace_setting(namespace, name, value)
               SELECT id, setting.name, setting.value FROM namespace, (SELECT ? AS name, ? AS value UNION ALL SELECT ?, 1) AS setting
               WHERE id NOT IN (SELECT namespace FROM namespace_setting WHERE name IN (?, ?))";
    let tomorrow = i64::from(clock::today().plus(1).number());
    sql.exec(put, vec![SINCE.into(), tomorrow.into(), HAS_EARLIER.into(), SINCE.into(), REPLAY.into()])?;
    Ok(())
}

/// The row of `tally` that counts the namespaces themselves; their ids begin at 1.
pub(super) const NAMESPACES: i64 = 0;
const DAY_S: i64 = 86_400;

/// The present day, since 1970.
pub(super) fn today() -> i64 {
    clock::now_s().div_euclid(DAY_S)
}

/// The names, as long as one question is answered.
pub struct Names<'a> {
    /// The registry's storage.
    pub storage: &'a Storage,
    /// Its tables.
    pub sql: &'a SqlStorage,
    /// What names are held to.
    pub config: &'a Config,
}

/// How many names there are, and how many of them ingest tokens have added today.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    pub(super) names: u64,
    pub(super) added: u64,
}

/// What is to be done about one registration.
enum Plan {
    Refused(NameRefusal),
    Known {
        id: Option<i64>,
        shards: u32,
        incarnation: u64,
        deletions: Vec<Deletion>,
        tally: Tally,
        replay: Option<Replay>,
        days: Option<(u32, u32)>,
        definitions: Vec<DefinitionRecord>,
        new: Vec<(String, u32)>,
        events: Events,
    },
}

type Events = Vec<std::result::Result<EventRecord, NameRefusal>>;

impl Plan {
    /// What there is no room for, if that is so, and how many event names the namespace has.
    fn full(&self) -> Option<(NameRefusal, u64)> {
        match self {
            Self::Refused(refusal) => refusal.is_full().then_some((*refusal, 0)),
            Self::Known { tally, new, events, .. } => {
                let full = events.iter().find_map(|event| event.err().filter(|refusal| refusal.is_full()));
                full.map(|refusal| (refusal, tally.names - new.len() as u64))
            }
        }
    }
}

impl Names<'_> {
    /// Everything about one namespace, if it exists.
    ///
    /// # Errors
    /// When storage fails.
    pub fn lookup(&self, namespace: &str) -> Result<Option<NamespaceRecord>> {
        let Some((id, shards)) = self.find(namespace)? else {
            return Ok(None);
        };
        let query = "SELECT name, goal, number FROM event WHERE namespace = ? ORDER BY number";
        let group_users_min = self.setting(id, GROUP_USERS_MIN)?;
        let mut record = NamespaceRecord {
            namespace: namespace.to_owned(),
            shards,
            names: Vec::new(),
            goals: Vec::new(),
            group_users_min,
            since: self.since(id)?,
            replay: self.replay(id)?,
            series: self.all_series(id)?,
            definitions: self.definitions(id)?,
        };
        for row in sql::rows(self.sql, query, vec![id.into()])? {
            if let [SqlStorageValue::String(name), goal, number] = row.as_slice() {
                let number = sql::integer(number) as u32;
                if sql::integer(goal) == 1 {
                    record.goals.push(number);
                }
                // Those that were deleted have no name.
                record.names.resize(number as usize, String::new());
                record.names.push(name.clone());
            }
        }
        let used = self.next_number(id, record.names.iter().filter(|name| !name.is_empty()).count() as u64)?;
        record.names.resize(used as usize, String::new());
        Ok(Some(record))
    }

    /// Makes a namespace where there is none, as an admin may, and changes its settings.
    ///
    /// # Errors
    /// When storage fails; nothing was changed then.
    pub fn put(&self, question: &PutNamespace) -> Result<NamespacePut> {
        let PutNamespace { namespace, group_users_min, shards, is_replay } = question;
        let today = today();
        let found = self.find(namespace)?;
        let tally = self.tally(NAMESPACES, today)?;
        if found.is_none() && self.refuses_namespace(namespace, Registrant::Admin, tally).is_some() {
            return Ok(NamespacePut::Full);
        }
        let replay = match found {
            Some((id, had)) => {
                if shards.is_some_and(|shards| shards != had) {
                    return Ok(NamespacePut::OtherShards);
                }
                let replay = self.replay(id)?;
                if *is_replay == Some(true)
                    && replay.is_none()
                    && (self.next_number(id, self.tally(id, today)?.names)? > 0 || self.setting(id, REPLAYED)? == 1)
                {
                    return Ok(NamespacePut::HasEvents);
                }
                replay
            }
            None => None,
        };
        sql::transaction(self.storage, || {
            let id = if let Some((id, _)) = found {
                id
            } else {
                self.put_tally(NAMESPACES, Tally { names: tally.names + 1, ..tally }, today)?;
                self.add_namespace(namespace, shards.unwrap_or(self.config.shards))?
            };
            match (is_replay, replay) {
                (Some(true), None) => self.begin_replay(id)?,
                (Some(false), Some(_)) => self.end_replay(id)?,
                _ => {}
            }
            match group_users_min {
                Some(min) => self.put_setting(id, GROUP_USERS_MIN, *min),
                None => Ok(()),
            }
        })?;
        let record = self.lookup(namespace)?.ok_or("a namespace that was put is not there")?;
        Ok(match found {
            None => NamespacePut::Made(record),
            Some(_) if *is_replay == Some(false) && replay.is_some() => NamespacePut::Live(record),
            Some(_) => NamespacePut::Changed(record),
        })
    }

    /// Since when a namespace counts in periods.
    fn since(&self, id: i64) -> Result<Option<Since>> {
        let (day, has_earlier) = (self.setting(id, SINCE)? as u32, self.setting(id, HAS_EARLIER)? == 1);
        Ok(Some(Since { day, has_earlier }).filter(|since| since.day > 0))
    }

    /// The present day of a namespace; none on a replay clock that has not begun.
    pub(super) fn today_of(&self, id: i64) -> Result<Option<Day>> {
        Ok(match self.replay(id)? {
            Some(Replay { today }) => today.and_then(|today| Day::of_number(today.into())),
            None => Some(clock::today()),
        })
    }

    /// The replay clock of a namespace, if it is on one.
    fn replay(&self, id: i64) -> Result<Option<Replay>> {
        if self.setting(id, REPLAY)? == 0 {
            return Ok(None);
        }
        let today = self.setting(id, REPLAY_TODAY)? as u32;
        Ok(Some(Replay { today: Some(today).filter(|&today| today > 0) }))
    }

    /// Puts a namespace without events on a replay clock, which begins with the first of them.
    fn begin_replay(&self, id: i64) -> Result<()> {
        self.put_setting(id, REPLAY, 1)?;
        self.drop_settings(id, &[SINCE, HAS_EARLIER])
    }

    /// Ends a replay. Without an event since then, the namespace counts from today on.
    fn end_replay(&self, id: i64) -> Result<()> {
        self.drop_settings(id, &[REPLAY, REPLAY_TODAY])?;
        self.put_setting(id, REPLAYED, 1)?;
        match self.since(id)? {
            Some(_) => Ok(()),
            None => self.put_setting(id, SINCE, clock::today().number().into()),
        }
    }

    /// Moves a replay clock on to the last day of a batch, but never beyond the clock of the machine: one event of a day to come would
    /// close all days until then. Moves its begin back to the first day that counts. A day before year 1 has no place there.
    fn go_on(&self, id: i64, replay: Replay, (first, last): (u32, u32)) -> Result<Replay> {
        let last = last.min(clock::today().number());
        let today = replay.today.map_or(last, |today| today.max(last));
        let first = first.max(today.saturating_sub(self.config.lateness_days.into()));
        if replay.today != Some(today) {
            self.put_setting(id, REPLAY_TODAY, today.into())?;
        }
        if self.since(id)?.is_none_or(|since| since.day > first) {
            self.put_setting(id, SINCE, first.into())?;
        }
        Ok(Replay { today: Some(today) })
    }

    fn drop_settings(&self, id: i64, names: &[&str]) -> Result<()> {
        for &name in names {
            let bindings = vec![id.into(), name.into()];
            self.sql.exec("DELETE FROM namespace_setting WHERE namespace = ? AND name = ?", bindings)?;
        }
        Ok(())
    }

    /// A setting of a namespace; 0 where there is none.
    pub(super) fn setting(&self, id: i64, name: &str) -> Result<u64> {
        let query = "SELECT value FROM namespace_setting WHERE namespace = ? AND name = ?";
        Ok(sql::value(self.sql, query, vec![id.into(), name.into()])?.as_ref().map_or(0, sql::integer))
    }

    pub(super) fn put_setting(&self, id: i64, name: &str, value: u64) -> Result<()> {
        let put = "INSERT OR REPLACE INTO namespace_setting(namespace, name, value) VALUES(?, ?, ?)";
        self.sql.exec(put, vec![id.into(), name.into(), (value as i64).into()])?;
        Ok(())
    }

    /// Answers the numbers of names and adds what is new, as far as the registrant may. Where there is no room for one
    /// of them, nothing is added. The cost is that of the names asked for, whatever else there is.
    ///
    /// # Errors
    /// When storage fails; nothing was added then.
    pub fn register(&self, registrations: Vec<Registration>, registrant: Registrant) -> Result<Registered> {
        let today = today();
        let mut namespaces = self.tally(NAMESPACES, today)?;
        let before = namespaces.names;
        let mut plans = Vec::with_capacity(registrations.len());
        for (at, registration) in registrations.into_iter().enumerate() {
            let namespace = registration.namespace.clone();
            let plan = self.plan(registration, registrant, today, &mut namespaces)?;
            if let Some((refusal, names_total)) = plan.full() {
                let at = at as u32;
                return Ok(Registered::Full { refusal, at, names_total, namespaces_total: before });
            }
            plans.push((namespace, plan));
        }
        for (_, plan) in &mut plans {
            if let Plan::Known { id: Some(id), replay: Some(replay), days: Some(days), .. } = plan {
                *replay = self.go_on(*id, *replay, *days)?;
            }
        }
        if plans.iter().any(|(_, plan)| matches!(plan, Plan::Known { new, .. } if !new.is_empty())) {
            sql::transaction(self.storage, || self.write(&plans, namespaces, before, today))?;
        }
        let names = plans.into_iter().map(|(_, plan)| match plan {
            Plan::Refused(refusal) => NamesReply::Refused(refusal),
            Plan::Known { shards, incarnation, deletions, tally, replay, definitions, events, .. } => {
                let names_total = tally.names;
                NamesReply::Known { shards, incarnation, deletions, names_total, replay, definitions, events }
            }
        });
        Ok(Registered::Names { names: names.collect(), namespaces_total: namespaces.names })
    }

    fn plan(
        &self,
        Registration { namespace, days, names }: Registration,
        registrant: Registrant,
        today: i64,
        namespaces: &mut Tally,
    ) -> Result<Plan> {
        let namespace = namespace.as_str();
        let found = self.find(namespace)?;
        let (id, shards, mut tally, mut known) = match found {
            Some((id, shards)) => (Some(id), shards, self.tally(id, today)?, self.known(id, &names)?),
            None => (None, self.config.shards, Tally { names: 0, added: 0 }, BTreeMap::new()),
        };
        if id.is_none()
            && let Some(refusal) = self.refuses_namespace(namespace, registrant, *namespaces)
        {
            return Ok(Plan::Refused(refusal));
        }
        let replay = match id {
            Some(id) => self.replay(id)?,
            None => None,
        };
        if replay.is_some() && registrant == Registrant::Ingest {
            return Ok(Plan::Refused(NameRefusal::Replay));
        }
        let (mut new, mut events) = (Vec::new(), Vec::with_capacity(names.len()));
        let mut next = match id {
            Some(id) => self.next_number(id, tally.names)?,
            None => 0,
        };
        for name in names {
            if let Some(&event) = known.get(&name) {
                events.push(Ok(event));
            } else if let Some(refusal) = self.refuses_event(registrant, tally, next) {
                events.push(Err(refusal));
            } else {
                let event = EventRecord { event: next as u32, is_goal: false, series: None };
                next += 1;
                tally.names += 1;
                tally.added += u64::from(registrant == Registrant::Ingest);
                new.push((name.clone(), event.event));
                known.insert(name, event);
                events.push(Ok(event));
            }
        }
        if id.is_none() {
            if let (true, Some(Err(refusal))) = (new.is_empty(), events.first()) {
                return Ok(Plan::Refused(*refusal));
            }
            namespaces.names += 1;
            namespaces.added += u64::from(registrant == Registrant::Ingest);
        }
        let incarnation = match id {
            Some(id) => self.incarnation(id)?,
            None => self.last_incarnation()?,
        };
        let deletions = self.deletions(Some(namespace))?;
        let definitions = id.map_or(Ok(Vec::new()), |id| self.definitions(id))?;
        Ok(Plan::Known { id, shards, incarnation, deletions, tally, replay, days, definitions, new, events })
    }

    /// Why a namespace that does not exist may not be added. `default` always exists to those who look.
    fn refuses_namespace(&self, namespace: &str, registrant: Registrant, tally: Tally) -> Option<NameRefusal> {
        let limit = self.config.namespaces_max;
        let is_free = registrant == Registrant::Admin || namespace == DEFAULT_NAMESPACE;
        if !is_free && self.config.new_names.namespaces_are_known {
            Some(NameRefusal::NamespaceUnknown)
        } else if tally.names >= if is_free { limit } else { open_share(limit) } {
            Some(NameRefusal::NamespacesFull)
        } else if !is_free && tally.added >= self.config.new_names.namespaces_per_day_max {
            Some(NameRefusal::NamespaceQuota)
        } else {
            None
        }
    }

    /// Why an event that does not exist may not be added to a namespace that has so many, and whose next one has this number.
    fn refuses_event(&self, registrant: Registrant, tally: Tally, next: u64) -> Option<NameRefusal> {
        let limit = self.config.events_per_namespace_max;
        let is_free = registrant == Registrant::Admin;
        if !is_free && self.config.new_names.events_are_known {
            Some(NameRefusal::EventUnknown)
        } else if !is_free && tally.added >= self.config.new_names.events_per_day_max {
            Some(NameRefusal::EventQuota)
        } else if next >= EVENTS_PER_NAMESPACE.max || tally.names >= if is_free { limit } else { open_share(limit) } {
            Some(NameRefusal::EventsFull)
        } else {
            None
        }
    }

    fn write(&self, plans: &[(String, Plan)], namespaces: Tally, before: u64, today: i64) -> Result<()> {
        for (namespace, plan) in plans {
            let Plan::Known { id, shards, tally, new, .. } = plan else {
                continue;
            };
            if new.is_empty() {
                continue;
            }
            let id = match id {
                Some(id) => *id,
                None => self.add_namespace(namespace, *shards)?,
            };
            for (name, number) in new {
                let bindings = vec![id.into(), name.as_str().into(), i64::from(*number).into()];
                self.sql.exec("INSERT INTO event(namespace, name, number, goal) VALUES(?, ?, ?, 0)", bindings)?;
            }
            self.put_tally(id, *tally, today)?;
        }
        if namespaces.names == before { Ok(()) } else { self.put_tally(NAMESPACES, namespaces, today) }
    }

    fn add_namespace(&self, namespace: &str, shards: u32) -> Result<i64> {
        let bindings = vec![namespace.into(), i64::from(shards).into()];
        self.sql.exec("INSERT INTO namespace(name, shards) VALUES(?, ?)", bindings)?;
        let id = self.find(namespace)?.map(|(id, _)| id).ok_or("an added namespace is not there")?;
        // Its shards may be those of a deleted one, which have carried out deletions up to that.
        self.put_incarnation(id, self.last_incarnation()?)?;
        self.put_setting(id, SINCE, clock::today().number().into())?;
        Ok(id)
    }

    /// The id and the number of shards of a namespace.
    ///
    /// # Errors
    /// When storage fails.
    pub fn find(&self, namespace: &str) -> Result<Option<(i64, u32)>> {
        let rows = sql::rows(self.sql, "SELECT id, shards FROM namespace WHERE name = ?", vec![namespace.into()])?;
        Ok(rows.first().and_then(|row| match row.as_slice() {
            [id, shards] => Some((sql::integer(id) as i64, sql::integer(shards) as u32)),
            _ => None,
        }))
    }

    /// Those of these names that a namespace has.
    fn known(&self, id: i64, names: &[String]) -> Result<BTreeMap<String, EventRecord>> {
        let query = format!(
            "SELECT name, number, goal, {} FROM event LEFT JOIN series ON series.namespace = event.namespace AND series.event = event.number
             WHERE event.namespace = ? AND name IN (SELECT value FROM json_each(?))",
            Self::SERIES
        );
        let mut known = BTreeMap::new();
        // What is bound to a query must not be longer than a row.
        for names in names.chunks(NAMES_PER_QUERY) {
            let names = serde_json::to_string(names).map_err(|error| worker::Error::from(error.to_string()))?;
            for row in sql::rows(self.sql, &query, vec![id.into(), names.into()])? {
                if let [SqlStorageValue::String(name), number, goal, series @ ..] = row.as_slice() {
                    let (event, series) = (sql::integer(number) as u32, Self::read_series(series));
                    known.insert(name.clone(), EventRecord { event, is_goal: sql::integer(goal) == 1, series });
                }
            }
        }
        Ok(known)
    }

    /// The tally of a namespace, or of all; counted where an earlier version has left none.
    pub(super) fn tally(&self, id: i64, today: i64) -> Result<Tally> {
        let rows = sql::rows(self.sql, "SELECT names, day, added FROM tally WHERE namespace = ?", vec![id.into()])?;
        if let Some([names, day, added]) = rows.first().map(Vec::as_slice) {
            let is_of_today = sql::integer(day) as i64 == today;
            return Ok(Tally { names: sql::integer(names), added: if is_of_today { sql::integer(added) } else { 0 } });
        }
        let count = if id == NAMESPACES {
            sql::value(self.sql, "SELECT count(*) FROM namespace", vec![])?
        } else {
            sql::value(self.sql, "SELECT count(*) FROM event WHERE namespace = ?", vec![id.into()])?
        };
        Ok(Tally { names: count.as_ref().map_or(0, sql::integer), added: 0 })
    }

    pub(super) fn put_tally(&self, id: i64, tally: Tally, today: i64) -> Result<()> {
        let bindings = vec![id.into(), (tally.names as i64).into(), today.into(), (tally.added as i64).into()];
        self.sql.exec("INSERT OR REPLACE INTO tally(namespace, names, day, added) VALUES(?, ?, ?, ?)", bindings)?;
        Ok(())
    }
}
