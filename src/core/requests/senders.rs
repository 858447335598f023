//! Bodies of the SDKs that others have: Segment's and what speaks like it, `PostHog`'s.
//!
//! One extractor under all of them takes who, what, when and how much; everything else that they send (addresses, agents, properties,
//! traits, contexts) is skipped while it is parsed. An event that cannot be counted is left out by itself, because what these SDKs do about
//! a refused batch is to drop all of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::batch::{Batch, BatchBuilder, NewEvent};
use super::name::check_new_name;
use super::scalar::{Key, Scalar};
use super::{BadRequest, Fault, check_user_id, check_value, text, time_of};
use crate::core::identity::Keys;
use crate::core::periods::day::Day;
use crate::core::settings::limits::{RequestLimits, SENDER_SKEW_S};

/// Whose words a body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Segment's, which `RudderStack` and others speak too.
    Segment,
    /// `PostHog`'s.
    PostHog,
}

/// How bodies are read.
#[derive(Debug, Clone, Copy)]
pub struct SenderOptions<'a> {
    /// Whose words they are in.
    pub dialect: Dialect,
    /// What an event without a `type` is: the last part of the path it was sent to.
    pub kind: &'a str,
    /// The namespace that they count in.
    pub namespace: &'a str,
    /// The present time, in Unix seconds.
    pub now_s: i64,
    /// Whether pages and screens that were looked at are events.
    pub counts_pages: bool,
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The events that can be counted.
    pub batch: Batch,
    /// Those that cannot, with what is wrong.
    pub refused: Vec<BadRequest>,
    /// The credential in the body, if there is one.
    pub credential: Option<String>,
}

/// Members of a call, or of the body around several.
const MEMBERS: [&str; 16] = [
    "type",
    "event",
    "userId",
    "anonymousId",
    "distinct_id",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "sent_at",
    "name",
    "writeKey",
    "api_key",
    "token",
    "messageId",
    "properties",
    "batch",
];
const PROPERTIES: [&str; 6] = ["distinct_id", "token", "value", "revenue", "name", "$screen_name"];
const PROPERTIES_AT: usize = MEMBERS.len() - 2;
const BATCH_AT: usize = MEMBERS.len() - 1;

/// A call as it was read.
#[derive(Default)]
struct Call<'a> {
    members: [Scalar<'a>; PROPERTIES_AT],
    properties: [Scalar<'a>; PROPERTIES.len()],
    /// Whether it holds others.
    batch: Option<List<'a>>,
    calls_max: u64,
}

/// What of a call is kept until the body around it was read.
struct Kept<'a> {
    kind: Cow<'a, str>,
    event: Scalar<'a>,
    page: Scalar<'a>,
    user: Scalar<'a>,
    value: Option<f64>,
    time: Scalar<'a>,
    sent: Scalar<'a>,
}

/// The calls of a list, of which there are no more than may be.
#[derive(Default)]
struct List<'a> {
    calls: Vec<Option<Kept<'a>>>,
    credential: Option<String>,
    calls_max: u64,
    has_more: bool,
}

/// Reads a body.
///
/// # Errors
/// [`BadRequest`] where it is no JSON, no object or list, or has more events than a batch may have.
///
/// # Example
/// ```
/// use kimball_edge::core::{identity::Keys, requests::{Dialect, SenderOptions, parse_sent}, settings::limits::RequestLimits};
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let options = SenderOptions { dialect: Dialect::Segment, kind: "batch", namespace: "default", now_s: 0, counts_pages: false };
/// let body = br#"{"batch": [{"type": "track", "event": "Buy", "userId": "ann", "properties": {"revenue": 9.5}}, {"type": "identify"}], "writeKey": "w"}"#;
/// let sent = parse_sent(body, options, &Keys::new(&[0; 32]), &limits).unwrap();
/// assert_eq!((sent.batch.events(), sent.credential.as_deref()), (1, Some("w")));
/// ```
pub fn parse_sent(
    body: &[u8],
    options: SenderOptions<'_>,
    keys: &Keys,
    limits: &RequestLimits,
) -> Result<Sent, BadRequest> {
    let text = text(body)?;
    let calls_max = limits.batch_events;
    let mut json = serde_json::Deserializer::from_str(text);
    let mut whole = Call { calls_max, ..Call::default() };
    let mut list = List { calls_max, ..List::default() };
    let is_list = text.trim_ascii_start().starts_with('[');
    let read =
        if is_list { Lenient(&mut list).deserialize(&mut json) } else { Lenient(&mut whole).deserialize(&mut json) };
    let is_read =
        read.and_then(|is_read| json.end().map(|()| is_read)).map_err(|error| BadRequest::Json(error.to_string()))?;
    if !is_read {
        return Err(BadRequest::Json("must be an object or a list of objects".into()));
    }
    let mut credential = whole.credential();
    let sent = whole.text_of("sentAt").or(whole.text_of("sent_at")).map(str::to_owned);
    if let Some(inner) = whole.batch.take() {
        list = inner;
    } else if !is_list {
        list.calls.push(Some(Kept::of(&whole)));
    }
    if list.has_more {
        return Err(BadRequest::TooManyEvents { limit: calls_max });
    }
    credential = credential.or(list.credential.take());
    let mut batch = BatchBuilder::new(keys, limits);
    let mut refused = Vec::new();
    for (index, call) in list.calls.iter().enumerate() {
        let Some(call) = call else {
            refused.push(wrong(index, "event", Fault::Invalid("must be an object")));
            continue;
        };
        match call.add(index, sent.as_deref(), options, limits, &mut batch) {
            Ok(()) => {}
            Err(bad @ BadRequest::Field { .. }) => refused.push(bad),
            Err(bad) => return Err(bad),
        }
    }
    Ok(Sent { batch: batch.finish(), refused, credential })
}

