//! The JSON of short answers and of errors. Those with numbers in them are in [`crate::core`].

use std::collections::BTreeMap;

use serde::Serialize;

/// The answer to POST /v0/analytics where some events, or all, were refused one by one; the others were recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recorded {
    /// Present where all were refused: why the first was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error: Option<ErrorFields<'static>>,
    /// Events that were recorded, or were known already.
    pub taken: u64,
    /// The others, in their order.
    pub refused: Vec<RefusedEvent<'static>>,
}

/// An event of a batch that was refused for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedEvent<'a> {
    /// Its position in the batch.
    pub index: u32,
    /// `event_unknown`, `namespace_unknown` or `quota`; what an SDK sent may be `field_missing` and the like as well.
    pub code: &'static str,
    /// A sentence for people.
    pub what: &'a str,
}

/// What Segment's SDKs are answered where something was taken, or nothing was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SegmentTaken<'a> {
    /// Always true.
    pub success: bool,
    /// Calls that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub refused: Vec<RefusedEvent<'a>>,
}

/// What Segment's SDKs are answered where nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentError<'a> {
    /// Always false.
    pub success: bool,
    /// A sentence for people.
    pub message: &'a str,
    /// The error as all routes have it.
    pub error: ErrorFields<'a>,
}

/// What `PostHog`'s SDKs are answered where something was taken, or nothing was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PostHogTaken<'a> {
    /// Always 1.
    pub status: u8,
    /// Events that were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub refused: Vec<RefusedEvent<'a>>,
}

/// What `PostHog`'s SDKs are answered where nothing was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostHogError<'a> {
    /// Always `invalid_request`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The code of the error.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: &'a str,
    /// Always null.
    pub attr: Option<&'a str>,
    /// The error as all routes have it.
    pub error: ErrorFields<'a>,
}

/// The answer to GET /v0/goals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Goals<'a> {
    /// The names of the goals, ascending.
    pub goals: Vec<&'a str>,
}

/// The answer to GET /v0/namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Namespaces {
    /// The names of the namespaces, ascending; `default` is always one of them.
    pub namespaces: Vec<String>,
}

/// The answer to POST /v0/namespaces and to GET /v0/namespaces/{name}.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Namespace))]
pub struct NamespaceSettings<'a> {
    /// Its name.
    pub namespace: &'a str,
    /// `live`, or `replay` while history is loaded.
    pub clock: &'static str,
    /// The present day, UTC; of a replay clock the greatest day of its events.
    pub today: String,
    /// Its number of shards, which never changes.
    pub shards: u32,
    /// The first day that it counts periods of; null on a replay clock before the first event.
    pub since: Option<String>,
    /// Its event names.
    pub events: u64,
    /// The least users of a group of which answers show the number, as set for this namespace. `GROUP_USERS_MIN` holds where
    /// it is greater.
    pub group_users_min: u64,
}

/// The answer to GET /v0/features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Features<'a> {
    /// Every flag by its name, on or off.
    pub features: BTreeMap<&'a str, bool>,
}

/// The answer to GET /v0/access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Access {
    /// Whether requests need tokens.
    pub authentication: bool,
    /// What the caller may do, ascending: `admin`, `ingest`, `read`; none of them without a token that is known.
    pub scopes: Vec<&'static str>,
}

/// The answer to GET /healthz.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`, or `degraded` where shards cannot be read; whatever concerns all is an error.
    pub status: &'static str,
    /// The version of the service.
    pub version: &'static str,
    /// Shards whose stored state could not be read when that was last tried; their namespaces answer 503, all others go on.
    pub unreadable_shards: u64,
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Error))]
pub struct ErrorBody<'a> {
    /// What is wrong.
    pub error: ErrorFields<'a>,
}

/// What is in an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorFields<'a> {
    /// A sentence for people. It never repeats what was sent.
    pub what: &'a str,
    /// A stable name for programs.
    pub code: &'a str,
    /// The position in the batch of the event that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub index: Option<usize>,
    /// The field or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub field: Option<&'a str>,
    /// The limit that was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub limit: Option<&'a str>,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub value: Option<u64>,
}
