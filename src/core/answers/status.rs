//! The JSON of GET /v0/status: how the service is set up, and how near a namespace is to its limits.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::core::settings::counters::Draft;

/// The answer to GET /v0/status.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceStatus<'a> {
    /// The version of the service.
    pub version: &'static str,
    /// When the isolate that answers began, as RFC 3339.
    pub started: String,
    /// Bytes of memory of its WebAssembly instance.
    pub isolate_memory_bytes: u64,
    /// What an operator has set, without secrets.
    pub configuration: Configuration<'a>,
    /// Namespaces of the deployment.
    pub namespaces: Usage,
    /// Flags of the deployment.
    pub flags: FlagUsage,
    /// The namespace that was asked for.
    pub namespace: NamespaceStatus<'a>,
    /// What was done with events since the isolates at hand began.
    pub events: EventTotals,
}

/// How much there is of something, and how much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// How much there is.
    pub count: u64,
    /// How much there may be.
    pub limit: u64,
}

/// How many flags there are, and how many bytes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FlagUsage {
    /// Flags.
    pub count: u64,
    /// Flags that there may be.
    pub limit: u64,
    /// Bytes of all flags, as they are stored.
    pub bytes: u64,
    /// Bytes that there may be.
    pub bytes_limit: u64,
}

/// What an operator has set, without secrets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Configuration<'a> {
    /// Whether requests need tokens.
    pub authentication: bool,
    /// How many tokens there are.
    pub tokens: TokenCounts,
    /// Whether `ensure_goal` is allowed to ingest tokens.
    pub ingest_may_add_goals: bool,
    /// Origins of pages that may call.
    pub allowed_origins: &'a [String],
    /// Host names that are answered without authentication, beside local ones.
    pub allowed_hosts: Vec<&'a str>,
    /// `configured` where `HASH_KEY` is set; `generated` where the key lies beside the data.
    pub hash_key: &'static str,
    /// What `COUNTERS` says.
    pub counters: Vec<&'a Draft>,
    /// Every limit.
    pub limits: Vec<LimitStatus>,
}

/// How many tokens there are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCounts {
    /// Of `API_TOKENS`.
    pub admin: usize,
    /// Of `INGEST_TOKENS`.
    pub ingest: usize,
    /// Of `READ_TOKENS`.
    pub read: usize,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitStatus {
    /// The name of its variable.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Its value where nothing is configured.
    pub default: u64,
    /// What it counts.
    pub unit: &'static str,
}

/// How one namespace is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamespaceStatus<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its event names.
    pub events: Usage,
    /// How many of them are goals.
    pub goals: usize,
    /// Its shards, none where it does not exist.
    pub shards: Vec<ShardStatus>,
}

/// How one shard is. Asking loads its state, so what is told of it was just read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ShardStatus {
    /// Its state can be read.
    Reachable {
        /// Its position among the shards of the namespace, from 0.
        index: u32,
        /// Always true.
        reachable: bool,
        /// Bytes of memory of its state.
        memory_bytes: u64,
        /// Bytes that it may take.
        memory_limit_bytes: u64,
        /// Rows of its journal.
        journal_rows: u64,
        /// Rows with which it compacts at once.
        journal_rows_limit: u64,
        /// Bytes of its journal.
        journal_bytes: u64,
        /// Bytes with which it compacts at once.
        journal_bytes_limit: u64,
        /// Counters that its snapshot holds.
        snapshot_counters: u64,
        /// Seconds since the last compaction; absent before the first.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(nullable = false))]
        snapshot_age_s: Option<u64>,
    },
    /// It did not answer, or its state cannot be read.
    Unreachable {
        /// Its position among the shards of the namespace, from 0.
        index: u32,
        /// Always false.
        reachable: bool,
        /// Why, for people.
        what: String,
    },
}

/// What was done with events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventTotals {
    /// First occurrences, in the isolates of the namespace's shards.
    pub accepted: u64,
    /// Events that were known already, likewise.
    pub repeated: u64,
    /// Events of requests that the isolate which answers has refused, by the code of the error.
    pub refused: BTreeMap<&'static str, u64>,
}
