//! The JSON of flags: what GET /v0/featureSpecs answers, and what is stored.

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};

use super::{Condition, EVERYBODY, FlagSpec, Reached, Test, Value};

/// The answer to GET /v0/featureSpecs.
#[derive(Serialize)]
pub struct FeatureSpecs<'a> {
    /// All flags, ascending by name.
    #[serde(rename = "featureSpecs")]
    pub feature_specs: Vec<FlagJson<'a>>,
}

/// One flag. A flag without a rollout has no field of one; what is stored goes without `boolean` and `user` too, where
/// they say nothing.
#[derive(Serialize)]
pub struct FlagJson<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    boolean: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Vec<ConditionJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_reached: Option<ReachedJson>,
}

/// What a rollout goes on from: for people when and how much, for storage the exact threshold.
#[derive(Serialize)]
#[serde(untagged)]
enum ReachedJson {
    Shown { at: String, share: f64 },
    Stored(Reached),
}

#[derive(Serialize)]
struct ConditionJson<'a> {
    property: &'a str,
    comparator: &'static str,
    value: TestJson<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TestJson<'a> {
    One(ValueJson<'a>),
    Many(Vec<ValueJson<'a>>),
}

struct ValueJson<'a>(&'a Value);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Integer(value) => serializer.serialize_i128(*value),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'a> FlagJson<'a> {
    /// A flag as it is shown: times in UTC, the share that a rollout goes on from as a number from 0 to 1.
    #[must_use]
    pub fn shown(flag: &'a FlagSpec) -> Self {
        Self {
            name: &flag.name,
            boolean: Some(flag.boolean),
            rollout_start: flag.rollout.map(|rollout| rfc_3339(rollout.start)),
            rollout_end: flag.rollout.map(|rollout| rfc_3339(rollout.end)),
            user: Some(flag.conditions.iter().map(ConditionJson::of).collect()),
            rollout_reached: flag.rollout.and_then(|rollout| rollout.reached).map(|reached| ReachedJson::Shown {
                at: rfc_3339(reached.at),
                share: reached.threshold as f64 / EVERYBODY as f64,
            }),
        }
    }

    /// The text; `None` if it cannot be written, which it always can.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// A flag as it is stored, to be read by [`crate::core::requests::parse_stored_flag`].
    #[must_use]
    pub fn stored(flag: &'a FlagSpec) -> Self {
        let reached = flag.rollout.and_then(|rollout| rollout.reached);
        let shown = Self::shown(flag);
        Self {
            boolean: shown.boolean.filter(|boolean| *boolean),
            user: shown.user.filter(|conditions| !conditions.is_empty()),
            rollout_reached: reached.map(ReachedJson::Stored),
            ..shown
        }
    }
}

impl<'a> ConditionJson<'a> {
    fn of(condition: &'a Condition) -> Self {
        let (comparator, value) = match &condition.test {
            Test::Equals(value) => ("=", TestJson::One(ValueJson(value))),
            Test::In(members) => ("in", TestJson::Many(members.values().iter().map(ValueJson).collect())),
        };
        Self { property: &condition.property, comparator, value }
    }
}

/// A time in Unix seconds as RFC 3339, in UTC.
#[must_use]
pub fn rfc_3339(unix_s: i64) -> String {
    DateTime::from_timestamp(unix_s, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
