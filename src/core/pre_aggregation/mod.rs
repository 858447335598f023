//! Pre-aggregation: of a stream of events, passes on only those from which a server may still learn something.
//!
//! Promises:
//! - the state of a server after what was passed on equals its state after the whole stream, to the byte, provided that
//!   what was passed on arrives in order; it may be cut into batches, sent again and interleaved with other streams
//!   in any way;
//! - memory is bounded: at the bound events are passed on unseen, because a server knows repeats by itself;
//! - an event is taken for seen that was not with a probability of `n / 2^56` for an event of `n` users, and no other way.
//!
//! An event is news if it makes a goal, or is its user's first of that name, or their first in an ISO week: which events
//! have weekly cohorts is known to the server only.

mod codec;
mod event;
mod pending;

use std::fmt;

pub use event::Event;

use super::identity::LocalKey;
use crate::core::periods::day::Day;
use crate::core::requests::Fault;
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::{COMBINATIONS_PER_GOAL, LOCAL_MEMORY_BYTES, LOCAL_PENDING_BYTES, NAME_BYTES};
use crate::core::state::aggregator::{Aggregator, Operation, Unmergeable};
use crate::core::state::error::Refusal;
use crate::core::state::report::Report;
use crate::core::state::shard_limits::ShardLimits;
use pending::Pending;

/// The bounds of a pre-aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory for what was seen.
    pub memory_bytes: usize,
    /// Bytes of events that were passed on and not drained yet.
    pub pending_bytes: usize,
    /// Bytes of a name or user id.
    pub name_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { memory_bytes: LOCAL_MEMORY_BYTES, pending_bytes: LOCAL_PENDING_BYTES, name_bytes: NAME_BYTES.default }
    }
}

/// Why an event was not taken. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// A server would refuse it for its form.
    Field {
        /// The part of the event.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// It is news, and there is no room for it until others are drained.
    PendingFull {
        /// [`Bounds::pending_bytes`].
        bytes_max: usize,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { field, fault } => write!(f, "{field}: {fault}"),
            Self::PendingFull { bytes_max } => {
                write!(f, "{bytes_max} bytes of events are pending; drain first, then record this one again")
            }
        }
    }
}

/// Why two pre-aggregators were not merged. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeError {
    /// They count under different keys, so their users cannot be compared.
    Keys,
    /// Some users of this event are in both and some are not, so that its values and completions cannot be added up.
    Overlap {
        /// The namespace.
        namespace: String,
        /// The event.
        event: String,
    },
    /// The result would pass the bounds.
    Full,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys => f.write_str("the aggregators have different keys"),
            Self::Overlap { namespace, event } => write!(
                f,
                "{event} (namespace {namespace}): only some of its users are in both aggregators, so its values and completions cannot be added up"
            ),
            Self::Full => f.write_str("the merged aggregator would pass its bounds"),
        }
    }
}

/// Passes events on that are news. See the [module](self) for its promises.
///
/// # Example
/// ```
/// use kimball_edge::core::identity::LocalKey;
/// use kimball_edge::core::periods::day::Day;
/// use kimball_edge::core::pre_aggregation::{Bounds, Event, PreAggregator};
/// let mut page = PreAggregator::new(LocalKey::new(&[7; 32]), Bounds::default());
/// let login = Event::new("Login", "ann", Day::of_unix_ms(1.8e12).unwrap());
/// assert_eq!(page.record(&login), Ok(true));
/// assert_eq!(page.record(&login), Ok(false));
/// assert_eq!(page.pending().collect::<Vec<_>>(), [login]);
/// ```
#[derive(Debug, Clone)]
pub struct PreAggregator {
    key: LocalKey,
    bounds: Bounds,
    namespaces: Vec<Part>,
    pending: Pending,
    passed_unseen: u64,
}

/// What was seen of one namespace.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    /// Event names by number.
    names: Vec<String>,
    /// Event numbers by name.
    order: Vec<u32>,
    names_bytes: usize,
    state: Aggregator,
}

