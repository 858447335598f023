//! The aggregator for a page, behind `wasm-bindgen`: it counts locally, with the numbers in the server's form.
//!
//! Its key is random and stays in the page, so nothing that it holds can be related to a server's state.

use std::collections::BTreeMap;

use serde::Serialize;
use wasm_bindgen::prelude::{JsError, JsValue, wasm_bindgen};

use crate::core::aggregator::{Aggregator as State, Operation};
use crate::core::answer::Analytics;
use crate::core::error::Refusal;
use crate::core::identity::{Keys, UnlinkKey};
use crate::core::limits::{
    COMBINATIONS_PER_GOAL, EVENTS_PER_NAMESPACE, NAME_BYTES, SHARD_MEMORY_BYTES, ShardLimits, USERS_PER_EVENT,
    VALUE_ABS, WEEKS_PER_EVENT,
};
use crate::core::request::DEFAULT_NAMESPACE;

/// Counts the events of one namespace.
#[wasm_bindgen]
pub struct Aggregator {
    keys: Keys,
    unlink: UnlinkKey,
    state: State,
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

#[wasm_bindgen]
impl Aggregator {
    /// An aggregator that has seen nothing.
    ///
    /// # Errors
    /// When the page has no source of randomness.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Self, JsError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| JsError::new(&error.to_string()))?;
        let keys = Keys::new(&key);
        let unlink = keys.unlink(DEFAULT_NAMESPACE);
        Ok(Self { keys, unlink, state: State::default(), names: Vec::new(), numbers: BTreeMap::new() })
    }

    /// Counts one event and answers whether it was this user's first of that name.
    ///
    /// # Errors
    /// For what the server would refuse: a name or user id that is empty or longer than 256 bytes, a name with control
    /// characters, a value that is not a number or too great, or where a limit of a shard is met.
    pub fn record(
        &mut self,
        event: &str,
        user: &str,
        value: Option<f64>,
        ensure_goal: Option<bool>,
    ) -> Result<bool, JsError> {
        for (what, text) in [("event", event), ("user", user)] {
            if text.is_empty() || text.len() as u64 > NAME_BYTES.default {
                return Err(JsError::new(&format!("{what}: must have 1 to {} bytes", NAME_BYTES.default)));
            }
        }
        if event.chars().any(char::is_control) {
            return Err(JsError::new("event: must not hold control characters"));
        }
        if value.is_some_and(|value| value.is_nan() || value.abs() > VALUE_ABS) {
            return Err(JsError::new("value: must be between -1e300 and 1e300"));
        }
        let (number, tag) = (self.number(event)?, self.unlink.tag(event));
        let user = self.keys.user(DEFAULT_NAMESPACE, user);
        let goal = ensure_goal.unwrap_or(false).then_some(Operation::Goal { event: number, tag });
        let record = Operation::Record { event: number, tag, user, value, week: None };
        let operations: Vec<Operation> = goal.into_iter().chain([record]).collect();
        let before = self.count(number);
        let limits = ShardLimits::of_shard(
            USERS_PER_EVENT.default,
            COMBINATIONS_PER_GOAL.default,
            SHARD_MEMORY_BYTES.default,
            WEEKS_PER_EVENT.default,
            0,
            1,
        );
        self.state.apply(&operations, &self.unlink, &limits).map_err(refused)?;
        Ok(self.count(number) > before)
    }

    /// The numbers, in the form of GET /v0/analytics.
    ///
    /// # Errors
    /// When they cannot be made a JavaScript value.
    pub fn report(&self) -> Result<JsValue, JsError> {
        let report = self.state.report();
        let analytics = Analytics::of(&report, &self.names, COMBINATIONS_PER_GOAL.default as usize)
            .map_err(|_| JsError::new("an event has no name"))?;
        Ok(analytics.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
    }

    /// Bytes that the counts take in memory.
    #[must_use]
    #[wasm_bindgen(js_name = memoryBytes)]
    pub fn memory_bytes(&self) -> usize {
        self.state.memory_bytes()
    }

    fn count(&self, event: u32) -> u64 {
        self.state.counter(event).map_or(0, |counter| counter.users.len())
    }

    fn number(&mut self, event: &str) -> Result<u32, JsError> {
        if let Some(&number) = self.numbers.get(event) {
            return Ok(number);
        }
        if self.names.len() as u64 >= EVENTS_PER_NAMESPACE.default {
            return Err(JsError::new(&format!("there are {} event names already", self.names.len())));
        }
        let number = self.names.len() as u32;
        self.names.push(event.to_owned());
        self.numbers.insert(event.to_owned(), number);
        Ok(number)
    }
}

fn refused(refusal: Refusal) -> JsError {
    JsError::new(match refusal {
        Refusal::Users | Refusal::CounterSize { .. } => "the event has its maximum of users",
        Refusal::Memory => "the aggregator has no memory left",
        Refusal::Tag => "the event's number and name do not belong together",
    })
}
