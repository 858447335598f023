//! Pre-aggregation: of a stream of events, passes on only those from which a server may still learn something.
//!
//! Promises:
//! - the state of a server after what was passed on equals its state after the whole stream, to the byte, provided that
//!   what was passed on arrives in order; it may be cut into batches, sent again and interleaved with other streams
//!   in any way;
//! - where [`Level::Order`] is kept, so does every funnel of at most [`STEPS_MAX`] steps, if the events of one user come from one
//!   pre-aggregator at a time (`marks.rs`);
//! - memory is bounded: at the bound events are passed on unseen, because a server knows repeats by itself;
//! - an event is taken for seen that was not with a probability of `n / 2^56` for an event of `n` users, and no other way.
//!
//! An event is news if it makes a goal, or is its user's first of that name, or their first in an ISO week: which events
//! have weekly cohorts is known to the server only. Where days or the order of events are kept ([`Level`]), there is more of it.

mod codec;
mod event;
mod marks;
mod pending;
mod seen;

use std::fmt;

pub use super::requests::Level;
pub use event::Event;
pub use marks::STEPS_MAX;
pub use seen::Seen;

use super::identity::LocalKey;
use crate::core::periods::day::Day;
use crate::core::requests::Fault;
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::{COMBINATIONS_PER_GOAL, LOCAL_MEMORY_BYTES, LOCAL_PENDING_BYTES, NAME_BYTES};
use crate::core::state::aggregator::{Aggregator, Operation, Unmergeable};
use crate::core::state::error::Refusal;
use crate::core::state::report::Report;
use crate::core::state::shard_limits::ShardLimits;
use marks::{Mark, Marks};
use pending::Pending;

/// What a pre-aggregator keeps, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory for what was seen.
    pub memory_bytes: usize,
    /// Bytes of events that were passed on and not drained yet.
    pub pending_bytes: usize,
    /// Bytes of a name or user id.
    pub name_bytes: u64,
    /// What it keeps of the events that it sees.
    pub level: Level,
    /// Whether it passes repeats on, too.
    pub passes_repeats: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory_bytes: LOCAL_MEMORY_BYTES,
            pending_bytes: LOCAL_PENDING_BYTES,
            name_bytes: NAME_BYTES.default,
            level: Level::Order,
            passes_repeats: false,
        }
    }
}

/// What an event tells a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing: it was not passed on.
    Repeat,
    /// That it was done again behind others; on that day it was done before. It can wait for the next [`News::First`]. Or nothing,
    /// where repeats are passed on.
    Order,
    /// That it was done: ever, in that week, or on that day. Or that it is a goal, or, where memory is at its bound, maybe nothing.
    First,
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
/// use kimball_edge::core::pre_aggregation::{Bounds, Event, News, PreAggregator};
/// let mut page = PreAggregator::new(LocalKey::new(&[7; 32]), Bounds::default());
/// let now_s = 1_800_000_000;
/// let [search, buy] = ["Search", "Buy"].map(|name| Event::new(name, "ann", Day::of_unix_s(now_s)));
/// let told = [search, search, buy, buy, search].map(|event| page.record(&event, now_s).unwrap());
/// assert_eq!(told, [News::First, News::Repeat, News::First, News::Repeat, News::Order]);
/// assert_eq!(page.pending().collect::<Vec<_>>(), [search, buy, search]);
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
    marks: Marks,
}

impl PreAggregator {
    /// One that has seen nothing.
    #[must_use]
    pub const fn new(key: LocalKey, bounds: Bounds) -> Self {
        Self { key, bounds, namespaces: Vec::new(), pending: Pending::NONE, passed_unseen: 0 }
    }

    /// Takes an event, at a time in Unix seconds, and passes it on if it is news.
    ///
    /// # Errors
    /// [`Rejection`].
    pub fn record(&mut self, event: &Event<'_>, now_s: i64) -> Result<News, Rejection> {
        event.check(self.bounds.name_bytes)?;
        let now_min = u32::try_from(now_s / 60).unwrap_or(0);
        let hash = self.key.unlink().fingerprint(self.key.user(event.namespace, event.user), marks::TAG);
        let knows = self.knows(event);
        let mark = self.look(event, hash, now_min);
        if knows && mark == Mark::Known && !self.bounds.passes_repeats {
            return Ok(News::Repeat);
        }
        if !self.pending.push(event, self.bounds.pending_bytes) {
            return Err(Rejection::PendingFull { bytes_max: self.bounds.pending_bytes });
        }
        let is_remembered = self.remember(event).is_ok();
        if !self.pass(event, hash, mark, now_min) || !is_remembered {
            self.passed_unseen = self.passed_unseen.saturating_add(1);
        }
        Ok(if knows && mark != Mark::New { News::Order } else { News::First })
    }

