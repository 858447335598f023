//! A batch of events, put together one by one.

use std::collections::HashMap;

use super::{BadRequest, Level};
use crate::core::identity::{Keys, NameHash, UserKey, UserKeys};
use crate::core::periods::day::Day;
use crate::core::settings::limits::{BATCH_NAME_BYTES, EVENT_BYTES, NAME_COPIES, RequestLimits};
use crate::core::state::aggregator::Operation;

/// A batch of events, by namespace, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The namespaces that occur.
    pub namespaces: Vec<NamespaceBatch>,
    /// What its sender kept of the events, if it says so.
    pub kept: Option<Level>,
}

/// The events of a batch that belong to one namespace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamespaceBatch {
    /// The namespace's name.
    pub namespace: String,
    /// The event names that occur, each once.
    pub names: Vec<String>,
    /// The events in their order.
    pub items: Vec<Item>,
}

/// One event of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// Position in the batch.
    pub index: u32,
    /// Index into [`NamespaceBatch::names`].
    pub name: u32,
    /// Who did it.
    pub user: UserKey,
    /// The value, finite and bounded.
    pub value: Option<f64>,
    /// Whether the event is to be a goal first.
    pub ensure_goal: bool,
    /// The day of its `datetime`; without one, the present day is meant.
    pub day: Option<Day>,
}

// Beside them the event is part of a message, of at most 48 bytes.
const _: () = assert!(size_of::<Item>() + size_of::<Operation>() + 48 <= EVENT_BYTES as usize);

impl Batch {
    /// Bytes of memory that the batch takes, and what is made of it, until it was carried out.
    #[must_use]
    pub fn bytes_in_flight(&self) -> u64 {
        let name_bytes = |name: &String| BATCH_NAME_BYTES + NAME_COPIES * name.len() as u64;
        let part_bytes = |part: &NamespaceBatch| {
            name_bytes(&part.namespace)
                + part.names.iter().map(name_bytes).sum::<u64>()
                + EVENT_BYTES * part.items.len() as u64
        };
        self.namespaces.iter().map(part_bytes).sum()
    }

    /// The number of its events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.namespaces.iter().map(|namespace| namespace.items.len() as u64).sum()
    }
}

/// One event as it was read, all of it checked.
pub(super) struct NewEvent<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub user_id: &'a str,
    pub index: u32,
    pub value: Option<f64>,
    pub ensure_goal: bool,
    pub day: Option<Day>,
}

/// Puts a batch together. Names are looked up by hashes under a key that callers do not know, so that a batch costs what
/// its bytes do, however its names are chosen.
pub(super) struct BatchBuilder<'a> {
    /// What the sender kept of the events, once that was read.
    pub(super) kept: Option<Level>,
    keys: &'a Keys,
    namespaces_max: u64,
    parts: Vec<Part>,
    by_namespace: HashMap<String, usize, NameHash>,
    /// The part of the latest event: the next one is most often of the same.
    latest: usize,
}

/// What is known of a namespace while its events come in.
struct Part {
    batch: NamespaceBatch,
    users: UserKeys,
    by_name: HashMap<String, u32, NameHash>,
    /// The name of the latest event.
    latest: u32,
}

impl<'a> BatchBuilder<'a> {
    pub(super) fn new(keys: &'a Keys, limits: &RequestLimits) -> Self {
        let by_namespace = HashMap::with_hasher(keys.name_hash());
        Self { kept: None, keys, namespaces_max: limits.batch_namespaces, parts: Vec::new(), by_namespace, latest: 0 }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`BadRequest::TooManyNamespaces`] when it is of a namespace more than the limit.
    pub(super) fn add(&mut self, event: &NewEvent<'_>) -> Result<(), BadRequest> {
        self.latest = self.place(event.namespace)?;
        if let Some(part) = self.parts.get_mut(self.latest) {
            part.latest = part.intern(event.name);
            let NewEvent { index, value, ensure_goal, day, .. } = *event;
            let user = part.users.key(event.user_id);
            part.batch.items.push(Item { index, name: part.latest, user, value, ensure_goal, day });
        }
        Ok(())
    }

    /// The position of a namespace.
    fn place(&mut self, namespace: &str) -> Result<usize, BadRequest> {
        if self.parts.get(self.latest).is_some_and(|part| part.batch.namespace == namespace) {
            return Ok(self.latest);
        }
        if let Some(&known) = self.by_namespace.get(namespace) {
            return Ok(known);
        }
        let next = self.parts.len();
        if next as u64 >= self.namespaces_max {
            return Err(BadRequest::TooManyNamespaces { limit: self.namespaces_max });
        }
        self.parts.push(Part {
            batch: NamespaceBatch { namespace: namespace.to_owned(), ..NamespaceBatch::default() },
            users: self.keys.users(namespace),
            by_name: HashMap::with_hasher(self.keys.name_hash()),
            latest: 0,
        });
        self.by_namespace.insert(namespace.to_owned(), next);
        Ok(next)
    }

    pub(super) fn finish(self) -> Batch {
        Batch { namespaces: self.parts.into_iter().map(|part| part.batch).collect(), kept: self.kept }
    }
}

impl Part {
    fn intern(&mut self, name: &str) -> u32 {
        if self.batch.names.get(self.latest as usize).is_some_and(|latest| latest == name) {
            return self.latest;
        }
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let next = self.batch.names.len() as u32;
        self.batch.names.push(name.to_owned());
        self.by_name.insert(name.to_owned(), next);
        next
    }
}
