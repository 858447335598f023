//! Flag specifications: the body of POST /v0/featureSpecs, and the form in which they are stored.

use std::collections::BTreeMap;

use chrono::Datelike;

use super::scalar::Scalar;
use super::tree::Json;
use super::{BLANK, BadRequest, Fault, check_name, is_blank, text, time_of};
use crate::core::flags::{Condition, FlagSpec, Members, NewFlag, NewRollout, Reached, Rollout, Test, Value};
use crate::core::settings::limits::{FLAG_CONDITIONS, FLAG_PARTS, FLAG_VALUES, FlagLimits, RequestLimits};

/// The years that RFC 3339 can write.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;

/// Reads the body of POST /v0/featureSpecs. `now` in Unix seconds is the start of a rollout that has only an end.
///
/// # Errors
/// [`BadRequest`] for the first thing that is wrong, with its place.
///
/// # Example
/// ```
/// use kimball_edge::core::settings::limits::{FlagLimits, RequestLimits};
/// use kimball_edge::core::requests::parse_flag_spec;
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let flag_limits = FlagLimits { flags: 10, conditions: 10, values: 10, bytes: 10_000 };
/// let body = br#"{"name": "beta", "user": [{"property": "plan", "comparator": "in", "value": ["pro", "team"]}]}"#;
/// assert_eq!(parse_flag_spec(body, &limits, &flag_limits, 0).unwrap().spec.conditions.len(), 1);
/// ```
pub fn parse_flag_spec(
    body: &[u8],
    limits: &RequestLimits,
    flag_limits: &FlagLimits,
    now: i64,
) -> Result<NewFlag, BadRequest> {
    let flag = read(&object(bounded(body)?)?, limits, flag_limits, now)?;
    if is_blank(&flag.spec.name) { Err(BadRequest::Place { place: "name".into(), fault: BLANK }) } else { Ok(flag) }
}

fn read(
    fields: &BTreeMap<String, Json>,
    limits: &RequestLimits,
    flag_limits: &FlagLimits,
    now: i64,
) -> Result<NewFlag, BadRequest> {
    for field in ["name", "boolean", "user", "rollout_start", "rollout_end"] {
        once(fields, field, || field.into())?;
    }
    let spec = FlagSpec {
        name: name(fields.get("name"), limits, || "name".into())?,
        boolean: match scalar(fields, "boolean") {
            Scalar::Absent => false,
            Scalar::Bool(value) => value,
            _ => return Err(wrong("boolean", "must be true or false")),
        },
        conditions: conditions(fields.get("user"), limits, flag_limits)?,
        rollout: None,
    };
    Ok(NewFlag { spec, rollout: rollout(fields, now)? })
}

/// The text of a body that has no more values than [`FLAG_PARTS`]: as a tree each takes far more memory than in the text.
/// Every value but one has a comma or an opening bracket before it.
fn bounded(body: &[u8]) -> Result<&str, BadRequest> {
    let parts = body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if parts > FLAG_PARTS { Err(wrong("body", "must not hold more than 120,000 values")) } else { text(body) }
}

/// Reads a flag in the form in which it is stored: that of GET /v0/featureSpecs, with `rollout_reached`.
///
/// # Errors
/// [`BadRequest`] for what was not written so.
pub fn parse_stored_flag(stored: &str) -> Result<FlagSpec, BadRequest> {
    let limits = RequestLimits {
        body_bytes: u64::MAX,
        batch_events: u64::MAX,
        batch_namespaces: u64::MAX,
        name_bytes: u64::MAX,
    };
    let flag_limits = FlagLimits { flags: u64::MAX, conditions: u64::MAX, values: u64::MAX, bytes: u64::MAX };
    let fields = object(stored)?;
    let NewFlag { spec, rollout } = read(&fields, &limits, &flag_limits, i64::MIN)?;
    let reached = match fields.get("rollout_reached") {
        Some(Json::Object(reached)) => match (scalar(reached, "at"), scalar(reached, "threshold")) {
            (Scalar::Integer(at), Scalar::Integer(threshold)) => {
                Some(Reached { at: at as i64, threshold: u64::try_from(threshold).unwrap_or(0) })
            }
            _ => return Err(wrong("rollout_reached", "must have two whole numbers")),
        },
        _ => None,
    };
    let rollout = rollout.map(|NewRollout { start, end }| Rollout { start: start.unwrap_or(i64::MIN), end, reached });
    Ok(FlagSpec { rollout, ..spec })
}

fn object(text: &str) -> Result<BTreeMap<String, Json>, BadRequest> {
    match serde_json::from_str(text) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(BadRequest::Json("must be a JSON object".into())),
        Err(error) => Err(BadRequest::Json(error.to_string())),
    }
}

fn scalar<'a>(fields: &'a BTreeMap<String, Json>, field: &str) -> Scalar<'a> {
    fields.get(field).map_or(Scalar::Absent, Json::scalar)
}

fn once(fields: &BTreeMap<String, Json>, field: &str, place: impl Fn() -> String) -> Result<(), BadRequest> {
    if fields.get(field) == Some(&Json::Twice) { Err(wrong(place(), "must not come twice")) } else { Ok(()) }
}

