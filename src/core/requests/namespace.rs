//! The body of POST /v0/namespaces.

use super::scalar::{Object, Scalar};
use super::{BadRequest, Fault, name, required, text};
use crate::core::settings::limits::{GROUP_USERS, RequestLimits};

/// A namespace that is to be there, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNamespace {
    /// Its name.
    pub namespace: String,
    /// The least users of a group of which answers show the number; where absent, it stays as it is.
    pub group_users_min: Option<u64>,
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
    let object = Object::<2>::parse(text(body)?, ["namespace", "group_users_min"])?;
    let [namespace, group_users_min] = &object.values;
    Ok(NewNamespace {
        namespace: required(name(namespace, limits, None, "namespace")?, None, "namespace")?.to_owned(),
        group_users_min: minimum(group_users_min)?,
    })
}

fn minimum(value: &Scalar<'_>) -> Result<Option<u64>, BadRequest> {
    let number = match value {
        Scalar::Absent => return Ok(None),
        Scalar::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    match number.filter(|number| (GROUP_USERS.min..=GROUP_USERS.max).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(BadRequest::Field {
            index: None,
            field: "group_users_min",
            fault: Fault::Invalid("must be a whole number from 0 to 1000"),
        }),
    }
}