const fn wrong(index: usize, field: &'static str, fault: Fault) -> BadRequest {
    BadRequest::Field { index: Some(index), field, fault }
}

impl<'a> Call<'a> {
    fn member(&self, name: &str) -> &Scalar<'a> {
        let at = MEMBERS.iter().position(|member| *member == name);
        at.and_then(|at| self.members.get(at)).unwrap_or(&Scalar::Absent)
    }

    fn property(&self, name: &str) -> &Scalar<'a> {
        let at = PROPERTIES.iter().position(|member| *member == name);
        at.and_then(|at| self.properties.get(at)).unwrap_or(&Scalar::Absent)
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        text_in(self.member(name))
    }

    fn credential(&self) -> Option<String> {
        let members = ["writeKey", "api_key", "token"].map(|name| self.member(name));
        members.into_iter().chain([self.property("token")]).find_map(text_in).map(str::to_owned)
    }
}

impl<'a> Kept<'a> {
    fn of(call: &Call<'a>) -> Self {
        let first = |found: &[&Scalar<'a>]| {
            found.iter().find(|value| is_said(value)).map_or(Scalar::Absent, |&value| value.clone())
        };
        let user = first(&[
            call.member("userId"),
            call.member("anonymousId"),
            call.member("distinct_id"),
            call.property("distinct_id"),
        ]);
        let page = first(&[call.member("name"), call.property("name"), call.property("$screen_name")]);
        let time = first(&[call.member("timestamp"), call.member("originalTimestamp")]);
        let sent = first(&[call.member("sentAt"), call.member("sent_at")]);
        let value = number(call.property("value")).or_else(|| number(call.property("revenue")));
        let kind = match call.member("type") {
            Scalar::Text(kind) => kind.clone(),
            _ => Cow::Borrowed(""),
        };
        Self { kind, event: call.member("event").clone(), page, user, value, time, sent }
    }

    /// Adds it to a batch, if it is an event.
    fn add(
        &self,
        index: usize,
        sent: Option<&str>,
        options: SenderOptions<'_>,
        limits: &RequestLimits,
        batch: &mut BatchBuilder<'_>,
    ) -> Result<(), BadRequest> {
        let Some(name) = self.name(index, options)? else {
            return Ok(());
        };
        let name = check_new_name(&name, limits.name_bytes).map_err(|fault| wrong(index, "event", fault))?;
        let user_id: Cow<'_, str> = match &self.user {
            Scalar::Text(user) => Cow::Borrowed(user),
            Scalar::Integer(user) => user.to_string().into(),
            _ => return Err(wrong(index, "userId", Fault::Missing)),
        };
        check_user_id(&user_id, limits.name_bytes).map_err(|fault| wrong(index, "userId", fault))?;
        self.value.map_or(Ok(()), check_value).map_err(|fault| wrong(index, "value", fault))?;
        let day = match &self.time {
            Scalar::Absent => None,
            Scalar::Text(time) => {
                let sent = text_in(&self.sent).or(sent).and_then(unix_s);
                let time = unix_s(time).ok_or_else(|| wrong(index, "timestamp", Fault::Invalid(MUST_BE_TIME)))?;
                Some(Day::of_unix_s(corrected(time, sent, options.now_s)))
            }
            _ => return Err(wrong(index, "timestamp", Fault::Invalid(MUST_BE_TIME))),
        };
        let namespace = options.namespace;
        let index = index as u32;
        let value = self.value;
        batch.add(&NewEvent { namespace, name, user_id: &user_id, index, value, ensure_goal: false, day })
    }

    /// The name of the event that it is; `None` where it is none.
    fn name(&self, index: usize, options: SenderOptions<'_>) -> Result<Option<Cow<'_, str>>, BadRequest> {
        let event = || match &self.event {
            Scalar::Text(name) if !name.is_empty() => Ok(Cow::Borrowed(name.as_ref())),
            Scalar::Absent | Scalar::Text(_) => Err(wrong(index, "event", Fault::Missing)),
            _ => Err(wrong(index, "event", Fault::Invalid("must be a string"))),
        };
        let looked_at = |what: &str| match text_in(&self.page) {
            Some(name) => Cow::Owned(format!("{what} {name}")),
            None => Cow::Owned(what.to_owned()),
        };
        let page = |what| Ok(options.counts_pages.then(|| looked_at(what)));
        match options.dialect {
            Dialect::Segment => match if self.kind.is_empty() { options.kind } else { &self.kind } {
                "track" | "t" => event().map(Some),
                "page" | "p" => page("Page"),
                "screen" | "s" => page("Screen"),
                "batch" | "import" if self.kind.is_empty() => event().map(Some),
                // Who somebody is, and of which group, is nothing that is counted here.
                _ => Ok(None),
            },
            Dialect::PostHog => match event()?.as_ref() {
                "$pageview" => page("Page"),
                "$screen" => page("Screen"),
                // What the SDKs send of themselves.
                name if name.starts_with('$') => Ok(None),
                _ => event().map(Some),
            },
        }
    }
}

