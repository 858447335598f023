//! Single JSON values, and flat objects of a few known fields.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{BadRequest, Fault};

/// A JSON value of which only scalars are looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Scalar<'a> {
    /// Not there, or null, which means the same.
    #[default]
    Absent,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Cow<'a, str>),
    /// A list or an object; its content was skipped.
    Compound,
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }
}

/// A JSON object of which `N` named fields are kept. A field that comes twice is an error, others are skipped.
#[derive(Debug, Clone)]
pub(super) struct Object<'a, const N: usize> {
    pub(super) values: [Scalar<'a>; N],
    seen: [bool; N],
    /// The field that came twice.
    pub(super) duplicate: Option<&'static str>,
}

impl<const N: usize> Default for Object<'_, N> {
    fn default() -> Self {
        Self { values: std::array::from_fn(|_| Scalar::Absent), seen: [false; N], duplicate: None }
    }
}

impl<'a, const N: usize> Object<'a, N> {
    /// Reads the value of the field that a [`Key`] has named from `map`.
    pub(super) fn read<A: MapAccess<'a>>(
        &mut self,
        fields: [&'static str; N],
        key: Option<usize>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            Some(at) => self.put(fields, at, map.next_value()?),
            None => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    /// Takes the value of `key`, if it is one of the fields.
    pub(super) fn set(&mut self, fields: [&'static str; N], key: &Scalar<'_>, value: Scalar<'a>) {
        if let Scalar::Text(key) = key
            && let Some(at) = position(&fields, key)
        {
            self.put(fields, at, value);
        }
    }

    fn put(&mut self, fields: [&'static str; N], at: usize, value: Scalar<'a>) {
        if let (Some(slot), Some(seen), Some(field)) = (self.values.get_mut(at), self.seen.get_mut(at), fields.get(at))
        {
            if std::mem::replace(seen, true) {
                self.duplicate.get_or_insert(field);
            }
            *slot = value;
        }
    }

    /// Refuses an object in which a field came twice.
    pub(super) fn refuse_duplicates(&self, index: Option<usize>) -> Result<(), BadRequest> {
        match self.duplicate {
            Some(field) => Err(BadRequest::Field { index, field, fault: Fault::Invalid("must not come twice") }),
            None => Ok(()),
        }
    }

    /// Reads a whole text as one object.
    pub(super) fn parse(text: &'a str, fields: [&'static str; N]) -> Result<Self, BadRequest> {
        let mut json = serde_json::Deserializer::from_str(text);
        let object = (&mut json)
            .deserialize_map(ObjectVisitor { fields })
            .and_then(|object| json.end().map(|()| object))
            .map_err(|error| {
                BadRequest::Json(if error.is_data() { "must be a JSON object".into() } else { error.to_string() })
            })?;
        object.refuse_duplicates(None)?;
        Ok(object)
    }
}

fn position(names: &[&str], key: &str) -> Option<usize> {
    names.iter().position(|name| *name == key)
}

/// The key of a member of an object: which of these names it is, if it is one of them.
pub(super) struct Key<'n>(pub(super) &'n [&'static str]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(position(self.0, key))
    }
}

struct ObjectVisitor<const N: usize> {
    fields: [&'static str; N],
}

impl<'de, const N: usize> Visitor<'de> for ObjectVisitor<N> {
    type Value = Object<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        while let Some(key) = map.next_key_seed(Key(&self.fields))? {
            object.read(self.fields, key, &mut map)?;
        }
        Ok(object)
    }
}
