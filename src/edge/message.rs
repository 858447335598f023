//! What the Worker and its Durable Objects say to each other: postcard over an internal fetch. Never stored.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, Request, RequestInit, Response, js_sys};

use super::error::ApiError;
use super::faults::Fault;
use super::metrics::record::{self, ShardTotals};
use crate::core::aggregator::Operation;
use crate::core::error::Refusal;
use crate::core::flag::{FlagSpec, NewFlag};
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::limits::ShardLimits;
use crate::core::report::Report;

/// The name of the one registry object.
pub const REGISTRY_NAME: &str = "registry";

/// What a shard is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ShardRequest {
    /// Carry out operations, all or none.
    Apply(Apply),
    /// Answer with a [`Report`].
    Report,
    /// Answer with the events that a user has done.
    EventsOf {
        /// The key of the namespace.
        unlink: UnlinkKey,
        /// The user.
        user: UserKey,
    },
    /// Answer with the [`Status`], without loading the state.
    Status,
    /// Load the state, so that it is known to be readable, and answer with the [`Status`].
    Check,
    /// Compact now (fault-injection builds only).
    Compact,
    /// Answer with the state of storage (fault-injection builds only).
    Inspect,
}

/// A batch for one shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Apply {
    /// The key of the namespace.
    pub unlink: UnlinkKey,
    /// What the shard is held to.
    pub limits: ShardLimits,
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// A fault to inject, in test builds.
    pub fault: Fault,
}

/// What a shard answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ShardReply {
    /// Done, and durable once this arrives.
    Done,
    /// The numbers.
    Report(Report),
    /// The numbers of events, ascending.
    Events(Vec<u32>),
    /// The state of storage.
    Inspection(Inspection),
    /// How the shard is.
    Status(Status),
}

/// How a shard is, told without loading its state.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Status {
    /// The number of the isolate that it is in.
    pub isolate: u64,
    /// What all shards of that isolate have done.
    pub totals: ShardTotals,
    /// Rows of the journal.
    pub journal_rows: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Counters that the snapshot holds.
    pub stored_counters: u64,
    /// Seconds since the last compaction, if there was one.
    pub snapshot_age_s: Option<u64>,
    /// Bytes of memory of the state; 0 where it is not loaded.
    pub memory_bytes: u64,
    /// Whether the state could not be read when that was last tried.
    pub is_unreadable: bool,
}

/// The state of a shard's storage and memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inspection {
    /// Rows of the journal.
    pub journal_rows: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Rows of the snapshot.
    pub snapshot_rows: u64,
    /// Bytes of memory of the state.
    pub memory_bytes: u64,
    /// A checksum over the encoded state.
    pub digest: u32,
}

/// What the registry is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum RegistryRequest {
    /// Compare the check value of the configured key; without one, hand out the generated key.
    Key {
        /// Of the configured key.
        check: Option<u64>,
    },
    /// Everything about one namespace.
    Lookup(String),
    /// Add what is new of these; all or nothing.
    Register(Vec<Registration>),
    /// Note these events as goals, all shards knowing it.
    MarkGoals {
        /// The namespace.
        namespace: String,
        /// The numbers of the events.
        events: Vec<u32>,
    },
    /// The greatest generation of storage that this shard has told.
    MarkOf {
        /// The id of the shard's object.
        shard: String,
    },
    /// Note that storage of this generation is durable.
    Mark {
        /// The id of the shard's object.
        shard: String,
        /// The generation.
        generation: u64,
    },
    /// Note whether the state of a shard can be read.
    Readable {
        /// The id of the shard's object.
        shard: String,
        /// Whether it can.
        is_readable: bool,
    },
    /// How many shards have last told that their state cannot be read.
    Unreadable,
    /// The names of all namespaces.
    Namespaces,
    /// All namespaces, and how much there is of everything else.
    Overview,
    /// All flags, if they are not those of the known version.
    Flags {
        /// What is known.
        known: Option<u64>,
    },
    /// Remove a flag.
    RemoveFlag {
        /// Its name.
        name: String,
    },
    /// Add a flag, or put it in the place of the one of its name.
    PutFlag {
        /// The flag.
        flag: NewFlag,
        /// The present time, in Unix seconds.
        now: i64,
    },
}

/// Names that a namespace must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The namespace.
    pub namespace: String,
    /// Event names.
    pub names: Vec<String>,
}

/// What the registry answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum RegistryReply {
    /// The key is right; or this is the generated one.
    Key(Option<[u8; 32]>),
    /// One namespace, if it exists.
    Namespace(Option<NamespaceRecord>),
    /// Those asked for, in that order.
    Registered(Vec<NamespaceRecord>),
    /// The answer to [`RegistryRequest::MarkOf`]; 0 where nothing was told.
    Mark(u64),
    /// The answer to [`RegistryRequest::Unreadable`].
    Unreadable(u64),
    /// Done, and durable once this arrives.
    Done,
    /// Whether what was to be removed was there.
    Removed(bool),
    /// Names of namespaces.
    Namespaces(Vec<String>),
    /// The answer to [`RegistryRequest::Overview`].
    Overview {
        /// Names with numbers of shards, ascending by name.
        namespaces: Vec<(String, u32)>,
        /// Events that have a counter.
        counters: u64,
        /// Flags.
        flags: u64,
        /// Bytes of all flags, as they are stored.
        flags_bytes: u64,
    },
    /// The flags.
    Flags {
        /// Grows with every change.
        version: u64,
        /// Ascending by name; absent where they are as known.
        flags: Option<Vec<FlagSpec>>,
    },
}