const MUST_BE_TIME: &str = "must be an RFC 3339 date and time";

fn text_in<'s>(value: &'s Scalar<'_>) -> Option<&'s str> {
    match value {
        Scalar::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn is_said(value: &Scalar<'_>) -> bool {
    !matches!(value, Scalar::Absent) && !matches!(value, Scalar::Text(text) if text.is_empty())
}

const fn number(value: &Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Integer(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        _ => None,
    }
}

fn unix_s(time: &str) -> Option<i64> {
    time_of(time).map(|time| time.timestamp())
}

/// A time by a clock that read `sent` when the present was: less than a minute between them is the way here, more of it a clock that is
/// wrong.
const fn corrected(time: i64, sent: Option<i64>, now_s: i64) -> i64 {
    match sent {
        Some(sent) if now_s.abs_diff(sent) > SENDER_SKEW_S => time.saturating_add(now_s.saturating_sub(sent)),
        _ => time,
    }
}

/// What can be filled from JSON of one form; anything else there is skipped.
trait Fill<'de> {
    fn object<A: MapAccess<'de>>(&mut self, map: A) -> Result<bool, A::Error>;

    fn list<A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

/// Fills it, and answers whether there was what fills it.
struct Lenient<'x, T>(&'x mut T);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Lenient<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fill<'de>> Visitor<'de> for Lenient<'_, T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        self.0.object(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        self.0.list(list)
    }
}

impl<'de> Fill<'de> for [Scalar<'de>; PROPERTIES.len()] {
    fn object<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
        while let Some(key) = map.next_key_seed(Key(&PROPERTIES))? {
            match key.and_then(|at| self.get_mut(at)) {
                Some(slot) => *slot = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(true)
    }
}

impl<'de> Fill<'de> for Call<'de> {
    fn object<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
        while let Some(key) = map.next_key_seed(Key(&MEMBERS))? {
            match key {
                Some(BATCH_AT) if self.calls_max > 0 => {
                    let mut list = List { calls_max: self.calls_max, ..List::default() };
                    if map.next_value_seed(Lenient(&mut list))? {
                        self.batch = Some(list);
                    }
                }
                Some(PROPERTIES_AT) => drop(map.next_value_seed(Lenient(&mut self.properties))?),
                key => match key.and_then(|at| self.members.get_mut(at)) {
                    Some(slot) => *slot = map.next_value()?,
                    None => drop(map.next_value::<IgnoredAny>()?),
                },
            }
        }
        Ok(true)
    }
}

impl<'de> Fill<'de> for List<'de> {
    fn object<A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn list<A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<bool, A::Error> {
        loop {
            if self.calls.len() as u64 >= self.calls_max {
                self.has_more = list.next_element::<IgnoredAny>()?.is_some();
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(true);
            }
            // Of what a call holds, a list of others is nothing.
            let mut call = Call::default();
            match list.next_element_seed(Lenient(&mut call))? {
                None => return Ok(true),
                Some(true) => {
                    if self.credential.is_none() {
                        self.credential = call.credential();
                    }
                    self.calls.push(Some(Kept::of(&call)));
                }
                Some(false) => self.calls.push(None),
            }
        }
    }
}