impl PreAggregator {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new(key: LocalKey, bounds: Bounds) -> Self {
        Self { key, bounds, namespaces: Vec::new(), pending: Pending::NONE, passed_unseen: 0 }
    }

    /// Takes an event and passes it on if it is news. Answers whether it is its user's first of that name; where memory
    /// is at its bound, whether it is not known to be a repeat.
    ///
    /// # Errors
    /// [`Rejection`].
    pub fn record(&mut self, event: &Event<'_>) -> Result<bool, Rejection> {
        event.check(self.bounds.name_bytes)?;
        let known = self.known(event);
        if known == Known::All {
            return Ok(false);
        }
        if !self.pending.push(event, self.bounds.pending_bytes) {
            return Err(Rejection::PendingFull { bytes_max: self.bounds.pending_bytes });
        }
        if self.remember(event).is_err() {
            self.passed_unseen = self.passed_unseen.saturating_add(1);
        }
        Ok(known == Known::Nothing)
    }

    /// The events that were passed on and not drained yet, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = Event<'_>> {
        self.pending.iter()
    }

    /// How many there are.
    #[must_use]
    pub const fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// Takes the oldest `count` pending events out.
    pub fn drain(&mut self, count: usize) {
        self.pending.remove(count);
    }

    /// The numbers of a namespace with the names of its events; `None` for one that was never seen.
    #[must_use]
    pub fn report(&self, namespace: &str) -> Option<(Report, &[String])> {
        let namespace = self.namespaces.iter().find(|known| known.name == namespace)?;
        Some((namespace.state.report(), namespace.names.as_slice()))
    }

    /// Events that were passed on without being remembered, because memory is at its bound.
    #[must_use]
    pub const fn passed_unseen(&self) -> u64 {
        self.passed_unseen
    }

    /// Bytes of memory that what was seen takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.namespaces.iter().map(Part::memory_bytes).sum()
    }

    /// Adds what another one has seen and passed on under the same key: exactly, or not at all.
    ///
    /// User sets unite. Where an event of `other` has values or completions, these add up if its users are new here, and
    /// leave what is here as it is if they are all known. Pending events of `other` that are no news here are left out.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.key != other.key {
            return Err(MergeError::Keys);
        }
        // A copy, made with the code that there is anyway.
        let mut merged = Self::decode(&self.encode(), self.bounds).map_err(|_| MergeError::Full)?;
        for event in other.pending() {
            if self.known(&event) != Known::All && !merged.pending.push(&event, merged.bounds.pending_bytes) {
                return Err(MergeError::Full);
            }
        }
        for theirs in &other.namespaces {
            let at =
                merged.namespaces.iter().position(|namespace| namespace.name == theirs.name).unwrap_or_else(|| {
                    merged.namespaces.push(Part::new(&theirs.name));
                    merged.namespaces.len() - 1
                });
            let mine = merged.namespaces.get_mut(at).ok_or(MergeError::Full)?;
            let numbers: Vec<u32> = theirs.names.iter().map(|name| mine.intern(name)).collect();
            mine.state.merge(&theirs.state, &numbers, &limits(usize::MAX)).map_err(|cause| match cause {
                Unmergeable::Overlap { event } => MergeError::Overlap {
                    namespace: mine.name.clone(),
                    event: mine.names.get(event as usize).cloned().unwrap_or_default(),
                },
                Unmergeable::Refused(_) => MergeError::Full,
            })?;
        }
        if merged.memory_bytes() > self.bounds.memory_bytes {
            return Err(MergeError::Full);
        }
        merged.passed_unseen = merged.passed_unseen.saturating_add(other.passed_unseen);
        *self = merged;
        Ok(())
    }

    fn known(&self, event: &Event<'_>) -> Known {
        let Some(namespace) = self.namespaces.iter().find(|namespace| namespace.name == event.namespace) else {
            return Known::Nothing;
        };
        let Ok(number) = namespace.number(event.event) else {
            return Known::Nothing;
        };
        let key = self.key.unlink();
        let [goal, once, record] = operations(&self.key, number, event);
        if !namespace.state.knows(&once, key) {
            Known::Nothing
        } else if (event.ensure_goal && !namespace.state.knows(&goal, key)) || !namespace.state.knows(&record, key) {
            Known::User
        } else {
            Known::All
        }
    }

    /// Counts an event that was passed on.
    ///
    /// # Errors
    /// [`Refusal`] where it does not fit the bounds; nothing is remembered of it then, or in a page a part.
    fn remember(&mut self, event: &Event<'_>) -> Result<(), Refusal> {
        let room = self.bounds.memory_bytes.saturating_sub(self.memory_bytes());
        let at = self.namespaces.iter().position(|namespace| namespace.name == event.namespace);
        let mut new = at.is_none().then(|| Part::new(event.namespace));
        let Some(namespace) = at.and_then(|at| self.namespaces.get_mut(at)).or(new.as_mut()) else {
            return Err(Refusal::Memory);
        };
        let (number, name_bytes) = match namespace.number(event.event) {
            Ok(number) => (number, 0),
            Err(_) => (namespace.names.len() as u32, name_bytes(event.event)),
        };
        let own_bytes = if at.is_none() { namespace.memory_bytes() } else { 0 };
        let room = room.checked_sub(name_bytes + own_bytes).ok_or(Refusal::Memory)?;
        let limits = limits(namespace.state.memory_bytes() + room);
        let [goal, _, record] = operations(&self.key, number, event);
        let both = [goal, record];
        let operations = if event.ensure_goal { &both[..] } else { std::slice::from_ref(&record) };
        let applied = namespace.state.apply(operations, self.key.unlink(), &limits, Day::MAX);
        if namespace.state.counter(number).is_some() {
            namespace.intern(event.event);
        }
        applied?;
        self.namespaces.extend(new);
        Ok(())
    }
}

