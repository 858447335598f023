//! The pre-aggregator for pages, Node and other Workers, behind `wasm-bindgen`.
//!
//! What JavaScript sees is described in `pkg/src/aggregator.d.ts`; here is only the way from its values and back.

mod value;

use js_sys::{Array, Error, Object, Uint8Array};
use serde::Serialize;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::core::answer::Analytics;
use crate::core::identity::LocalKey;
use crate::core::limits::{BATCH_EVENTS, COMBINATIONS_PER_GOAL, LOCAL_BYTES_MAX, LOCAL_PENDING_BYTES_MIN, NAME_BYTES};
use crate::core::pre_aggregation::{Bounds, Event, PreAggregator};
use crate::core::request::DEFAULT_NAMESPACE;
use value::{Given, wrong};

/// Passes on first occurrences. See [`PreAggregator`].
#[wasm_bindgen]
pub struct Aggregator {
    state: PreAggregator,
    weekly: bool,
}

/// What its options say.
struct Options {
    bounds: Bounds,
    weekly: bool,
    key: Option<[u8; LocalKey::BYTES]>,
}

#[wasm_bindgen]
impl Aggregator {
    /// An aggregator that has seen nothing.
    ///
    /// # Errors
    /// When an option is wrong, or there is no source of randomness.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue) -> Result<Self, Error> {
        let Options { bounds, weekly, key } = Options::read(options)?;
        let key = match key {
            Some(key) => key,
            None => random()?,
        };
        Ok(Self { state: PreAggregator::new(LocalKey::new(&key), bounds), weekly })
    }

    /// Takes an event, and answers whether it is its user's first of that name.
    ///
    /// # Errors
    /// When its form is wrong, or too much is pending; nothing has changed then.
    pub fn record(&mut self, event: &JsValue) -> Result<bool, Error> {
        let given = Given::of(event, "event")?;
        let event_name = given.text("event")?.ok_or_else(|| wrong("event", "is required"))?;
        let user = given.user("user")?.ok_or_else(|| wrong("user", "is required"))?;
        let namespace = given.text("namespace")?;
        let event = Event {
            namespace: namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE),
            event: &event_name,
            user: &user,
            value: given.number("value")?,
            ensure_goal: given.flag("ensureGoal")?,
            day: given.day("at")?,
        };
        self.state.record(&event).map_err(|rejection| Error::new(&rejection.to_string()))
    }

    /// The oldest pending events, as the body of POST /v0/analytics.
    ///
    /// # Errors
    /// When `max` is not a number of events.
    pub fn pending(&self, max: &JsValue) -> Result<JsValue, Error> {
        let events: Array = self.state.pending().take(most(max)?).map(|event| wire(&event)).collect();
        let batch = Object::new();
        value::set(&batch, "events", &events);
        Ok(batch.into())
    }

    /// The same, and takes them out.
    ///
    /// # Errors
    /// When `max` is not a number of events.
    pub fn drain(&mut self, max: &JsValue) -> Result<JsValue, Error> {
        let batch = self.pending(max)?;
        self.state.drain(most(max)?);
        Ok(batch)
    }

    /// How many events are pending.
    #[must_use]
    #[wasm_bindgen(getter, js_name = pendingEvents)]
    pub fn pending_events(&self) -> usize {
        self.state.pending_len()
    }

    /// The numbers of a namespace, in the form of GET /v0/analytics.
    ///
    /// # Errors
    /// When `namespace` is not a text.
    pub fn report(&self, namespace: &JsValue) -> Result<JsValue, Error> {
        let namespace = value::text(namespace, "namespace")?;
        let (mut report, names) =
            self.state.report(namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)).unwrap_or_default();
        if !self.weekly {
            for counter in &mut report.counters {
                counter.weeks.clear();
            }
        }
        let analytics = Analytics::of(&report, names, COMBINATIONS_PER_GOAL.default as usize)
            .map_err(|_| Error::new("an event has no name"))?;
        analytics
            .serialize(&serde_wasm_bindgen::Serializer::json_compatible())
            .map_err(|_| Error::new("the report cannot be shown"))
    }

    /// Everything, for [`Self::from_bytes`].
    #[must_use]
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.state.encode()
    }

    /// What [`Self::to_bytes`] answered.
    ///
    /// # Errors
    /// When the bytes are damaged or none of ours, or an option is wrong.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(bytes: &JsValue, options: &JsValue) -> Result<Self, Error> {
        let Options { bounds, weekly, key } = Options::read(options)?;
        if key.is_some() {
            return Err(wrong("key", "is in the bytes already"));
        }
        let bytes = bytes.dyn_ref::<Uint8Array>().ok_or_else(|| wrong("bytes", "must be a Uint8Array"))?;
        let state =
            PreAggregator::decode(&bytes.to_vec(), bounds).map_err(|corrupt| Error::new(&corrupt.to_string()))?;
        Ok(Self { state, weekly })
    }

    /// Adds what another aggregator with the same key has seen and passed on.
    ///
    /// # Errors
    /// When the keys differ, the result would not be exact, or it would pass the bounds; nothing has changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.state.merge(&other.state).map_err(|error| Error::new(&error.to_string()))
    }

    /// Whether memory is at its bound, so that events are passed on unseen.
    #[must_use]
    #[wasm_bindgen(getter, js_name = isSaturated)]
    pub fn is_saturated(&self) -> bool {
        self.state.passed_unseen() > 0
    }

    /// How many events were passed on unseen.
    #[must_use]
    #[wasm_bindgen(getter, js_name = passedUnseen)]
    pub fn passed_unseen(&self) -> f64 {
        self.state.passed_unseen() as f64
    }

    /// Bytes of memory that what was seen takes.
    #[must_use]
    #[wasm_bindgen(getter, js_name = memoryBytes)]
    pub fn memory_bytes(&self) -> usize {
        self.state.memory_bytes()
    }
}

