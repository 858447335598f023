//! Questions to the registry.

use serde::{Deserialize, Serialize};

use super::definitions::DefinitionRecord;
use super::operations::Series;
use super::question;

/// The binding of the registry's class.
pub const REGISTRY: &str = "REGISTRY";
/// The name of the one registry object.
pub const REGISTRY_NAME: &str = "registry";

/// Compares the check value of the configured key; without one, asks for the generated key, which is the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Of the configured key.
    pub check: Option<u64>,
}
question!(0, Key => Option<[u8; 32]>, REGISTRY);

/// Asks for everything about one namespace, if it exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The namespace.
    pub namespace: String,
}
question!(1, Lookup => Option<NamespaceRecord>, REGISTRY);

/// What the registry knows of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Its name.
    pub namespace: String,
    /// Its number of shards.
    pub shards: u32,
    /// Its event names, by number; empty for one that was deleted.
    pub names: Vec<String>,
    /// The numbers of those that are goals.
    pub goals: Vec<u32>,
    /// The least users of a group of which answers show the number, as set for this namespace; 0 where it is not.
    pub group_users_min: u64,
    /// Since when it counts in periods; absent where it is on a replay clock and has no event yet.
    pub since: Option<Since>,
    /// Its replay clock, if it is on one.
    pub replay: Option<Replay>,
    /// The series of events that are not the usual ones, by number of the event, ascending.
    pub series: Vec<(u32, Series)>,
    /// Its definitions.
    pub definitions: Vec<DefinitionRecord>,
}

/// Changes the series that an event has, from the next day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutSeries {
    /// The namespace.
    pub namespace: String,
    /// The event.
    pub event: String,
    /// Its units, as [`crate::core::periods::period::Units::bits`].
    pub units: u8,
}
question!(22, PutSeries => SeriesPut, REGISTRY);

/// The answer to [`PutSeries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeriesPut {
    /// It has them. Every shard is to be told of the incarnation.
    Done {
        /// Whether that is new.
        is_new: bool,
        /// What it has.
        series: Series,
        /// The namespace's number of shards.
        shards: u32,
        /// Its incarnation, which has risen with the change.
        incarnation: u64,
    },
    /// There is no such namespace.
    NoNamespace,
    /// There is no such event.
    NoEvent,
    /// As many events as may have series have some.
    Full,
}

/// The clock of a namespace that history is loaded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The number of its present day, the greatest that any of its events was of; absent before the first.
    pub today: Option<u32>,
}

/// Since when a namespace counts in periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The number of the first day.
    pub day: u32,
    /// Whether it has counted events before that, in no period: an earlier version did.
    pub has_earlier: bool,
}

/// Something that is deleted, or is being: the registry has it no more, and every shard has to drop it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Which one: they are numbered from 1, over all namespaces. It is the incarnation of what is left of the namespace.
    pub number: u64,
    /// The namespace.
    pub namespace: String,
    /// Its number of shards.
    pub shards: u32,
    /// What of it.
    pub what: Deleted,
}

/// What of a namespace is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deleted {
    /// All of it.
    Namespace,
    /// The event of this number.
    Event(u32),
    /// What was recorded about the goal of this number; the event stays.
    Goal(u32),
    /// The definition of this number, with all that was counted for it.
    Definition(u32),
}

/// Deletes something, and answers which deletions the shards of that namespace have to carry out, ascending; none where
/// there is nothing to delete. There is no answer where it is an event that a definition is about: nothing was deleted then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// The namespace.
    pub namespace: String,
    /// What of it, by name.
    pub what: Deletable,
}
question!(13, Delete => Option<Vec<Deletion>>, REGISTRY);

/// What of a namespace can be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deletable {
    /// All of it.
    Namespace,
    /// An event.
    Event(String),
    /// A goal; the event stays.
    Goal(String),
    /// A definition.
    Definition {
        /// [`DefinitionRecord::kind`].
        kind: u8,
        /// Its name.
        name: String,
    },
}

/// Notes that every shard has carried a deletion out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndDeletion {
    /// Which one.
    pub number: u64,
}
question!(14, EndDeletion => (), REGISTRY);

/// Asks for the deletions that shards have yet to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDeletions;
question!(15, PendingDeletions => Vec<Deletion>, REGISTRY);

/// Asks for the numbers of names, and adds those that are new, as far as the registrant may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The names, by namespace.
    pub registrations: Vec<Registration>,
    /// Who brings them.
    pub registrant: Registrant,
}
question!(2, Register => Registered, REGISTRY);

/// Names that are asked for, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The namespace.
    pub namespace: String,
    /// The numbers of the first and the last day of the events, those of the present day left out: a replay clock goes on to it.
    pub days: Option<(u32, u32)>,
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

/// The answer to [`Register`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registered {
    /// What was asked for.
    Names {
        /// One for each registration, in that order.
        names: Vec<NamesReply>,
        /// How many namespaces there are.
        namespaces_total: u64,
    },
    /// There is no room, and nothing was added.
    Full {
        /// For what.
        refusal: NameRefusal,
        /// The position of the registration that this was met at.
        at: u32,
        /// How many event names its namespace has.
        names_total: u64,
        /// How many namespaces there are.
        namespaces_total: u64,
    },
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
    /// The namespace is on a replay clock, which only an admin may set.
    Replay,
}

