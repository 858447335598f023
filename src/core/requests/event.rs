//! One event of the body of POST /v0/analytics.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::batch::{BatchBuilder, NewEvent};
use super::scalar::{Object, Scalar};
use super::{BadRequest, DEFAULT_NAMESPACE, Fault, check_value, name, required, user_id_of};
use crate::core::periods::week::Week;
use crate::core::settings::limits::RequestLimits;

pub(super) const FIELDS: [&str; 6] = ["event_name", "user_id", "namespace", "ensure_goal", "value", "datetime"];

pub(super) type Fields<'a> = Object<'a, 6>;

/// An event as it was read, nothing of it checked.
pub(super) struct Event<'a> {
    pub(super) fields: Fields<'a>,
    /// Whether it holds `events`, as only a body may.
    pub(super) has_events: bool,
}

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<'de>, A::Error> {
        let mut event = Event { fields: Fields::default(), has_events: false };
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            if key == Scalar::Text("events".into()) {
                event.has_events |= map.next_value::<Scalar<'de>>()? != Scalar::Absent;
            } else {
                event.fields.read(FIELDS, &key, &mut map)?;
            }
        }
        Ok(event)
    }
}

/// Adds an event, complete with all its fields, to a batch.
///
/// # Errors
/// [`BadRequest`] for the first field that is wrong.
pub(super) fn add_event(
    batch: &mut BatchBuilder<'_>,
    fields: Fields<'_>,
    index: Option<usize>,
    limits: &RequestLimits,
) -> Result<(), BadRequest> {
    let invalid = |field, must| Err(BadRequest::Field { index, field, fault: Fault::Invalid(must) });
    let fields = fields.without_duplicates(index)?;
    let [event_name, user_id, namespace, ensure_goal, value, datetime] = &fields.values;
    let event_name = required(name(event_name, limits, index, "event_name")?, index, "event_name")?;
    let user_id = required(user_id_of(user_id, limits, index)?, index, "user_id")?;
    let namespace = name(namespace, limits, index, "namespace")?.unwrap_or(DEFAULT_NAMESPACE);
    let ensure_goal = match ensure_goal {
        Scalar::Absent => false,
        Scalar::Bool(ensure) => *ensure,
        _ => return invalid("ensure_goal", "must be true or false"),
    };
    let value = match value {
        Scalar::Absent => None,
        Scalar::Integer(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        _ => return invalid("value", "must be a number"),
    };
    value.map_or(Ok(()), check_value).map_err(|fault| BadRequest::Field { index, field: "value", fault })?;
    let week = match datetime {
        Scalar::Absent => None,
        Scalar::Text(text) => match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(time) => Some(Week::of(time.to_utc())),
            Err(_) => return invalid("datetime", "must be an RFC 3339 date and time"),
        },
        _ => return invalid("datetime", "must be an RFC 3339 date and time"),
    };
    let index = index.unwrap_or(0) as u32;
    batch.add(&NewEvent { namespace, name: event_name, user_id: &user_id, index, value, ensure_goal, week })
}
