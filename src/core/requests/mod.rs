//! Reading of requests: the only place that reads JSON or a query string, and the last that sees a raw user id.
//!
//! A batch is read in one pass without a tree in between; every user id becomes a [`UserKey`](super::identity::UserKey) as soon as its event is
//! complete. Nothing that is refused repeats what was sent.

mod batch;
mod counter_settings;
#[cfg(not(feature = "browser"))]
mod definitions;
mod entity_tag;
mod event;
mod events;
mod flag_spec;
mod host;
mod level;
mod name;
mod namespace;
mod prediction;
mod query;
#[cfg(not(feature = "browser"))]
mod retention;
mod scalar;
mod senders;
mod series;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, FixedOffset};

use super::identity::Keys;
use crate::core::flags::User;
use crate::core::order::map_of;
use crate::core::settings::limits::{BATCH_EVENTS, BATCH_NAMESPACES, NAME_BYTES, RequestLimits, VALUE_ABS};
pub use batch::{Batch, Item, NamespaceBatch};
use batch::{BatchBuilder, NewEvent};
pub use counter_settings::parse_counter_settings;
#[cfg(not(feature = "browser"))]
pub use definitions::parse_stored_definition;
pub use entity_tag::{has_entity_tag, without_suffixes};
pub use events::EventReader;
pub use flag_spec::{parse_flag_spec, parse_stored_flag};
pub use host::AllowedHosts;
pub use level::Level;
use name::check_new_name;
pub use name::{BLANK, is_blank};
pub use namespace::{NewNamespace, parse_namespace};
pub use prediction::{Given, NudgeQuery, PredictionQuery, parse_nudge, parse_prediction};
pub use query::{Query, decode_base64};
#[cfg(not(feature = "browser"))]
pub use retention::{NewRetention, RetentionQuery, parse_new_retention, parse_retention, parse_stored_retention};
use scalar::{Object, Scalar};
pub use senders::{Dialect, SenderOptions, Sent, parse_sent};
pub use series::{NewSeries, SeriesQuery, Whose, parse_new_series, parse_series};
use tree::Json;

/// The namespace where none is given.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Why a request was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadRequest {
    /// There is no body.
    Empty,
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is UTF-16 or UTF-32.
    Utf16,
    /// The body is not JSON; says where.
    Json(String),
    /// A field of the body is absent or wrong.
    Field {
        /// The position in the batch, if it is one.
        index: Option<usize>,
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A part of a nested body is absent or wrong.
    Place {
        /// Where, as in `user[2].comparator`.
        place: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A query parameter is wrong.
    Parameter {
        /// Its name, or `query` for the whole string.
        parameter: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The batch has more events than allowed.
    TooManyEvents {
        /// How many are allowed.
        limit: u64,
    },
    /// The batch has events of more namespaces than allowed.
    TooManyNamespaces {
        /// How many are allowed.
        limit: u64,
    },
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is required and absent (or null).
    Missing,
    /// It has the wrong type, form or range; says what it must be.
    Invalid(&'static str),
    /// It has more members than a limit allows.
    TooMany {
        /// The name of the limit.
        limit: &'static str,
        /// Members allowed.
        max: u64,
    },
    /// It is longer than [`NAME_BYTES`] allows.
    TooLong {
        /// Bytes allowed.
        limit: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is required"),
            Self::Invalid(must) => f.write_str(must),
            Self::TooMany { limit, max } => write!(f, "must not have more than {max} members ({limit})"),
            Self::TooLong { limit } => write!(f, "must not be longer than {limit} bytes"),
        }
    }
}

/// Reads the body of POST /v0/analytics: one event, `{"events": […]}`, or a bare list.
///
/// # Errors
/// [`BadRequest`] for the first thing that is wrong.
///
/// # Example
/// ```
/// use kimball_edge::core::{identity::Keys, requests::parse_events, settings::limits::RequestLimits};
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let body = br#"[{"event_name": "Login", "user_id": "ann"}, {"event_name": "Login", "user_id": 7}]"#;
/// let batch = parse_events(body, &Keys::new(&[0; 32]), &limits).unwrap();
/// assert_eq!(batch.namespaces[0].namespace, "default");
/// assert_eq!(batch.namespaces[0].items.len(), 2);
/// ```
pub fn parse_events(body: &[u8], keys: &Keys, limits: &RequestLimits) -> Result<Batch, BadRequest> {
    let mut reader = EventReader::new(body, keys, limits)?;
    while reader.step(usize::MAX)? {}
    Ok(reader.finish())
}

/// The body of POST /v0/goals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGoal {
    /// The namespace.
    pub namespace: String,
    /// The event that becomes a goal.
    pub goal_name: String,
}

/// Reads the body of POST /v0/goals.
///
/// # Errors
/// [`BadRequest`] for the first thing that is wrong.
pub fn parse_goal(body: &[u8], limits: &RequestLimits) -> Result<NewGoal, BadRequest> {
    let object = Object::<2>::parse(text(body)?, ["goal_name", "namespace"])?;
    let [goal_name, namespace] = &object.values;
    Ok(NewGoal {
        goal_name: required(name(goal_name, limits, None, "goal_name")?, None, "goal_name")?.to_owned(),
        namespace: name(namespace, limits, None, "namespace")?.unwrap_or(DEFAULT_NAMESPACE).to_owned(),
    })
}

/// What GET /v0/features asks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FeatureRequest {
    /// For whom.
    pub user: User,
    /// The event to record: `context_obj.feature` of `user_obj.user_id`, if both are there.
    pub batch: Batch,
}