/// What the registry knows of a namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Its name.
    pub namespace: String,
    /// Its number of shards.
    pub shards: u32,
    /// Its event names, by number.
    pub names: Vec<String>,
    /// The numbers of those that are goals.
    pub goals: Vec<u32>,
}

/// A limit on all flags together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum FlagLimit {
    /// How many there may be.
    Flags(u64),
    /// How many bytes they may take.
    Bytes(u64),
}

/// Why an object did not do what it was asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Failure {
    /// No further namespace fits.
    NamespacesFull {
        /// How many there may be.
        limit: u64,
    },
    /// No further event name fits.
    EventsFull {
        /// How many there may be.
        limit: u64,
    },
    /// No further flag fits.
    FlagsFull {
        /// Which limit that is.
        limit: FlagLimit,
    },
    /// A limit of the shard.
    Refused {
        /// Which one.
        refusal: Refusal,
        /// Its configured value.
        limit: u64,
    },
    /// The state was made with another key.
    KeyChanged,
    /// A configuration variable is wrong.
    Configuration(String),
    /// Storage failed.
    Storage,
    /// Storage holds what cannot be read, or less than was acknowledged.
    Unreadable,
}

/// Asks a Durable Object.
///
/// # Errors
/// The object's [`Failure`], or that it could not be reached.
pub async fn ask<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: &Q,
) -> Result<A, ApiError> {
    let answer = exchange(env, binding, name, question).await;
    record::reached(name, answer.is_ok());
    let answer = answer.map_err(|error| ApiError::storage(&error))?;
    let answer: Result<A, Failure> =
        postcard::from_bytes(&answer).map_err(|error| ApiError::storage(&error.to_string().into()))?;
    answer.map_err(ApiError::from)
}

async fn exchange<Q: Serialize>(env: &Env, binding: &str, name: &str, question: &Q) -> worker::Result<Vec<u8>> {
    let bytes =
        postcard::to_allocvec(&(sent_version(), question)).map_err(|error| worker::Error::from(error.to_string()))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from(js_sys::Uint8Array::from(bytes.as_slice()))));
    let request = Request::new_with_init("https://object/", &init)?;
    // A stub stays broken once its object was aborted: a new one for every request.
    let mut response = env.durable_object(binding)?.get_by_name(name)?.fetch_with_request(request).await?;
    match response.status_code() {
        NO_BODY => Ok(DONE.to_vec()),
        OTHER_VERSION => Err(worker::Error::from("a deploy is under way: the object is of another version")),
        _ => response.bytes().await,
    }
}

/// The version of what is asked and answered here. It rises with every change of a type that is sent: while a deploy is
/// under way, Workers and objects of both sides of it are at work, and what the other one sent must not be guessed at.
const VERSION: u8 = 2;
const OTHER_VERSION: u16 = 409;

/// Reads a question that came by [`ask`]; `None` where it is of another version, which [`refuse`] answers.
pub fn read<Q: DeserializeOwned>(question: &[u8]) -> Option<Q> {
    let (&VERSION, question) = question.split_first()? else {
        return None;
    };
    postcard::from_bytes(question).ok()
}

/// Answers a question that cannot be read.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn refuse() -> worker::Result<Response> {
    Ok(Response::empty()?.with_status(OTHER_VERSION))
}

#[cfg(not(feature = "faults"))]
const fn sent_version() -> u8 {
    VERSION
}

#[cfg(feature = "faults")]
use injected::sent_version;
#[cfg(feature = "faults")]
pub use injected::shift_version;

#[cfg(feature = "faults")]
mod injected {
    use std::cell::Cell;

    use super::VERSION;

    thread_local! {
        static AHEAD: Cell<u8> = const { Cell::new(0) };
    }

    /// Sends questions as of so many versions ahead.
    pub fn shift_version(ahead: u8) {
        AHEAD.set(ahead);
    }

    pub fn sent_version() -> u8 {
        VERSION + AHEAD.get()
    }
}

/// What postcard makes of `Ok` of a first variant without content. It travels as a response without a body: reading one
/// costs more than everything else that the Worker does for a single event.
const DONE: [u8; 2] = [0, 0];
const NO_BODY: u16 = 204;

/// Answers a question that came by [`ask`].
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn reply<A: Serialize>(answer: &Result<A, Failure>) -> worker::Result<Response> {
    let bytes = postcard::to_allocvec(answer).map_err(|error| worker::Error::from(error.to_string()))?;
    if bytes == DONE { Ok(Response::empty()?.with_status(NO_BODY)) } else { Response::from_bytes(bytes) }
}
