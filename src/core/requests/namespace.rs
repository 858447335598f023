//! The body of POST /v0/namespaces.

use super::scalar::{Object, Scalar};
use super::{BadRequest, Fault, name, required, text};
use crate::core::settings::limits::{GROUP_USERS, Limit, RequestLimits, SHARDS};

/// A namespace that is to be there, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNamespace {
    /// Its name.
    pub namespace: String,
    /// The least users of a group of which answers show the number; where absent, it stays as it is.
    pub group_users_min: Option<u64>,
    /// Its number of shards, where it is to have another than usual.
    pub shards: Option<u32>,
    /// Whether it is to be on a replay clock; where absent, that stays as it is.
    pub is_replay: Option<bool>,
}

/// Reads the body of POST /v0/namespaces.
///
/// # Errors
/// [`BadRequest`] for the first thing that is wrong.
///
/// # Example
/// ```
/// use kimball_edge::core::{requests::parse_namespace, settings::limits::RequestLimits};
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let parsed = parse_namespace(br#"{"namespace": "shop", "group_users_min": 5}"#, &limits).unwrap();
/// assert_eq!((parsed.namespace.as_str(), parsed.group_users_min), ("shop", Some(5)));
/// assert!(parse_namespace(br#"{"namespace": "shop", "group_users_min": 1001}"#, &limits).is_err());
/// ```
pub fn parse_namespace(body: &[u8], limits: &RequestLimits) -> Result<NewNamespace, BadRequest> {
    let object = Object::<4>::parse(text(body)?, ["namespace", "group_users_min", "shards", "clock"])?;
    let [namespace, group_users_min, shards, clock] = &object.values;
    Ok(NewNamespace {
        namespace: required(name(namespace, limits, None, "namespace")?, None, "namespace")?.to_owned(),
        group_users_min: whole_number(
            group_users_min,
            &GROUP_USERS,
            "group_users_min",
            "must be a whole number from 0 to 1000",
        )?,
        shards: whole_number(shards, &SHARDS, "shards", "must be a whole number from 1 to 64")?
            .map(|shards| shards as u32),
        is_replay: match clock {
            Scalar::Absent => None,
            Scalar::Text(text) if text == "live" => Some(false),
            Scalar::Text(text) if text == "replay" => Some(true),
            _ => return Err(invalid("clock", "must be live or replay")),
        },
    })
}

const fn invalid(field: &'static str, must: &'static str) -> BadRequest {
    BadRequest::Field { index: None, field, fault: Fault::Invalid(must) }
}

fn whole_number(
    value: &Scalar<'_>,
    limit: &Limit,
    field: &'static str,
    must: &'static str,
) -> Result<Option<u64>, BadRequest> {
    let number = match value {
        Scalar::Absent => return Ok(None),
        Scalar::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let number = number.filter(|number| (limit.min..=limit.max).contains(number));
    number.map(Some).ok_or_else(|| invalid(field, must))
}
