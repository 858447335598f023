//! JSON of any form as a tree, for the small bodies that are not events.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::scalar::Scalar;
use crate::core::flags::Value;

/// The whole numbers of 64 bits, with a sign or without, lie between these. At the ends themselves a float may be an integer
/// beyond, which was rounded.
const WHOLE: (f64, f64) = (-9_223_372_036_854_775_808.0, 18_446_744_073_709_551_616.0);

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
    /// Stands for a field that comes more than once.
    Twice,
}

impl Json {
    /// The value where it is a scalar, as events know them.
    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Absent,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Integer(value) => Scalar::Integer(*value),
            Self::Float(value) => Scalar::Float(*value),
            Self::Text(text) => Scalar::Text(text.as_str().into()),
            Self::List(_) | Self::Object(_) | Self::Twice => Scalar::Compound,
        }
    }

    /// The first field that comes more than once, if this is an object.
    pub(super) fn twice(fields: &BTreeMap<String, Self>) -> Option<&str> {
        fields.iter().find(|(_, value)| **value == Self::Twice).map(|(name, _)| name.as_str())
    }

    /// The value where it is a string or a whole number, of those that integers are read as.
    pub(super) fn value(&self) -> Option<Value> {
        match self {
            Self::Text(text) => Some(Value::Text(text.clone())),
            Self::Integer(value) => Some(Value::Integer(*value)),
            Self::Float(value) if value.fract() == 0.0 && *value > WHOLE.0 && *value < WHOLE.1 => {
                Some(Value::Integer(*value as i128))
            }
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            object.entry(key).and_modify(|value| *value = Json::Twice).or_insert(value);
        }
        Ok(Json::Object(object))
    }
}
