//! One event of the body of POST /v0/analytics.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::batch::{BatchBuilder, NewEvent};
use super::scalar::{Key, Object, Scalar};
use super::{BadRequest, DEFAULT_NAMESPACE, Fault, check_value, name, required, time_of, user_id_of};
use crate::core::periods::day::Day;
use crate::core::settings::limits::{EVENT_ID_BYTES, RequestLimits};

pub(super) const FIELDS: [&str; 7] = ["event_name", "user_id", "namespace", "ensure_goal", "value", "datetime", "id"];

pub(super) type Fields<'a> = Object<'a, 7>;

/// The fields, and what only a body may hold.
const KEYS: [&str; 8] = {
    let [a, b, c, d, e, f, g] = FIELDS;
    [a, b, c, d, e, f, g, "events"]
};

/// An event as it was read, nothing of it checked. It is read in place: moving it about takes as long as reading it.
#[derive(Default)]
pub(super) struct Event<'a> {
    pub(super) fields: Fields<'a>,
    /// Whether it holds `events`, as only a body may.
    pub(super) has_events: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Event<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Event<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key(&KEYS))? {
            if key == Some(FIELDS.len()) {
                self.has_events |= map.next_value::<Scalar<'de>>()? != Scalar::Absent;
            } else {
                self.fields.read(FIELDS, key, &mut map)?;
            }
        }
        Ok(())
    }
}

/// Adds an event, complete with all its fields, to a batch.
///
/// # Errors
/// [`BadRequest`] for the first field that is wrong.
pub(super) fn add_event(
    batch: &mut BatchBuilder<'_>,
    fields: &Fields<'_>,
    index: Option<usize>,
    limits: &RequestLimits,
) -> Result<(), BadRequest> {
    let invalid = |field, must| Err(BadRequest::Field { index, field, fault: Fault::Invalid(must) });
    fields.refuse_duplicates(index)?;
    let [event_name, user_id, namespace, ensure_goal, value, datetime, id] = &fields.values;
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
    let day = match datetime {
        Scalar::Absent => None,
        Scalar::Text(text) => match time_of(text) {
            Some(time) => Some(Day::of_unix_s(time.timestamp())),
            None => return invalid("datetime", "must be an RFC 3339 date and time"),
        },
        _ => return invalid("datetime", "must be an RFC 3339 date and time"),
    };
    match id {
        Scalar::Absent => {}
        Scalar::Text(id) if (1..=EVENT_ID_BYTES).contains(&id.len()) => {}
        _ => return invalid("id", "must be a string of 1 to 256 bytes"),
    }
    let index = index.unwrap_or(0) as u32;
    batch.add(&NewEvent { namespace, name: event_name, user_id: &user_id, index, value, ensure_goal, day })
}