/// Reads the objects of GET /v0/features, each the base64 of a JSON object.
///
/// # Errors
/// [`BadRequest`] naming the parameter that is not the base64 of a JSON object, or the field in it that is wrong.
pub fn parse_features(query: &Query, keys: &Keys, limits: &RequestLimits) -> Result<FeatureRequest, BadRequest> {
    let user = decode_object(query, "user_obj")?;
    let context = decode_object(query, "context_obj")?;
    let mut request = FeatureRequest::default();
    let feature = scalar_of(&context, "feature");
    let namespace = scalar_of(&context, "namespace");
    let namespace = name(&namespace, limits, None, "namespace")?.unwrap_or(DEFAULT_NAMESPACE);
    request.user.id = user_id_of(&scalar_of(&user, "user_id"), limits, None)?.map(Cow::into_owned);
    if let (Some(user_id), Some(feature)) = (&request.user.id, name(&feature, limits, None, "feature")?) {
        let mut batch = BatchBuilder::new(keys, limits);
        batch.add(&NewEvent {
            namespace,
            name: feature,
            user_id,
            index: 0,
            value: None,
            ensure_goal: false,
            day: None,
        })?;
        request.batch = batch.finish();
    }
    request.user.properties = map_of(user.into_iter().filter_map(|(name, value)| Some((name, value.value()?))));
    Ok(request)
}

fn scalar_of<'a>(object: &'a BTreeMap<String, Json>, field: &str) -> Scalar<'a> {
    object.get(field).map_or(Scalar::Absent, Json::scalar)
}

fn decode_object(query: &Query, parameter: &'static str) -> Result<BTreeMap<String, Json>, BadRequest> {
    let Some(text) = query.get(parameter)? else {
        return Ok(BTreeMap::new());
    };
    let object = query::decode_base64(text).and_then(|bytes| serde_json::from_str(self::text(&bytes).ok()?).ok());
    let Some(Json::Object(object)) =
        object.filter(|object| !matches!(object, Json::Object(fields) if Json::twice(fields).is_some()))
    else {
        let fault = Fault::Invalid("must be the base64 of a JSON object in UTF-8");
        return Err(BadRequest::Parameter { parameter, fault });
    };
    Ok(object)
}

/// The namespace that a read asks for.
///
/// # Errors
/// [`BadRequest`] when it is empty, too long or holds control characters.
pub fn namespace_of<'a>(query: &'a Query, limits: &RequestLimits) -> Result<&'a str, BadRequest> {
    match query.get("namespace")? {
        Some(namespace) => check_name(namespace, limits.name_bytes)
            .map_err(|fault| BadRequest::Parameter { parameter: "namespace", fault }),
        None => Ok(DEFAULT_NAMESPACE),
    }
}

/// The name that a segment of a path stands for.
///
/// # Errors
/// [`BadRequest`] when it is not percent-encoded UTF-8, or no name of at most `name_bytes`.
///
/// # Example
/// ```
/// use kimball_edge::core::settings::limits::RequestLimits;
/// use kimball_edge::core::requests::parse_path_name;
/// let limits = RequestLimits { body_bytes: 1_000, batch_events: 10, batch_namespaces: 9, name_bytes: 9 };
/// assert_eq!(parse_path_name("web%2Fshop", &limits).as_deref(), Ok("web/shop"));
/// assert!(parse_path_name("%ff", &limits).is_err());
/// ```
pub fn parse_path_name(segment: &str, limits: &RequestLimits) -> Result<String, BadRequest> {
    let refused = |fault| BadRequest::Parameter { parameter: "name", fault };
    let name = query::decode(segment, false).ok_or_else(|| refused(Fault::Invalid("must be percent-encoded UTF-8")))?;
    check_name(&name, limits.name_bytes).map_err(refused)?;
    Ok(name)
}

