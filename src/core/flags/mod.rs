//! Feature flags: their specifications, and whether one is on for a user.
//!
//! Time and chance are passed in.

mod json;
mod rollout;

use std::collections::BTreeMap;

pub use json::{FeatureSpecs, FlagJson, rfc_3339};
pub use rollout::{EVERYBODY, Reached, Rollout, draw};

use crate::core::order::order;

/// A flag. It is on where `boolean` is true, else where a condition matches, else by its rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagSpec {
    /// Its name.
    pub name: String,
    /// On for everybody, if true.
    pub boolean: bool,
    /// Any one of these switches it on.
    pub conditions: Vec<Condition>,
    /// On for a growing share.
    pub rollout: Option<Rollout>,
}

/// A flag as it was asked for, before it takes the place of a former one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFlag {
    /// The flag, without its rollout.
    pub spec: FlagSpec,
    /// The rollout, if any.
    pub rollout: Option<NewRollout>,
}

/// A rollout as it was asked for, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRollout {
    /// The start; absent means now.
    pub start: Option<i64>,
    /// The end.
    pub end: i64,
}

impl NewFlag {
    /// The flag that takes the place of `former`; its rollout goes on from there where only the end changes
    /// ([`Rollout::succeeded_by`]).
    #[must_use]
    pub fn succeed(self, former: Option<&FlagSpec>, now: i64) -> FlagSpec {
        let rollout = self.rollout.map(|NewRollout { start, end }| {
            let former = former.and_then(|former| former.rollout);
            former.map_or(Rollout { start: start.unwrap_or(now), end, reached: None }, |former| {
                former.succeeded_by(start, end, now)
            })
        });
        FlagSpec { rollout, ..self.spec }
    }
}

/// A condition on one property of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The name of the property.
    pub property: String,
    /// What its value must be.
    pub test: Test,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Equal to this.
    Equals(Value),
    /// One of these.
    In(Members),
}

/// A string or a whole number. A JSON number without a fraction is a whole number, however it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A whole number.
    Integer(i128),
    /// A string.
    Text(String),
}

/// The values of `in`: kept in the order in which they were given, found by binary search.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members {
    given: Vec<Value>,
    /// Positions in `given`, ascending by value.
    order: Vec<u32>,
}

impl From<Vec<Value>> for Members {
    fn from(given: Vec<Value>) -> Self {
        let ascending = order(given.len(), &|a, b| given.get(a).cmp(&given.get(b)));
        Self { order: ascending.into_iter().map(|at| at as u32).collect(), given }
    }
}

impl Members {
    /// The values as they were given.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.given
    }

    fn contains(&self, value: &Value) -> bool {
        self.order.binary_search_by_key(&Some(value), |&at| self.given.get(at as usize)).is_ok()
    }
}

/// A user as a request describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// The id, which ends with the request.
    pub id: Option<String>,
    /// The properties that conditions can match: strings and whole numbers.
    pub properties: BTreeMap<String, Value>,
}

impl FlagSpec {
    /// Whether the flag is on for a user at a time in Unix seconds. `chance` draws 32 random bits; it is asked where
    /// the user has no id.
    pub fn evaluate(&self, user: &User, now: i64, chance: &mut impl FnMut() -> u32) -> bool {
        if self.boolean || self.conditions.iter().any(|condition| condition.matches(user)) {
            return true;
        }
        match self.rollout.map_or(0, |rollout| rollout.threshold(now)) {
            0 => false,
            EVERYBODY => true,
            threshold => {
                let drawn = user.id.as_ref().map_or_else(chance, |id| draw(&self.name, id));
                u64::from(drawn) < threshold
            }
        }
    }
}

impl Condition {
    fn matches(&self, user: &User) -> bool {
        user.properties.get(&self.property).is_some_and(|value| match &self.test {
            Test::Equals(wanted) => value == wanted,
            Test::In(members) => members.contains(value),
        })
    }
}
