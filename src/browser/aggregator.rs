//! The pre-aggregator for pages, Node and other Workers, behind `wasm-bindgen`.
//!
//! What JavaScript sees is described in `pkg/src/aggregator.d.ts`; here is only the way from its values and back.

use js_sys::{Array, Date, Error, Object, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use super::value::{self, Given, wrong};
use crate::core::identity::{LocalKey, UserKey};
use crate::core::pre_aggregation::{Bounds, Event, Level, News, PreAggregator};
use crate::core::requests::DEFAULT_NAMESPACE;
use crate::core::settings::limits::{BATCH_EVENTS, LOCAL_BYTES_MAX, LOCAL_PENDING_BYTES_MIN, NAME_BYTES};

/// Passes on what is news. See [`PreAggregator`].
#[wasm_bindgen]
pub struct Aggregator {
    state: PreAggregator,
    weekly: bool,
    ids: Ids,
}

/// Makes the ids of events: random to whoever does not know the key, which is thrown away with the aggregator.
struct Ids {
    /// None where there is no randomness: events have no ids then.
    key: Option<LocalKey>,
    made: u64,
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
        Ok(Self { state: PreAggregator::new(LocalKey::new(&key), bounds), weekly, ids: Ids::new() })
    }

    /// Takes an event, and answers what it tells a server: false, `"order"` or `"first"`.
    ///
    /// # Errors
    /// When its form is wrong, or too much is pending; nothing has changed then.
    pub fn record(&mut self, event: &JsValue) -> Result<JsValue, Error> {
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
            id: self.ids.next(),
        };
        let news = self.state.record(&event, (Date::now() / 1_000.0) as i64);
        news.map(told).map_err(|rejection| Error::new(&rejection.to_string()))
    }

    /// The oldest pending events, as the body of POST /v0/analytics.
    ///
    /// # Errors
    /// When `max` is not a number of events.
    pub fn pending(&self, max: &JsValue) -> Result<JsValue, Error> {
        let events = list(self.state.pending().take(most(max)?).map(|event| wire(&event)));
        let batch = Object::new();
        value::set(&batch, "kept", &self.state.bounds().level.name().into());
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

    /// The numbers of a namespace as lists, from which `pkg/src/aggregator/report.js` makes the form of GET /v0/analytics.
    ///
    /// `[users, counters]`, a counter being `[name, count, sum, goal, weeks]` with undefined where there is no sum or goal;
    /// `goal` is `[combinations, other, single]`. Combinations, single counts and weeks come as `key, count, key, count…`,
    /// where the key of a combination is the list of its events' names, and that of a week is its text.
    ///
    /// # Errors
    /// When `namespace` is not a text.
    pub fn numbers(&self, namespace: &JsValue) -> Result<Array, Error> {
        let namespace = value::text(namespace, "namespace")?;
        let Some((report, names)) = self.state.report(namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)) else {
            return Ok(Array::of2(&0.into(), &Array::new()));
        };
        let name = |event: u32| names.get(event as usize).map_or(JsValue::UNDEFINED, JsValue::from);
        let counters = Array::new();
        for counter in &report.counters {
            let goal = counter.goal.as_ref().map_or(JsValue::UNDEFINED, |goal| {
                let combinations =
                    counts(goal.combinations.iter(), |combination| list(combination.events().map(name)).into());
                let single = counts(goal.single.iter(), |&event| name(event));
                Array::of3(&combinations, &(goal.other as f64).into(), &single).into()
            });
            let weeks = counts(counter.weeks.iter().filter(|_| self.weekly), |week| week.to_string().into());
            let sum = counter.sum.map_or(JsValue::UNDEFINED, |sum| sum.value().into());
            counters.push(&Array::of5(&name(counter.event), &(counter.count as f64).into(), &sum, &goal, &weeks));
        }
        Ok(Array::of2(&(report.users as f64).into(), &counters))
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
        Ok(Self { state, weekly, ids: Ids::new() })
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

impl Ids {
    fn new() -> Self {
        Self { key: random().ok().map(|key| LocalKey::new(&key)), made: 0 }
    }

    fn next(&mut self) -> Option<[u8; 8]> {
        self.made += 1;
        let key = self.key.as_ref()?;
        Some(key.unlink().fingerprint(UserKey::from_bytes([0; 16]), self.made).to_le_bytes())
    }
}

/// An id as a text: 64 bits in 11 digits of the alphabet of base64url, the lowest first.
fn text_of(id: [u8; 8]) -> JsValue {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u64::from_le_bytes(id);
    let mut text = String::new();
    for place in 0..11 {
        let digit = (bits >> (6 * place)) as usize & 63;
        text.push_str(DIGITS.get(digit..=digit).unwrap_or_default());
    }
    text.into()
}

fn told(news: News) -> JsValue {
    match news {
        News::Repeat => JsValue::FALSE,
        News::Order => "order".into(),
        News::First => "first".into(),
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
    getrandom::fill(&mut bytes)
        .map_err(|_| Error::new("there is no randomness here; a Worker has none outside of requests"))?;
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
        let wanted = given.get("preAggregate")?;
        if wanted.as_bool() == Some(false) {
            bounds.passes_repeats = true;
        } else if let Some(level) = value::text(&wanted, "preAggregate")? {
            let must = "must be \"order\", \"day\", \"week\" or false";
            bounds.level = Level::named(&level).ok_or_else(|| wrong("preAggregate", must))?;
        }
        Ok(Self { bounds, weekly: given.flag("weekly")?, key: given.bytes("key")? })
    }
}

/// A list of values. `Array` collects them with far more code.
fn list(values: impl Iterator<Item = JsValue>) -> Array {
    let list = Array::new();
    for value in values {
        list.push(&value);
    }
    list
}

/// `key, count, key, count…`
fn counts<'a, K: 'a>(entries: impl Iterator<Item = (&'a K, &'a u64)>, show: impl Fn(&K) -> JsValue) -> Array {
    let list = Array::new();
    for (key, &count) in entries {
        list.push(&show(key));
        list.push(&(count as f64).into());
    }
    list
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
    if let Some(id) = event.id {
        value::set(&wire, "id", &text_of(id));
    }
    wire.into()
}
