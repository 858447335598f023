//! The body of POST /v0/retention, and the query of GET and DELETE.

use super::scalar::{Object, Scalar};
use super::{BadRequest, DEFAULT_NAMESPACE, Fault, Query, check_name, name, namespace_of, required, text};
use crate::core::periods::period::Unit;
use crate::core::settings::limits::{RETENTION_PERIODS, RequestLimits};
use crate::core::state::definitions::retention::RetentionSpec;

/// A retention grid that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRetention {
    /// The namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it asks.
    pub spec: RetentionSpec,
}

/// What GET /v0/retention is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionQuery<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The name of the grid; all of them are listed without one.
    pub name: Option<&'a str>,
    /// Asks for the users who have not been seen for so many periods.
    pub lapsed: Option<u8>,
}

const PERIODS: &str = "must be a whole number from 1 to 31";

/// Reads the body of POST /v0/retention.
///
/// # Errors
/// [`BadRequest`] for the first thing that is wrong.
///
/// # Example
/// ```
/// use kimball_edge::core::{requests::parse_new_retention, settings::limits::RequestLimits};
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let body = br#"{"name": "signup", "start": "Signup", "return": "Login", "unit": "week", "periods": 12}"#;
/// let parsed = parse_new_retention(body, &limits).unwrap();
/// assert_eq!((parsed.name.as_str(), parsed.spec.unit.as_str(), parsed.spec.periods), ("signup", "week", 12));
/// assert!(parse_new_retention(br#"{"name": "signup", "start": "Signup"}"#, &limits).is_err());
/// ```
pub fn parse_new_retention(body: &[u8], limits: &RequestLimits) -> Result<NewRetention, BadRequest> {
    let fields = ["name", "namespace", "start", "return", "unit", "periods"];
    let object = Object::<6>::parse(text(body)?, fields)?;
    let [own, namespace, start, returning, unit, periods] = &object.values;
    let named = |value: &Scalar<'_>, field| required(name(value, limits, None, field)?, None, field).map(str::to_owned);
    let refused = |field, fault| BadRequest::Field { index: None, field, fault };
    let own = named(own, "name")?;
    let namespace = name(namespace, limits, None, "namespace")?.unwrap_or(DEFAULT_NAMESPACE).to_owned();
    let (start, returning) = (named(start, "start")?, named(returning, "return")?);
    let unit = match unit {
        Scalar::Absent => return Err(refused("unit", Fault::Missing)),
        Scalar::Text(text) => Unit::of_name(text),
        _ => None,
    };
    let unit = unit.ok_or_else(|| refused("unit", Fault::Invalid("must be day, week or month")))?;
    let periods = match periods {
        Scalar::Absent => return Err(refused("periods", Fault::Missing)),
        Scalar::Integer(periods) => {
            u8::try_from(*periods).ok().filter(|periods| (1..=RETENTION_PERIODS).contains(periods))
        }
        _ => None,
    };
    let periods = periods.ok_or_else(|| refused("periods", Fault::Invalid(PERIODS)))?;
    let spec = RetentionSpec { start, r#return: returning, unit: unit.name().to_owned(), periods };
    Ok(NewRetention { namespace, name: own, spec })
}

/// Reads a grid as the registry stores it. `None` where it is none.
#[must_use]
pub fn parse_stored_retention(spec: &str) -> Option<RetentionSpec> {
    serde_json::from_str(spec).ok()
}

/// Reads the query of GET /v0/retention.
///
/// # Errors
/// [`BadRequest`] naming the parameter that is wrong.
pub fn parse_retention<'a>(query: &'a Query, limits: &RequestLimits) -> Result<RetentionQuery<'a>, BadRequest> {
    let namespace = namespace_of(query, limits)?;
    let wrong = |parameter, fault| BadRequest::Parameter { parameter, fault };
    let name = match query.get("name")? {
        None => None,
        Some(name) => Some(check_name(name, limits.name_bytes).map_err(|fault| wrong("name", fault))?),
    };
    let lapsed = match query.get("lapsed")? {
        None => None,
        Some(_) if name.is_none() => return Err(wrong("name", Fault::Missing)),
        Some(text) => {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let periods = text.parse().ok().filter(|periods| is_number && (1..=RETENTION_PERIODS).contains(periods));
            Some(periods.ok_or_else(|| wrong("lapsed", Fault::Invalid(PERIODS)))?)
        }
    };
    Ok(RetentionQuery { namespace, name, lapsed })
}