/// A random id for somebody who has none: 32 hexadecimal digits.
///
/// # Errors
/// When there is no source of randomness.
#[wasm_bindgen(js_name = anonymousId)]
pub fn anonymous_id() -> Result<String, Error> {
    random::<16>().map(hex::encode)
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::new("there is no source of randomness here"))?;
    Ok(bytes)
}

impl Options {
    fn read(options: &JsValue) -> Result<Self, Error> {
        let mut bounds = Bounds::default();
        if options.is_undefined() {
            return Ok(Self { bounds, weekly: false, key: None });
        }
        let given = Given::of(options, "options")?;
        if let Some(bytes) = given.whole("memoryBytesMax", 0, LOCAL_BYTES_MAX)? {
            bounds.memory_bytes = bytes;
        }
        if let Some(bytes) = given.whole("pendingBytesMax", LOCAL_PENDING_BYTES_MIN, LOCAL_BYTES_MAX)? {
            bounds.pending_bytes = bytes;
        }
        if let Some(bytes) = given.whole("nameBytesMax", 1, NAME_BYTES.max as usize)? {
            bounds.name_bytes = bytes as u64;
        }
        Ok(Self { bounds, weekly: given.flag("weekly")?, key: given.bytes("key")? })
    }
}

fn most(max: &JsValue) -> Result<usize, Error> {
    let most = BATCH_EVENTS.default as usize;
    Ok(value::whole(max, "max", 0, u32::MAX as usize)?.unwrap_or(most))
}

/// An event as POST /v0/analytics takes it.
fn wire(event: &Event<'_>) -> JsValue {
    let wire = Object::new();
    value::set(&wire, "event_name", &event.event.into());
    value::set(&wire, "user_id", &event.user.into());
    if event.namespace != DEFAULT_NAMESPACE {
        value::set(&wire, "namespace", &event.namespace.into());
    }
    if let Some(value) = event.value {
        value::set(&wire, "value", &value.into());
    }
    if event.ensure_goal {
        value::set(&wire, "ensure_goal", &true.into());
    }
    value::set(&wire, "datetime", &event.day.to_string().into());
    wire.into()
}
