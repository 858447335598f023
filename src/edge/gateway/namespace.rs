//! Namespaces as reads see them: everything that the registry knows of one, asked for every time.

use std::collections::BTreeSet;
use std::rc::Rc;

use worker::Env;

use super::ask::{ask_registry, shard_name};
use crate::core::identity::{Keys, UnlinkKey};
use crate::core::periods::day::Day;
use crate::core::periods::period::Kept;
use crate::core::requests::{BLANK, BadRequest, is_blank};
use crate::core::state::definitions::Kind;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::http::error::ApiError;
use crate::messages::definitions::DefinitionRecord;
use crate::messages::operations::Series;
use crate::messages::registry::{Lookup, NamespaceRecord, Namespaces, Replay, Since};

/// Everything about a namespace.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its number of shards.
    pub shards: u32,
    /// Its event names, by number.
    pub names: Vec<String>,
    /// The key of its fingerprints.
    pub unlink: UnlinkKey,
    /// The least users of a group of which answers show the number, as set for this namespace.
    pub group_users_min: u64,
    /// Since when it counts in periods; absent where it is on a replay clock and has no event yet.
    pub since: Option<Since>,
    /// Its replay clock, if it is on one.
    pub replay: Option<Replay>,
    /// Its definitions, by kind and then by name.
    pub definitions: Vec<DefinitionRecord>,
    series: Vec<(u32, Series)>,
    goals: BTreeSet<u32>,
}

impl Namespace {
    fn of(record: NamespaceRecord, keys: &Keys) -> Self {
        Self {
            unlink: keys.unlink(&record.namespace),
            name: record.namespace,
            shards: record.shards,
            names: record.names,
            group_users_min: record.group_users_min,
            since: record.since,
            replay: record.replay,
            definitions: record.definitions,
            series: record.series,
            goals: record.goals.into_iter().collect(),
        }
    }

    /// Its present day: of a replay clock the greatest of its events.
    pub fn today(&self) -> Day {
        today_of(self.replay)
    }

    /// The series that an event has.
    pub fn kept(&self, event: u32, config: &Config) -> Kept {
        let at = self.series.partition_point(|(other, _)| *other < event);
        let chosen = self.series.get(at).filter(|(found, _)| *found == event).map(|(_, series)| *series);
        kept_of(event, chosen, config)
    }

    /// The definition of a kind and a name.
    pub fn definition(&self, kind: Kind, name: &str) -> Option<&DefinitionRecord> {
        self.definitions.iter().find(|definition| definition.kind == kind.number() && definition.name == name)
    }

    /// The names of the goals.
    pub fn goals(&self) -> impl Iterator<Item = &str> {
        self.goals.iter().filter_map(|&event| self.names.get(event as usize)).map(String::as_str)
    }

    /// Whether there is an event of this number, not deleted.
    pub fn has_event(&self, event: u32) -> bool {
        self.names.get(event as usize).is_some_and(|name| !name.is_empty())
    }

    /// How many events it has.
    pub fn events(&self) -> usize {
        self.names.iter().filter(|name| !name.is_empty()).count()
    }

    /// Whether the event of this number is a goal.
    pub fn has_goal(&self, event: u32) -> bool {
        self.goals.contains(&event)
    }

    /// The name of the object that holds a shard.
    pub fn shard_name(&self, index: u32) -> String {
        shard_name(&self.name, index)
    }
}

/// The series that an event has: those that were chosen, else the usual ones.
pub(super) fn kept_of(event: u32, chosen: Option<Series>, config: &Config) -> Kept {
    match chosen {
        Some(series) if config.has_series() => series.into(),
        _ => Kept::always(config.units(event)),
    }
}

/// The present day of a namespace: of a replay clock the greatest of its events.
pub(super) fn today_of(replay: Option<Replay>) -> Day {
    let day = replay.and_then(|replay| Day::of_number(replay.today?.into()));
    day.unwrap_or_else(clock::today)
}

/// What the registry knows of a namespace now; `None` where it does not exist.
///
/// # Errors
/// When the registry cannot be reached, or a namespace that does not exist has a blank name.
pub async fn look_up(env: &Env, keys: &Keys, namespace: &str) -> Result<Option<Rc<Namespace>>, ApiError> {
    let record = ask_registry(env, &Lookup { namespace: namespace.to_owned() }).await?;
    if record.is_none() && is_blank(namespace) {
        return Err(BadRequest::Parameter { parameter: "namespace", fault: BLANK }.into());
    }
    Ok(record.map(|record| Rc::new(Namespace::of(record, keys))))
}

/// The names of all namespaces.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn list(env: &Env) -> Result<Vec<String>, ApiError> {
    ask_registry(env, &Namespaces).await
}
