//! The definitions of namespaces: table `definition` of the registry.
//!
//! A definition is made once and never changes; the number of one that was deleted is not given again.

use worker::{Result, SqlStorageValue};

use super::names::Names;
use crate::edge::host::sql;
use crate::messages::definitions::{DefinitionPut, DefinitionRecord, PutDefinition};
use crate::messages::registry::{NamesReply, Registered, Registrant, Registration};

/// The setting that says how many definitions a namespace has had.
const DEFINITIONS: &str = "definitions";

/// The table. Its columns are described at the head of [`super::registry`].
pub const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS definition(namespace INTEGER NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL,
       number INTEGER NOT NULL, since INTEGER NOT NULL, spec TEXT NOT NULL, events TEXT NOT NULL,
       PRIMARY KEY(namespace, kind, name)) WITHOUT ROWID;";

const COLUMNS: &str = "number, kind, name, since, spec, events";

impl Names<'_> {
    /// Makes a definition, which counts from the next day on. Raises the incarnation of the namespace, so that every isolate asks anew
    /// and sends it to the shards.
    ///
    /// # Errors
    /// When storage fails; then names of events may have been registered, and nothing else was changed.
    pub fn put_definition(&self, question: &PutDefinition) -> Result<DefinitionPut> {
        let PutDefinition { namespace, kind, name, spec, events, max } = question;
        let known = match self.find(namespace)? {
            Some((id, shards)) => {
                let known = self.definitions(id)?;
                if let Some(definition) = known.iter().find(|known| known.kind == *kind && known.name == *name) {
                    if definition.spec != *spec {
                        return Ok(DefinitionPut::Exists);
                    }
                    let (definition, incarnation) = (definition.clone(), self.incarnation(id)?);
                    return Ok(DefinitionPut::Done { is_new: false, definition, shards, incarnation });
                }
                if self.setting(id, DEFINITIONS)? >= self.config.definitions_max {
                    return Ok(DefinitionPut::NumbersFull);
                }
                known.iter().filter(|known| known.kind == *kind).count() as u64
            }
            None => 0,
        };
        if known >= *max {
            return Ok(DefinitionPut::Full);
        }
        let events = match self.register_events(namespace, events)? {
            Ok(events) => events,
            Err(full) => return Ok(full),
        };
        let (id, shards) = self.find(namespace)?.ok_or("a namespace whose events were registered is not there")?;
        let number = self.setting(id, DEFINITIONS)?;
        let since = self.today_of(id)?.map_or(0, |today| today.plus(1).number());
        let (kind, name, spec) = (*kind, name.clone(), spec.clone());
        let definition = DefinitionRecord { number: number as u32, kind, name, since, spec, events };
        let incarnation = self.renew_with(namespace, self.incarnation(id)?, || {
            self.put_setting(id, DEFINITIONS, number + 1)?;
            self.write_definition(id, &definition)
        })?;
        Ok(DefinitionPut::Done { is_new: true, definition, shards, incarnation })
    }

    /// The numbers of events, in their order; those that are new are registered.
    fn register_events(
        &self,
        namespace: &str,
        events: &[String],
    ) -> Result<std::result::Result<Vec<u32>, DefinitionPut>> {
        let mut names: Vec<String> = Vec::new();
        for event in events {
            if !names.contains(event) {
                names.push(event.clone());
            }
        }
        let registration = Registration { namespace: namespace.to_owned(), days: None, names: names.clone() };
        let reply = match self.register(vec![registration], Registrant::Admin)? {
            Registered::Names { names, .. } => names.into_iter().next(),
            Registered::Full { refusal, .. } => return Ok(Err(DefinitionPut::NamesFull(refusal))),
        };
        let records = match reply {
            Some(NamesReply::Known { events, .. }) => events,
            Some(NamesReply::Refused(refusal)) => return Ok(Err(DefinitionPut::NamesFull(refusal))),
            None => Vec::new(),
        };
        let mut numbers = Vec::with_capacity(events.len());
        for event in events {
            let at = names.iter().position(|name| name == event);
            match at.and_then(|at| records.get(at)) {
                Some(Ok(record)) => numbers.push(record.event),
                Some(Err(refusal)) => return Ok(Err(DefinitionPut::NamesFull(*refusal))),
                None => return Err("the event of a definition was not registered".into()),
            }
        }
        Ok(Ok(numbers))
    }

    fn write_definition(&self, id: i64, definition: &DefinitionRecord) -> Result<()> {
        let DefinitionRecord { number, kind, name, since, spec, events } = definition;
        let events: Vec<String> = events.iter().map(u32::to_string).collect();
        let bindings = vec![
            id.into(),
            i64::from(*number).into(),
            i64::from(*kind).into(),
            name.as_str().into(),
            i64::from(*since).into(),
            spec.as_str().into(),
            events.join(",").into(),
        ];
        let put = format!("INSERT INTO definition(namespace, {COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?)");
        self.sql.exec(&put, bindings).map(|_| ())
    }

    /// The definitions of a namespace, by kind and then by name.
    pub(super) fn definitions(&self, id: i64) -> Result<Vec<DefinitionRecord>> {
        let query = format!("SELECT {COLUMNS} FROM definition WHERE namespace = ? ORDER BY kind, name");
        let mut definitions = Vec::new();
        for row in sql::rows(self.sql, &query, vec![id.into()])? {
            let [number, kind, SqlStorageValue::String(name), since, SqlStorageValue::String(spec), events] =
                row.as_slice()
            else {
                continue;
            };
            let SqlStorageValue::String(events) = events else { continue };
            let events = events.split(',').filter_map(|event| event.parse().ok()).collect();
            let (number, kind, since) = (sql::integer(number), sql::integer(kind), sql::integer(since));
            let (name, spec) = (name.clone(), spec.clone());
            let (number, kind, since) = (number as u32, kind as u8, since as u32);
            definitions.push(DefinitionRecord { number, kind, name, since, spec, events });
        }
        Ok(definitions)
    }

    /// Whether a definition is about an event.
    pub(super) fn is_in_use(&self, id: i64, event: u32) -> Result<bool> {
        Ok(self.definitions(id)?.iter().any(|definition| definition.events.contains(&event)))
    }
}
