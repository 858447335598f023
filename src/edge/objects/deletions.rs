//! Deletions in the tables of the registry: what is deleted is gone here at once, and noted until every shard has dropped it.

use worker::{Result, SqlStorageValue};

use super::names::{NAMESPACES, Names, Tally, today};
use crate::edge::host::sql;
use crate::messages::registry::{Deletable, Deleted, Deletion};

const NAMESPACE: i64 = 0;
const EVENT: i64 = 1;
const GOAL: i64 = 2;
const DEFINITION: i64 = 3;

impl Names<'_> {
    /// Deletes something and answers what the shards of the namespace have to carry out, which may be left from before; `None` where it
    /// is an event that a definition is about, which stays.
    ///
    /// # Errors
    /// When storage fails; nothing was deleted then.
    pub fn delete(&self, namespace: &str, what: &Deletable) -> Result<Option<Vec<Deletion>>> {
        if let Some((id, shards)) = self.find(namespace)?
            && let Some(what) = self.found(id, what)?
        {
            if let Deleted::Event(event) = what
                && self.is_in_use(id, event)?
            {
                return Ok(None);
            }
            sql::transaction(self.storage, || self.remove(id, namespace, shards, what))?;
        }
        self.deletions(Some(namespace)).map(Some)
    }

    /// Notes that a deletion was carried out by all shards.
    ///
    /// # Errors
    /// When storage fails.
    pub fn end_deletion(&self, number: u64) -> Result<()> {
        self.sql.exec("DELETE FROM deletion WHERE number = ?", vec![(number as i64).into()]).map(|_| ())
    }

    /// What shards have yet to carry out, ascending; of one namespace, or of all.
    ///
    /// # Errors
    /// When storage fails.
    pub fn deletions(&self, namespace: Option<&str>) -> Result<Vec<Deletion>> {
        let query = "SELECT number, namespace, shards, kind, event FROM deletion
                     WHERE ?1 IS NULL OR namespace = ?1 ORDER BY number";
        let bindings = vec![namespace.map_or(SqlStorageValue::Null, Into::into)];
        let mut deletions = Vec::new();
        for row in sql::rows(self.sql, query, bindings)? {
            if let [number, SqlStorageValue::String(namespace), shards, kind, event] = row.as_slice() {
                let event = sql::integer(event) as u32;
                let what = match sql::integer(kind) as i64 {
                    EVENT => Deleted::Event(event),
                    GOAL => Deleted::Goal(event),
                    DEFINITION => Deleted::Definition(event),
                    _ => Deleted::Namespace,
                };
                let (number, shards) = (sql::integer(number), sql::integer(shards) as u32);
                deletions.push(Deletion { number, namespace: namespace.clone(), shards, what });
            }
        }
        Ok(deletions)
    }

    /// What is there to be deleted.
    fn found(&self, id: i64, what: &Deletable) -> Result<Option<Deleted>> {
        let number = |name: &str, condition: &str| -> Result<Option<u32>> {
            let query = format!("SELECT number FROM event WHERE namespace = ? AND name = ? {condition}");
            let value = sql::value(self.sql, &query, vec![id.into(), name.into()])?;
            Ok(value.as_ref().map(|number| sql::integer(number) as u32))
        };
        Ok(match what {
            Deletable::Namespace => Some(Deleted::Namespace),
            Deletable::Event(name) => number(name, "")?.map(Deleted::Event),
            Deletable::Goal(name) => number(name, "AND goal = 1")?.map(Deleted::Goal),
            Deletable::Definition { kind, name } => {
                let known = self.definitions(id)?;
                let found = known.iter().find(|known| known.kind == *kind && known.name == *name);
                found.map(|definition| Deleted::Definition(definition.number))
            }
        })
    }

    fn remove(&self, id: i64, namespace: &str, shards: u32, what: Deleted) -> Result<()> {
        let (kind, event) = match what {
            Deleted::Namespace => (NAMESPACE, 0),
            Deleted::Event(event) => (EVENT, event),
            Deleted::Goal(event) => (GOAL, event),
            Deleted::Definition(number) => (DEFINITION, number),
        };
        let number = self.next_incarnation(0)?;
        let of_event = || vec![id.into(), i64::from(event).into()];
        match what {
            Deleted::Namespace => {
                // What was to be deleted of it goes with it.
                self.sql.exec("DELETE FROM deletion WHERE namespace = ?", vec![namespace.into()])?;
                for table in ["event", "tally", "retired", "incarnation", "namespace_setting", "series", "definition"] {
                    self.sql.exec(&format!("DELETE FROM {table} WHERE namespace = ?"), vec![id.into()])?;
                }
                self.sql.exec("DELETE FROM namespace WHERE id = ?", vec![id.into()])?;
                self.count_less(NAMESPACES)?;
            }
            Deleted::Event(_) => {
                self.sql.exec("DELETE FROM event WHERE namespace = ? AND number = ?", of_event())?;
                self.sql.exec("DELETE FROM series WHERE namespace = ? AND event = ?", of_event())?;
                self.sql.exec("INSERT INTO retired(namespace, number) VALUES(?, ?)", of_event())?;
                self.count_less(id)?;
            }
            Deleted::Goal(_) => {
                self.sql.exec("UPDATE event SET goal = 0 WHERE namespace = ? AND number = ?", of_event())?;
            }
            Deleted::Definition(_) => {
                self.sql.exec("DELETE FROM definition WHERE namespace = ? AND number = ?", of_event())?;
            }
        }
        if what != Deleted::Namespace {
            self.put_incarnation(id, number)?;
        }
        self.put_last_incarnation(number)?;
        let bindings = vec![
            (number as i64).into(),
            namespace.into(),
            i64::from(shards).into(),
            kind.into(),
            i64::from(event).into(),
        ];
        let note = "INSERT INTO deletion(number, namespace, shards, kind, event) VALUES(?, ?, ?, ?, ?)";
        self.sql.exec(note, bindings).map(|_| ())
    }

    /// One name less. What was added today stays counted: deleting gives nobody a new quota.
    fn count_less(&self, id: i64) -> Result<()> {
        let Tally { names, added } = self.tally(id, today())?;
        self.put_tally(id, Tally { names: names.saturating_sub(1), added }, today())
    }

    /// The number that the next new event of a namespace gets, which has so many: numbers of deleted ones are not given again.
    pub(super) fn next_number(&self, id: i64, names: u64) -> Result<u64> {
        let retired = sql::value(self.sql, "SELECT count(*) FROM retired WHERE namespace = ?", vec![id.into()])?;
        Ok(names + retired.as_ref().map_or(0, sql::integer))
    }

    /// The incarnation of a namespace; 0 where nothing of it was ever deleted.
    pub(super) fn incarnation(&self, id: i64) -> Result<u64> {
        let number = sql::value(self.sql, "SELECT number FROM incarnation WHERE namespace = ?", vec![id.into()])?;
        Ok(number.as_ref().map_or(0, sql::integer))
    }

    pub(super) fn put_incarnation(&self, id: i64, number: u64) -> Result<()> {
        let put = "INSERT OR REPLACE INTO incarnation(namespace, number) VALUES(?, ?)";
        self.sql.exec(put, vec![id.into(), (number as i64).into()]).map(|_| ())
    }

    /// What the incarnation of a namespace can be at most; of one that is not there or not known, that of any.
    pub(super) fn incarnation_of(&self, namespace: Option<&str>) -> Result<u64> {
        match namespace.map_or(Ok(None), |namespace| self.find(namespace))? {
            Some((id, _)) => self.incarnation(id),
            None => self.last_incarnation(),
        }
    }

    /// A number for a deletion or an incarnation, greater than all before and than this one, and not the next one: a registry that
    /// was restored must not give those again that shards have heard of.
    fn next_incarnation(&self, above: u64) -> Result<u64> {
        let mut apart = [0; 2];
        getrandom::fill(&mut apart).map_err(|error| worker::Error::from(error.to_string()))?;
        Ok(self.last_incarnation()?.max(above) + 1 + u64::from(u16::from_le_bytes(apart)))
    }

    /// The greatest number that a deletion or an incarnation has got.
    pub(super) fn last_incarnation(&self) -> Result<u64> {
        let value =
            sql::value(self.sql, "SELECT number FROM incarnation WHERE namespace = ?", vec![NAMESPACES.into()])?;
        Ok(value.as_ref().map_or(0, sql::integer))
    }

    /// Gives a namespace a new incarnation, greater than this one and all others.
    ///
    /// # Errors
    /// When storage fails; nothing was changed then.
    pub fn renew(&self, namespace: &str, incarnation: u64) -> Result<u64> {
        self.renew_with(namespace, incarnation, || Ok(()))
    }

    /// The same together with another change, both or neither.
    ///
    /// # Errors
    /// When storage fails; nothing was changed then.
    pub fn renew_with(&self, namespace: &str, above: u64, also: impl FnOnce() -> Result<()>) -> Result<u64> {
        let number = self.next_incarnation(above)?;
        let id = self.find(namespace)?.map(|(id, _)| id);
        sql::transaction(self.storage, || {
            also()?;
            self.put_last_incarnation(number)?;
            id.map_or(Ok(()), |id| self.put_incarnation(id, number))
        })?;
        Ok(number)
    }

    fn put_last_incarnation(&self, number: u64) -> Result<()> {
        self.put_incarnation(NAMESPACES, number)
    }
}
