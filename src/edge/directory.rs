//! The directory: names of namespaces and events to shard counts and numbers, cached in the isolate.
//!
//! A name never changes its meaning, so what is cached stays true; what is missing is asked of the registry.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use worker::Env;

use super::error::ApiError;
use super::message::{NamespaceRecord, REGISTRY_NAME, Registration, RegistryReply, RegistryRequest, ask};
use crate::core::identity::{Keys, UnlinkKey};
use crate::core::limits::NAME_CACHE_BYTES;

/// What an isolate knows of a namespace.
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its number of shards.
    pub shards: u32,
    /// Its event names, by number.
    pub names: Vec<String>,
    /// The key of its fingerprints.
    pub unlink: UnlinkKey,
    goals: BTreeSet<u32>,
    by_name: BTreeMap<String, EventRef>,
    bytes: usize,
}

/// How an event is named in messages to shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// Its number.
    pub event: u32,
    /// Its tag.
    pub tag: u64,
}

#[derive(Default)]
struct Cache {
    namespaces: BTreeMap<String, Rc<Namespace>>,
    bytes: usize,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// What an entry costs beside the name, twice a name's bytes included by the caller.
const ENTRY_BYTES: usize = 128;

impl Namespace {
    fn new(record: NamespaceRecord, keys: &Keys) -> Self {
        let unlink = keys.unlink(&record.namespace);
        let bytes = ENTRY_BYTES + record.names.iter().map(|name| ENTRY_BYTES + 2 * name.len()).sum::<usize>();
        let by_name = (0..)
            .zip(&record.names)
            .map(|(event, name)| (name.clone(), EventRef { event, tag: unlink.tag(name) }))
            .collect();
        Self {
            name: record.namespace,
            shards: record.shards,
            names: record.names,
            unlink,
            goals: record.goals.into_iter().collect(),
            by_name,
            bytes,
        }
    }

    /// The event of this name.
    pub fn event(&self, name: &str) -> Option<EventRef> {
        self.by_name.get(name).copied()
    }

    /// Whether every shard knows this event as a goal.
    pub fn is_goal(&self, event: u32) -> bool {
        self.goals.contains(&event)
    }

    /// The names of the goals.
    pub fn goals(&self) -> impl Iterator<Item = &str> {
        self.goals.iter().filter_map(|&event| self.names.get(event as usize)).map(String::as_str)
    }

    /// The name of the object that holds a shard.
    pub fn shard_name(&self, index: u32) -> String {
        shard_name(&self.name, index)
    }
}

/// The name of the object that holds a shard of a namespace.
pub fn shard_name(namespace: &str, index: u32) -> String {
    format!("{namespace}/{index}")
}

fn cached(namespace: &str) -> Option<Rc<Namespace>> {
    CACHE.with_borrow(|cache| cache.namespaces.get(namespace).cloned())
}

/// Puts a namespace into the cache, which is emptied first where it would pass its bound.
fn cache(namespace: Namespace) -> Rc<Namespace> {
    let namespace = Rc::new(namespace);
    CACHE.with_borrow_mut(|cache| {
        if let Some(former) = cache.namespaces.remove(&namespace.name) {
            cache.bytes -= former.bytes;
        }
        if cache.bytes + namespace.bytes > NAME_CACHE_BYTES {
            *cache = Cache::default();
        }
        cache.bytes += namespace.bytes;
        cache.namespaces.insert(namespace.name.clone(), Rc::clone(&namespace));
    });
    namespace
}

/// What the registry knows of a namespace now; `None` where it does not exist.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn look_up(env: &Env, keys: &Keys, namespace: &str) -> Result<Option<Rc<Namespace>>, ApiError> {
    match ask(env, "REGISTRY", REGISTRY_NAME, &RegistryRequest::Lookup(namespace.to_owned())).await? {
        RegistryReply::Namespace(record) => Ok(record.map(|record| cache(Namespace::new(record, keys)))),
        _ => Err(ApiError::unexpected("the registry")),
    }
}

/// Namespaces that know all these names, in the order asked for; what is new is registered, all or nothing.
///
/// # Errors
/// When a limit refuses the new names, or the registry cannot be reached.
pub async fn resolve(env: &Env, keys: &Keys, wanted: &[(&str, &[String])]) -> Result<Vec<Rc<Namespace>>, ApiError> {
    let known: Vec<Rc<Namespace>> = wanted
        .iter()
        .filter_map(|(namespace, names)| {
            cached(namespace).filter(|known| names.iter().all(|name| known.event(name).is_some()))
        })
        .collect();
    if known.len() == wanted.len() {
        return Ok(known);
    }
    let registrations = wanted
        .iter()
        .map(|&(namespace, names)| Registration { namespace: namespace.to_owned(), names: names.to_vec() })
        .collect();
    match ask(env, "REGISTRY", REGISTRY_NAME, &RegistryRequest::Register(registrations)).await? {
        RegistryReply::Registered(records) if records.len() == wanted.len() => {
            Ok(records.into_iter().map(|record| cache(Namespace::new(record, keys))).collect())
        }
        _ => Err(ApiError::unexpected("the registry")),
    }
}

/// Notes goals that every shard knows of.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn mark_goals(env: &Env, keys: &Keys, namespace: &Namespace, events: Vec<u32>) -> Result<(), ApiError> {
    let request = RegistryRequest::MarkGoals { namespace: namespace.name.clone(), events };
    match ask(env, "REGISTRY", REGISTRY_NAME, &request).await? {
        RegistryReply::Done => look_up(env, keys, &namespace.name).await.map(|_| ()),
        _ => Err(ApiError::unexpected("the registry")),
    }
}

/// The names of all namespaces.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn namespaces(env: &Env) -> Result<Vec<String>, ApiError> {
    match ask(env, "REGISTRY", REGISTRY_NAME, &RegistryRequest::Namespaces).await? {
        RegistryReply::Namespaces(names) => Ok(names),
        _ => Err(ApiError::unexpected("the registry")),
    }
}
