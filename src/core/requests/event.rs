//! The body of POST /v0/analytics, read in one pass.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::BadRequest;
use super::DEFAULT_NAMESPACE;
use super::Fault;
use super::Sink;
use super::batch::NewEvent;
use super::check_value;
use super::name;
use super::required;
use super::scalar::{Object, Scalar};
use super::user_id_of;
use crate::core::periods::week::Week;

const FIELDS: [&str; 6] = ["event_name", "user_id", "namespace", "ensure_goal", "value", "datetime"];

type Fields<'a> = Object<'a, 6>;

impl Sink<'_> {
    /// Takes one event, complete with all its fields.
    fn add(&mut self, index: Option<usize>, fields: Fields<'_>) -> Result<(), BadRequest> {
        let invalid = |field, must| Err(BadRequest::Field { index, field, fault: Fault::Invalid(must) });
        let fields = fields.without_duplicates(index)?;
        let [event_name, user_id, namespace, ensure_goal, value, datetime] = &fields.values;
        let event_name = required(name(event_name, self.limits, index, "event_name")?, index, "event_name")?;
        let user_id = required(user_id_of(user_id, self.limits, index)?, index, "user_id")?;
        let namespace = name(namespace, self.limits, index, "namespace")?.unwrap_or(DEFAULT_NAMESPACE);
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
        self.batch.add(&NewEvent { namespace, name: event_name, user_id: &user_id, index, value, ensure_goal, week })
    }

    /// Hands a refusal past serde, whose own errors are texts.
    fn refuse<E: Error>(&mut self, refused: BadRequest) -> E {
        self.refused = Some(refused);
        E::custom("refused")
    }

    /// Notes what a value of the wrong type, if one comes next, is to be refused with.
    pub(super) fn expect(&mut self, index: Option<usize>, field: &'static str, must: &'static str) {
        self.expected = Some(BadRequest::Field { index, field, fault: Fault::Invalid(must) });
    }
}

/// The whole body: an object or a list.
pub(super) struct BodyVisitor<'s, 'k> {
    pub(super) sink: &'s mut Sink<'k>,
}

impl<'de> Visitor<'de> for BodyVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event, a list of events, or an object with `events`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        EventsVisitor { sink: self.sink }.visit_seq(seq).map(|_| ())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let sink = self.sink;
        let mut fields = Fields::default();
        let (mut seen, mut has_events) = (false, false);
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            if key == Scalar::Text("events".into()) {
                if std::mem::replace(&mut seen, true) {
                    sink.expect(None, "events", "must not come twice");
                    return Err(A::Error::custom("twice"));
                }
                sink.expect(None, "events", "must be a list of events");
                has_events = map.next_value_seed(EventsVisitor { sink: &mut *sink })?;
            } else {
                fields.read(FIELDS, &key, &mut map)?;
            }
        }
        let taken = if has_events { nothing_beside(fields) } else { sink.add(None, fields) };
        taken.map_err(|refused| sink.refuse(refused))
    }
}

/// Refuses what makes an event of the object that holds `events`: either it or they would be lost.
fn nothing_beside(fields: Fields<'_>) -> Result<(), BadRequest> {
    let fields = fields.without_duplicates(None)?;
    match FIELDS.iter().zip(&fields.values).find(|(_, value)| **value != Scalar::Absent) {
        Some((field, _)) => {
            Err(BadRequest::Field { index: None, field, fault: Fault::Invalid("must not come together with `events`") })
        }
        None => Ok(()),
    }
}

/// A list of events, or null; answers whether there was one.
struct EventsVisitor<'s, 'k> {
    sink: &'s mut Sink<'k>,
}

impl<'de> DeserializeSeed<'de> for EventsVisitor<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EventsVisitor<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let mut index = 0;
        loop {
            self.sink.expect(Some(index), "events", "must hold objects only");
            if seq.next_element_seed(EventVisitor { sink: &mut *self.sink, index })?.is_none() {
                return Ok(true);
            }
            index += 1;
        }
    }
}

/// One event of a list.
struct EventVisitor<'s, 'k> {
    sink: &'s mut Sink<'k>,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for EventVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let limit = self.sink.limits.batch_events;
        if self.index as u64 >= limit {
            return Err(self.sink.refuse(BadRequest::TooManyEvents { limit }));
        }
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Scalar<'de>>()? {
            if key == Scalar::Text("events".into()) {
                if map.next_value::<Scalar<'de>>()? != Scalar::Absent {
                    let fault = Fault::Invalid("must not stand in an event");
                    return Err(self.sink.refuse(BadRequest::Field {
                        index: Some(self.index),
                        field: "events",
                        fault,
                    }));
                }
            } else {
                fields.read(FIELDS, &key, &mut map)?;
            }
        }
        self.sink.add(Some(self.index), fields).map_err(|refused| self.sink.refuse(refused))
    }
}
