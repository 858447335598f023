//! What the Worker and its Durable Objects say to each other: postcard over an internal fetch. Never stored.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, Request, RequestInit, Response, Stub, js_sys};

use super::error::ApiError;
use super::faults::Fault;
use super::metrics::record::{self, ShardTotals};
use super::open;
use crate::core::aggregator::Operation;
use crate::core::error::Refusal;
use crate::core::flag::{FlagSpec, NewFlag};
use crate::core::identity::{UnlinkKey, UserKey};
use crate::core::limits::ShardLimits;
use crate::core::report::Report;

/// The name of the one registry object.
pub const REGISTRY_NAME: &str = "registry";

/// The binding of the shards.
const SHARD: &str = "SHARD";

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
    /// Answer with the counts ([`crate::core::counts`]) as a [`Report`], without loading the state.
    Counts,
    /// Answer with the [`Status`], without loading the state.
    Status,
    /// Load the state, so that it is known to be readable, and answer with the [`Status`].
    Check,
    /// Make ready to be closed, and be closed: the call is broken off.
    Close,
    /// Take storage that is older than what was acknowledged as it is, if `ACCEPT_OLDER_STATE` says so.
    AcceptOlder,
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
    /// The answer to [`ShardRequest::AcceptOlder`]: whether storage was older and is taken from now on.
    Accepted(bool),
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
    /// Answer with the numbers of these names, and add those that are new, as far as the registrant may.
    Register {
        /// The names, by namespace.
        registrations: Vec<Registration>,
        /// Who brings them.
        registrant: Registrant,
    },
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

/// Names that are asked for, each once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The namespace.
    pub namespace: String,
    /// Event names.
    pub names: Vec<String>,
}

/// On whose behalf names are registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registrant {
    /// Somebody who administers the service.
    Admin,
    /// Somebody with an ingest token, which is public.
    Ingest,
}

/// Why a name is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameRefusal {
    /// `EVENT_NAMES=known`, and the event is not.
    EventUnknown,
    /// `NAMESPACES=known`, and the namespace is not.
    NamespaceUnknown,
    /// The namespace has its new names of the day.
    EventQuota,
    /// The deployment has its new namespaces of the day.
    NamespaceQuota,
    /// The namespace has no room for it.
    EventsFull,
    /// The deployment has no room for it.
    NamespacesFull,
}

impl NameRefusal {
    /// Whether it is a limit for good, which refuses a batch as a whole.
    pub const fn is_full(self) -> bool {
        matches!(self, Self::EventsFull | Self::NamespacesFull)
    }
}

/// What the registry says of the names of one [`Registration`], and of nothing else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum NamesReply {
    /// The namespace exists.
    Known {
        /// Its number of shards.
        shards: u32,
        /// How many event names it has.
        names_total: u64,
        /// Those asked for, in that order.
        events: Vec<Result<EventRecord, NameRefusal>>,
    },
    /// It does not, and was not made.
    Refused(NameRefusal),
}

/// An event as the registry knows it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its number.
    pub event: u32,
    /// Whether it is a goal, and every shard knows it.
    pub is_goal: bool,
}

/// What the registry answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum RegistryReply {
    /// The key is right; or this is the generated one.
    Key(Option<[u8; 32]>),
    /// One namespace, if it exists.
    Namespace(Option<NamespaceRecord>),
    /// The answer to [`RegistryRequest::Register`].
    Registered {
        /// One for each registration, in that order.
        names: Vec<NamesReply>,
        /// How many namespaces there are.
        namespaces_total: u64,
    },
    /// Another answer to it: there is no room, and nothing was added.
    Full {
        /// For what.
        refusal: NameRefusal,
        /// The position of the registration that this was met at.
        at: usize,
        /// How many event names its namespace has.
        names_total: u64,
        /// How many namespaces there are.
        namespaces_total: u64,
    },
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
    /// Storage holds what cannot be read, or less than was acknowledged: which shard, where, and what is wrong.
    Unreadable(String),
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
    ask_encoded(env, binding, name, encode(question)).await
}

/// Asks a Durable Object, and answers its failure as it is.
///
/// # Errors
/// That it could not be reached.
pub async fn ask_plainly<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: &Q,
) -> Result<Result<A, Failure>, ApiError> {
    answer_of(env, binding, name, encode(question)).await
}

/// A question on its way, which needs what it was made of no more.
pub struct Encoded(worker::Result<js_sys::Uint8Array>);

/// Encodes a question for [`ask_encoded`].
pub fn encode<Q: Serialize>(question: &Q) -> Encoded {
    let bytes = postcard::to_allocvec(&(sent_version(), question));
    Encoded(match bytes {
        Ok(bytes) => Ok(js_sys::Uint8Array::from(bytes.as_slice())),
        Err(error) => Err(worker::Error::from(error.to_string())),
    })
}

/// Asks a Durable Object what was encoded before.
///
/// # Errors
/// The object's [`Failure`], or that it could not be reached.
pub async fn ask_encoded<A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: Encoded,
) -> Result<A, ApiError> {
    answer_of(env, binding, name, question).await?.map_err(ApiError::from)
}

async fn answer_of<A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: Encoded,
) -> Result<Result<A, Failure>, ApiError> {
    // Held until the answer is there.
    let _open = if binding == SHARD { Some(open::enter(env, name).await?) } else { None };
    // A stub stays broken once its object was aborted: a new one for every request.
    let stub = env.durable_object(binding).and_then(|namespace| namespace.get_by_name(name));
    let answer = match stub {
        Ok(stub) => exchange(stub, question).await,
        Err(error) => Err(error),
    };
    record::reached(name, answer.is_ok());
    let unreachable = |cause: String| ApiError::storage(&format!("{name}: {cause}").into());
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    postcard::from_bytes(&answer).map_err(|error| unreachable(error.to_string()))
}

/// Sends a question to an object and returns the answer as it came.
///
/// # Errors
/// When the object cannot be reached, or breaks the call off.
pub async fn exchange(stub: Stub, Encoded(question): Encoded) -> worker::Result<Vec<u8>> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from(question?)));
    let request = Request::new_with_init("https://object/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
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

/// The answer of a shard that is ready to be closed. `guard.js` reads it, and nobody else.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn ready_to_close() -> worker::Result<Response> {
    Ok(Response::empty()?.with_status(READY_TO_CLOSE))
}

const READY_TO_CLOSE: u16 = 205;

/// Answers a question that came by [`ask`].
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn reply<A: Serialize>(answer: &Result<A, Failure>) -> worker::Result<Response> {
    let bytes = postcard::to_allocvec(answer).map_err(|error| worker::Error::from(error.to_string()))?;
    if bytes == DONE { Ok(Response::empty()?.with_status(NO_BODY)) } else { Response::from_bytes(bytes) }
}

/// An answer as [`reply`] sends it, for one that is kept and sent again.
///
/// # Errors
/// When it cannot be encoded.
pub fn encoded<A: Serialize>(answer: A) -> worker::Result<Vec<u8>> {
    postcard::to_allocvec(&Ok::<A, Failure>(answer)).map_err(|error| worker::Error::from(error.to_string()))
}