/// The name that a request is about: that of a segment of its path where there is one, else its parameter `name`.
///
/// # Errors
/// [`BadRequest`] when both are given or none, or it is no name of at most `name_bytes`.
pub fn parse_name_of(segment: Option<&str>, query: &Query, limits: &RequestLimits) -> Result<String, BadRequest> {
    let wrong = |fault| BadRequest::Parameter { parameter: "name", fault };
    match (segment, query.get("name")?) {
        (Some(segment), None) => parse_path_name(segment, limits),
        (None, Some(name)) => check_name(name, limits.name_bytes).map(str::to_owned).map_err(wrong),
        (Some(_), Some(_)) => Err(wrong(Fault::Invalid("must not stand in both the path and the query"))),
        (None, None) => Err(wrong(Fault::Missing)),
    }
}

/// The text of a body, without the byte-order mark that it may begin with.
fn text(body: &[u8]) -> Result<&str, BadRequest> {
    // JSON begins with an ASCII character, and none of it is a zero byte.
    if matches!(body, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, ..] | [_, 0, ..]) {
        return Err(BadRequest::Utf16);
    }
    let text = std::str::from_utf8(body).map_err(|_| BadRequest::NotUtf8)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.is_empty() { Err(BadRequest::Empty) } else { Ok(text) }
}

/// An RFC 3339 date and time. The library takes a sign of minus that RFC 3339 does not have.
fn time_of(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).ok().filter(|_| text.is_ascii())
}

fn required<T>(value: Option<T>, index: Option<usize>, field: &'static str) -> Result<T, BadRequest> {
    value.ok_or(BadRequest::Field { index, field, fault: Fault::Missing })
}

fn name<'a>(
    value: &'a Scalar<'_>,
    limits: &RequestLimits,
    index: Option<usize>,
    field: &'static str,
) -> Result<Option<&'a str>, BadRequest> {
    match value {
        Scalar::Absent => Ok(None),
        Scalar::Text(text) => check_new_name(text, limits.name_bytes).map(Some),
        _ => Err(Fault::Invalid("must be a string")),
    }
    .map_err(|fault| BadRequest::Field { index, field, fault })
}

/// Checks the form of the name of an event, goal or namespace, which may be one that is stored.
///
/// # Errors
/// [`Fault`] when it is empty, longer than `bytes_max` or holds control characters.
pub fn check_name(name: &str, bytes_max: u64) -> Result<&str, Fault> {
    check_user_id(name, bytes_max)?;
    // Without a branch a byte, for what nearly all names are.
    let is_plain = name.bytes().fold(true, |is_plain, byte| is_plain & (b' '..=b'~').contains(&byte));
    if !is_plain && name.chars().any(char::is_control) {
        return Err(Fault::Invalid("must not hold control characters"));
    }
    Ok(name)
}

/// Checks a user id.
///
/// # Errors
/// [`Fault`] when it is empty or longer than `bytes_max`.
pub fn check_user_id(user_id: &str, bytes_max: u64) -> Result<(), Fault> {
    if user_id.is_empty() {
        Err(Fault::Invalid("must not be empty"))
    } else if user_id.len() as u64 > bytes_max {
        Err(Fault::TooLong { limit: bytes_max })
    } else {
        Ok(())
    }
}

/// Checks the value of an event.
///
/// # Errors
/// [`Fault`] when it is not a number or beyond [`VALUE_ABS`].
pub fn check_value(value: f64) -> Result<(), Fault> {
    if value.abs() <= VALUE_ABS { Ok(()) } else { Err(Fault::Invalid("must be between -1e300 and 1e300")) }
}

fn user_id_of<'a>(
    value: &'a Scalar<'_>,
    limits: &RequestLimits,
    index: Option<usize>,
) -> Result<Option<Cow<'a, str>>, BadRequest> {
    let fault = match value {
        Scalar::Absent => return Ok(None),
        Scalar::Integer(integer) => return Ok(Some(integer.to_string().into())),
        Scalar::Text(text) => match check_user_id(text, limits.name_bytes) {
            Ok(()) => return Ok(Some(text.as_ref().into())),
            Err(fault) => fault,
        },
        _ => Fault::Invalid("must be a string or an integer"),
    };
    Err(BadRequest::Field { index, field: "user_id", fault })
}

impl BadRequest {
    /// The limit that was passed, with its name, if it was one.
    #[must_use]
    pub const fn limit(&self) -> Option<(&'static str, u64)> {
        match self {
            Self::TooManyEvents { limit } => Some((BATCH_EVENTS.name, *limit)),
            Self::TooManyNamespaces { limit } => Some((BATCH_NAMESPACES.name, *limit)),
            Self::Place { fault: Fault::TooMany { limit, max }, .. } => Some((limit, *max)),
            Self::Field { fault: Fault::TooLong { limit }, .. }
            | Self::Place { fault: Fault::TooLong { limit }, .. }
            | Self::Parameter { fault: Fault::TooLong { limit }, .. } => Some((NAME_BYTES.name, *limit)),
            _ => None,
        }
    }
}