    /// What it keeps, and its bounds.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Keeps so much from here on. What was kept less of is forgotten, for its order is not known.
    pub fn set_level(&mut self, level: Level) {
        if level > self.bounds.level || level == Level::Week {
            self.forget_order();
        }
        self.bounds.level = level;
    }

    /// Forgets the order of events: another page of the same users may have gone on meanwhile.
    fn forget_order(&mut self) {
        for namespace in &mut self.namespaces {
            namespace.marks = Marks::default();
        }
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
    /// leave what is here as it is if they are all known. Pending events of `other` follow those that are here; at
    /// [`Level::Week`], those that are no news here are left out. The order of events is forgotten.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.key != other.key {
            return Err(MergeError::Keys);
        }
        // A copy, made with the code that there is anyway.
        let mut merged = Self::decode(&self.encode(), self.bounds).map_err(|_| MergeError::Full)?;
        merged.forget_order();
        for event in other.pending() {
            let is_wanted = self.bounds.level > Level::Week || !self.knows(&event);
            if is_wanted && !merged.pending.push(&event, merged.bounds.pending_bytes) {
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

    /// Whether it is known that the user did this event, ever and in its week, and that it is a goal if it is to be one.
    fn knows(&self, event: &Event<'_>) -> bool {
        let Some(namespace) = self.namespaces.iter().find(|namespace| namespace.name == event.namespace) else {
            return false;
        };
        let Ok(number) = namespace.number(event.event) else {
            return false;
        };
        let key = self.key.unlink();
        let [goal, record] = operations(&self.key, number, event);
        namespace.state.knows(&record, key) && (!event.ensure_goal || namespace.state.knows(&goal, key))
    }

    /// What the event is for the order of events.
    fn look(&mut self, event: &Event<'_>, hash: u64, now_min: u32) -> Mark {
        let level = self.bounds.level;
        if level == Level::Week {
            return Mark::Known;
        }
        for namespace in &mut self.namespaces {
            namespace.marks.forget_paused(now_min, level);
        }
        let namespace = self.namespaces.iter_mut().find(|namespace| namespace.name == event.namespace);
        namespace.map_or(Mark::New, |namespace| match namespace.number(event.event) {
            Ok(number) => namespace.marks.look(hash, number, event.day, now_min, level),
            Err(_) => Mark::New,
        })
    }

    /// Counts an event that was passed on in the order of events. Answers whether it is remembered there.
    fn pass(&mut self, event: &Event<'_>, hash: u64, mark: Mark, now_min: u32) -> bool {
        let room = self.bounds.memory_bytes.saturating_sub(self.memory_bytes());
        let Some(namespace) = self.namespaces.iter_mut().find(|namespace| namespace.name == event.namespace) else {
            return mark == Mark::Known;
        };
        let number = namespace.number(event.event).ok();
        namespace.marks.pass(hash, number, event.day, mark, now_min, room)
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
        let [goal, record] = operations(&self.key, number, event);
        let both = [goal, record];
        let operations = if event.ensure_goal { &both[..] } else { &both[1..] };
        let applied = namespace.state.apply(operations, self.key.unlink(), &limits, Day::MAX);
        if namespace.state.counter(number).is_some() {
            namespace.intern(event.event);
        }
        applied?;
        self.namespaces.extend(new);
        Ok(())
    }
}

impl Part {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            names: Vec::new(),
            order: Vec::new(),
            names_bytes: 0,
            state: Aggregator::default(),
            marks: Marks::default(),
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.name.len() + self.names_bytes + self.state.memory_bytes() + self.marks.bytes()
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

/// To make the event a goal, and to record it in its week.
fn operations(key: &LocalKey, number: u32, event: &Event<'_>) -> [Operation; 2] {
    let (event_name, value) = (event.event, event.value);
    let (tag, user) = (key.unlink().tag(event_name), key.user(event.namespace, event.user));
    let week = Some(event.day.week());
    [Operation::Goal { event: number, tag }, Operation::Record { event: number, tag, user, value, week, time: None }]
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