/// What was seen of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Not even that its user did it.
    Nothing,
    /// That its user did it, but not in this week, or not as a goal.
    User,
    /// Everything: it is a repeat.
    All,
}

impl Part {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            names: Vec::new(),
            order: Vec::new(),
            names_bytes: 0,
            state: Aggregator::default(),
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.names_bytes + self.state.memory_bytes()
    }

    /// The number of an event, or where in the order of names it is to be put.
    fn number(&self, event: &str) -> Result<u32, usize> {
        let found =
            self.order.binary_search_by(|&number| self.names.get(number as usize).map_or("", |name| name).cmp(event));
        found.map(|at| self.order.get(at).copied().unwrap_or_default())
    }

    /// The number of an event, which it is given if it has none.
    fn intern(&mut self, event: &str) -> u32 {
        self.number(event).unwrap_or_else(|at| {
            let number = self.names.len() as u32;
            self.names.push(event.to_owned());
            self.order.insert(at, number);
            self.names_bytes += name_bytes(event);
            number
        })
    }
}

/// What an event's name costs, with its places in the two lists and among the counters.
const fn name_bytes(name: &str) -> usize {
    name.len() + size_of::<String>() + size_of::<u32>() + size_of::<usize>()
}

/// To make the event a goal, to record it in no week, and to record it in its week.
fn operations(key: &LocalKey, number: u32, event: &Event<'_>) -> [Operation; 3] {
    let (event_name, value) = (event.event, event.value);
    let (tag, user) = (key.unlink().tag(event_name), key.user(event.namespace, event.user));
    let record = |week| Operation::Record { event: number, tag, user, value, week, time: None };
    [Operation::Goal { event: number, tag }, record(None), record(Some(event.day.week()))]
}

/// Whatever is remembered keeps so many bits that no false repeat is to be expected.
fn limits(memory_bytes: usize) -> ShardLimits {
    ShardLimits {
        memory_bytes: memory_bytes as u64,
        combinations_per_goal: COMBINATIONS_PER_GOAL.default,
        refuses_goals: true,
        fingerprint_bits: UserSet::FINGERPRINT_BITS_MAX,
        ..ShardLimits::NONE
    }
}