impl NameRefusal {
    /// Whether it is a limit for good, which refuses a batch as a whole.
    #[must_use]
    pub const fn is_full(self) -> bool {
        matches!(self, Self::EventsFull | Self::NamespacesFull)
    }
}

/// What the registry says of the names of one [`Registration`], and of nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamesReply {
    /// The namespace exists.
    Known {
        /// Its number of shards.
        shards: u32,
        /// The number of its last deletion, or of the last one before it was made.
        incarnation: u64,
        /// What its shards have yet to delete.
        deletions: Vec<Deletion>,
        /// How many event names it has.
        names_total: u64,
        /// Its replay clock, if it is on one: then nothing of this is to be kept for another batch.
        replay: Option<Replay>,
        /// Its definitions.
        definitions: Vec<DefinitionRecord>,
        /// Those asked for, in that order.
        events: Vec<Result<EventRecord, NameRefusal>>,
    },
    /// It does not, and was not made.
    Refused(NameRefusal),
}

/// An event as the registry knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its number.
    pub event: u32,
    /// Whether it is a goal, and every shard knows it.
    pub is_goal: bool,
    /// Its series, where they are not the usual ones.
    pub series: Option<Series>,
}

/// Lists events as goals, which every shard knows as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListGoals {
    /// The namespace.
    pub namespace: String,
    /// The incarnation of the namespace that the numbers are of.
    pub incarnation: u64,
    /// The numbers of the events.
    pub events: Vec<u32>,
}
question!(3, ListGoals => (), REGISTRY);

/// Asks what the storage of a shard is measured by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The id of the shard's object.
    pub shard: String,
    /// The name of its namespace, where it is known.
    pub namespace: Option<String>,
}
question!(4, Watermark => Marks, REGISTRY);

/// The answer to [`Watermark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The watermark: the greatest generation of storage that the shard has told; 0 where it told none.
    pub generation: u64,
    /// The incarnation of the namespace, or where there is none, the greatest number that anything was given.
    pub incarnation: u64,
}

/// Raises the watermark of a shard: storage of this generation is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaiseWatermark {
    /// The id of the shard's object.
    pub shard: String,
    /// The generation.
    pub generation: u64,
}
question!(5, RaiseWatermark => (), REGISTRY);

/// Asks for a new incarnation of a namespace, of which a shard has accepted older storage: whoever has noted what was sent,
/// as pages do, has to forget that. It is greater than any that the registry or the shard has heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The namespace's name.
    pub namespace: String,
    /// The incarnation that the shard has heard of.
    pub incarnation: u64,
}
question!(21, Renew => u64, REGISTRY);

/// Notes whether the state of a shard can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteReadable {
    /// The id of the shard's object.
    pub shard: String,
    /// Whether it can.
    pub is_readable: bool,
}
question!(6, NoteReadable => (), REGISTRY);

/// Asks how many shards have last told that their state cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable;
question!(7, Unreadable => u64, REGISTRY);

/// Asks for the names of all namespaces, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces;
question!(8, Namespaces => Vec<String>, REGISTRY);

/// Asks for all namespaces, and how much there is of everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview;
question!(9, Overview => OverviewReply, REGISTRY);

/// The answer to [`Overview`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverviewReply {
    /// Names with numbers of shards, ascending by name.
    pub namespaces: Vec<(String, u32)>,
    /// Events that have a counter.
    pub counters: u64,
    /// Flags.
    pub flags: u64,
    /// Bytes of all flags, as they are stored.
    pub flags_bytes: u64,
}

/// Asks for all flags, if they are not those of the known version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// What is known.
    pub known: Option<u64>,
}
question!(10, Flags => FlagsReply, REGISTRY);

/// The answer to [`Flags`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagsReply {
    /// Grows with every change.
    pub version: u64,
    /// The JSON of each as it is stored, ascending by name; absent where they are as known.
    pub flags: Option<Vec<String>>,
}

/// Adds a flag, or puts it in the place of the one of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutFlag {
    /// The JSON of the flag as it is stored, without its rollout.
    pub flag: String,
    /// Its rollout, if any.
    pub rollout: Option<RolloutTimes>,
    /// The present time, in Unix seconds.
    pub now: i64,
}
question!(11, PutFlag => (), REGISTRY);

/// When a rollout runs, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutTimes {
    /// The start; absent means now.
    pub start: Option<i64>,
    /// The end.
    pub end: i64,
}

/// Removes a flag, and answers whether it was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveFlag {
    /// Its name.
    pub name: String,
}
question!(12, RemoveFlag => bool, REGISTRY);

/// Makes a namespace where there is none, and changes its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutNamespace {
    /// Its name.
    pub namespace: String,
    /// [`NamespaceRecord::group_users_min`]; where absent, it stays as it is.
    pub group_users_min: Option<u64>,
    /// Its number of shards, where it is to have another than usual.
    pub shards: Option<u32>,
    /// Whether it is to be on a replay clock; where absent, that stays as it is.
    pub is_replay: Option<bool>,
}
question!(20, PutNamespace => NamespacePut, REGISTRY);

/// The answer to [`PutNamespace`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespacePut {
    /// It was not there and was made.
    Made(NamespaceRecord),
    /// It was there, and is like this now.
    Changed(NamespaceRecord),
    /// It was there on a replay clock, and is on that of the present from now on.
    Live(NamespaceRecord),
    /// There is no room for it.
    Full,
    /// It has events: a replay clock would have to begin before them.
    HasEvents,
    /// It is there with another number of shards.
    OtherShards,
}