fn wrong(place: impl Into<String>, must: &'static str) -> BadRequest {
    BadRequest::Place { place: place.into(), fault: Fault::Invalid(must) }
}

fn name(value: Option<&Json>, limits: &RequestLimits, place: impl Fn() -> String) -> Result<String, BadRequest> {
    let fault = match value.map_or(Scalar::Absent, Json::scalar) {
        Scalar::Absent => Fault::Missing,
        Scalar::Text(text) => match check_name(&text, limits.name_bytes) {
            Ok(name) => return Ok(name.to_owned()),
            Err(fault) => fault,
        },
        _ => Fault::Invalid("must be a string"),
    };
    Err(BadRequest::Place { place: place(), fault })
}

fn rollout(fields: &BTreeMap<String, Json>, now: i64) -> Result<Option<NewRollout>, BadRequest> {
    let time = |field: &'static str| match scalar(fields, field) {
        Scalar::Absent => Ok(None),
        Scalar::Text(text) => match time_of(&text) {
            // Its offset can move a time out of them.
            Some(time) if YEARS.contains(&time.to_utc().year()) => Ok(Some(time.timestamp())),
            Some(_) => Err(wrong(field, "must lie in the years 0000 to 9999, in UTC")),
            None => Err(wrong(field, "must be an RFC 3339 date and time")),
        },
        _ => Err(wrong(field, "must be an RFC 3339 date and time")),
    };
    match (time("rollout_start")?, time("rollout_end")?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(wrong("rollout_end", "is required with rollout_start")),
        (start, Some(end)) if end < start.unwrap_or(now) => {
            Err(wrong("rollout_end", "must not be before rollout_start, which is now where it is absent"))
        }
        (start, Some(end)) => Ok(Some(NewRollout { start, end })),
    }
}

fn conditions(
    value: Option<&Json>,
    limits: &RequestLimits,
    flag_limits: &FlagLimits,
) -> Result<Vec<Condition>, BadRequest> {
    let list = match value {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::List(list)) => list,
        Some(_) => return Err(wrong("user", "must be a list of conditions")),
    };
    if list.len() as u64 > flag_limits.conditions {
        let fault = Fault::TooMany { limit: FLAG_CONDITIONS.name, max: flag_limits.conditions };
        return Err(BadRequest::Place { place: "user".into(), fault });
    }
    list.iter().enumerate().map(|(index, condition)| self::condition(condition, index, limits, flag_limits)).collect()
}

fn condition(
    condition: &Json,
    index: usize,
    limits: &RequestLimits,
    flag_limits: &FlagLimits,
) -> Result<Condition, BadRequest> {
    let Json::Object(fields) = condition else {
        return Err(wrong(format!("user[{index}]"), "must be an object"));
    };
    let place = |field: &str| format!("user[{index}].{field}");
    for field in ["property", "comparator", "value"] {
        once(fields, field, || place(field))?;
    }
    let property = name(fields.get("property"), limits, || place("property"))?;
    let comparator = scalar(fields, "comparator");
    let is_in = match &comparator {
        Scalar::Absent => return Err(BadRequest::Place { place: place("comparator"), fault: Fault::Missing }),
        Scalar::Text(text) if text == "=" => false,
        Scalar::Text(text) if text == "in" => true,
        _ => return Err(wrong(place("comparator"), "must be \"=\" or \"in\"")),
    };
    let test = match (fields.get("value"), is_in) {
        (None | Some(Json::Null), _) => {
            return Err(BadRequest::Place { place: place("value"), fault: Fault::Missing });
        }
        (Some(Json::List(list)), true) => Test::In(members(list, &place("value"), limits, flag_limits)?),
        (Some(_), true) => return Err(wrong(place("value"), "must be a list, for \"in\"")),
        (Some(value), false) => Test::Equals(self::value(value, &place("value"), limits)?),
    };
    Ok(Condition { property, test })
}

fn members(
    list: &[Json],
    place: &str,
    limits: &RequestLimits,
    flag_limits: &FlagLimits,
) -> Result<Members, BadRequest> {
    if list.len() as u64 > flag_limits.values {
        let fault = Fault::TooMany { limit: FLAG_VALUES.name, max: flag_limits.values };
        return Err(BadRequest::Place { place: place.into(), fault });
    }
    let mut values = Vec::with_capacity(list.len());
    for (index, member) in list.iter().enumerate() {
        let value = value(member, &format!("{place}[{index}]"), limits)?;
        let is_like = |first: &Value| matches!(first, Value::Text(_)) == matches!(value, Value::Text(_));
        if !values.first().is_none_or(is_like) {
            return Err(wrong(format!("{place}[{index}]"), "must be of the same type as the first value"));
        }
        values.push(value);
    }
    Ok(values.into())
}

fn value(value: &Json, place: &str, limits: &RequestLimits) -> Result<Value, BadRequest> {
    let value = value.value().ok_or_else(|| wrong(place, "must be a string or a whole number"))?;
    match &value {
        Value::Text(text) if text.len() as u64 > limits.name_bytes => {
            Err(BadRequest::Place { place: place.into(), fault: Fault::TooLong { limit: limits.name_bytes } })
        }
        _ => Ok(value),
    }
}
