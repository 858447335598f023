//! The body of POST /v0/analytics, read event by event, so that whoever reads a large one can do something else in between.
//!
//! Only what is around the events is read here: `{"events": [` and the like. Keys, values and events are serde's.

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny};

use super::batch::{Batch, BatchBuilder};
use super::event::{Event, FIELDS, Fields, add_event};
use super::scalar::Scalar;
use super::{BadRequest, Fault, Level, text};
use crate::core::identity::Keys;
use crate::core::settings::limits::RequestLimits;

/// Reads a body of events: one event, `{"events": […]}`, or a bare list.
///
/// # Example
/// ```
/// use kimball_edge::core::{identity::Keys, requests::EventReader, settings::limits::RequestLimits};
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let body = br#"[{"event_name": "Login", "user_id": "ann"}, {"event_name": "Login", "user_id": 7}]"#;
/// let keys = Keys::new(&[0; 32]);
/// let mut reader = EventReader::new(body, &keys, &limits).unwrap();
/// while reader.step(40).unwrap() {
///     // Something else can be done in between.
/// }
/// assert_eq!(reader.finish().events(), 2);
/// ```
pub struct EventReader<'a> {
    text: &'a str,
    /// Bytes of it that were read.
    at: usize,
    place: Place,
    /// What of an event stands in the object that the body is, and whether that holds events.
    fields: Fields<'a>,
    events: Events,
    limits: &'a RequestLimits,
    batch: BatchBuilder<'a>,
}

/// Where in the body the next thing stands.
#[derive(Clone, Copy)]
enum Place {
    Body,
    /// A member of the object that the body is.
    Member {
        is_first: bool,
    },
    /// The event of this number, in a list that is the body or is in an object.
    Event {
        index: usize,
        in_object: bool,
    },
    /// After everything.
    End,
}

/// What an object has of events.
#[derive(Clone, Copy, PartialEq)]
enum Events {
    Absent,
    Null,
    Listed,
}

impl<'a> EventReader<'a> {
    /// Begins to read a body.
    ///
    /// # Errors
    /// When it is empty or not UTF-8.
    pub fn new(body: &'a [u8], keys: &'a Keys, limits: &'a RequestLimits) -> Result<Self, BadRequest> {
        Ok(Self {
            text: text(body)?,
            at: 0,
            place: Place::Body,
            fields: Fields::default(),
            events: Events::Absent,
            limits,
            batch: BatchBuilder::new(keys, limits),
        })
    }

    /// Reads on, for so many bytes and whatever more the event has that they end in. Answers whether there is more.
    ///
    /// # Errors
    /// [`BadRequest`] for the first thing that is wrong.
    pub fn step(&mut self, bytes: usize) -> Result<bool, BadRequest> {
        let until = self.at.saturating_add(bytes);
        while self.at < until {
            self.skip_space();
            self.place = match self.place {
                Place::Body => self.read_body()?,
                Place::Member { is_first } => self.read_member(is_first)?,
                Place::Event { index, in_object } => self.read_event(index, in_object)?,
                Place::End if self.at == self.text.len() => return Ok(false),
                Place::End => return Err(self.wrong("trailing characters")),
            };
        }
        Ok(true)
    }

    /// The batch, once all was read.
    #[must_use]
    pub fn finish(self) -> Batch {
        self.batch.finish()
    }

    fn read_body(&mut self) -> Result<Place, BadRequest> {
        if self.skip(b'[') {
            return Ok(Place::Event { index: 0, in_object: false });
        }
        if self.skip(b'{') {
            return Ok(Place::Member { is_first: true });
        }
        self.refuse_value(None, "must be an event, a list of events, or an object with `events`")
    }

    fn read_member(&mut self, is_first: bool) -> Result<Place, BadRequest> {
        if self.skip(b'}') {
            let fields = std::mem::take(&mut self.fields);
            if self.events == Events::Listed {
                nothing_beside(&fields)?;
            } else {
                add_event(&mut self.batch, &fields, None, self.limits)?;
            }
            return Ok(Place::End);
        }
        if !is_first {
            self.expect(b',', "expected `,` or `}`")?;
        }
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected a name in quotes"));
        }
        let name = self.value::<Scalar<'a>>()?;
        self.expect(b':', "expected `:`")?;
        if name == Scalar::Text("kept".into()) {
            self.read_kept()?;
            return Ok(Place::Member { is_first: false });
        }
        if name != Scalar::Text("events".into()) {
            let value = self.value()?;
            self.fields.set(FIELDS, &name, value);
            return Ok(Place::Member { is_first: false });
        }
        if self.events != Events::Absent {
            return Err(invalid(None, "must not come twice"));
        }
        if self.skip(b'[') {
            self.events = Events::Listed;
            return Ok(Place::Event { index: 0, in_object: true });
        }
        if self.peek() != Some(b'n') {
            return self.refuse_value(None, "must be a list of events");
        }
        self.value::<()>()?;
        self.events = Events::Null;
        Ok(Place::Member { is_first: false })
    }

    /// Reads what the sender kept of its events.
    fn read_kept(&mut self) -> Result<(), BadRequest> {
        let refused = |must| BadRequest::Field { index: None, field: "kept", fault: Fault::Invalid(must) };
        let kept = match self.value::<Scalar<'a>>()? {
            Scalar::Absent => return Ok(()),
            Scalar::Text(kept) => Level::named(&kept),
            _ => None,
        };
        let kept = kept.ok_or_else(|| refused("must be \"week\", \"day\" or \"order\""))?;
        match self.batch.kept.replace(kept) {
            Some(_) => Err(refused("must not come twice")),
            None => Ok(()),
        }
    }

    fn read_event(&mut self, index: usize, in_object: bool) -> Result<Place, BadRequest> {
        if self.skip(b']') {
            return Ok(if in_object { Place::Member { is_first: false } } else { Place::End });
        }
        if index > 0 {
            self.expect(b',', "expected `,` or `]`")?;
        }
        if self.peek() != Some(b'{') {
            return self.refuse_value(Some(index), "must hold objects only");
        }
        let limit = self.limits.batch_events;
        if index as u64 >= limit {
            return Err(BadRequest::TooManyEvents { limit });
        }
        let mut event = Event::default();
        self.event(&mut event)?;
        if event.has_events {
            return Err(invalid(Some(index), "must not stand in an event"));
        }
        add_event(&mut self.batch, &event.fields, Some(index), self.limits)?;
        Ok(Place::Event { index: index + 1, in_object })
    }

    /// Refuses the value that stands here: it is of the wrong type, or not JSON.
    fn refuse_value<T>(&mut self, index: Option<usize>, must: &'static str) -> Result<T, BadRequest> {
        if matches!(self.peek(), Some(b'{' | b'[')) {
            return Err(invalid(index, must));
        }
        self.value::<Scalar<'a>>().and_then(|_| Err(invalid(index, must)))
    }

    /// Reads the event that begins here.
    fn event(&mut self, event: &mut Event<'a>) -> Result<(), BadRequest> {
        let mut json = serde_json::Deserializer::from_str(self.rest());
        event.deserialize(&mut json).map_err(|error| self.broken_at(&error))?;
        self.at += json.into_iter::<IgnoredAny>().byte_offset();
        Ok(())
    }

    /// Reads a value.
    fn value<T: Deserialize<'a>>(&mut self) -> Result<T, BadRequest> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            Some(Err(error)) => Err(self.broken_at(&error)),
            None => Err(self.wrong("expected value")),
        }
    }

    /// What is not read yet.
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Says where in the body what serde says of the rest of it is.
    fn broken_at(&self, error: &serde_json::Error) -> BadRequest {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        let (line, column) = self.position();
        let column = if error.line() == 1 { column + error.column() } else { error.column() };
        broken(what, line + error.line() - 1, column)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Skips this character, if it stands here.
    fn skip(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    /// Skips this character, and the space around it.
    fn expect(&mut self, wanted: u8, what: &str) -> Result<(), BadRequest> {
        self.skip_space();
        if !self.skip(wanted) {
            return Err(self.wrong(what));
        }
        self.skip_space();
        Ok(())
    }

    /// Says that what stands here is not JSON, as serde says it.
    fn wrong(&self, what: &str) -> BadRequest {
        let (line, column) = self.position();
        match self.peek() {
            Some(_) => broken(what, line, column + 1),
            None => broken("the body ends too early", line, column),
        }
    }

    /// The line, from 1 on, and the bytes of it that were read.
    fn position(&self) -> (usize, usize) {
        let before = self.text.get(..self.at).unwrap_or_default();
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before.len() - begin)
    }
}

/// Refuses what makes an event of the object that holds `events`: either it or they would be lost.
fn nothing_beside(fields: &Fields<'_>) -> Result<(), BadRequest> {
    fields.refuse_duplicates(None)?;
    match FIELDS.iter().zip(&fields.values).find(|(_, value)| **value != Scalar::Absent) {
        Some((field, _)) => {
            Err(BadRequest::Field { index: None, field, fault: Fault::Invalid("must not come together with `events`") })
        }
        None => Ok(()),
    }
}

fn invalid(index: Option<usize>, must: &'static str) -> BadRequest {
    BadRequest::Field { index, field: "events", fault: Fault::Invalid(must) }
}

fn broken(what: &str, line: usize, column: usize) -> BadRequest {
    BadRequest::Json(format!("{what} at line {line} column {column}"))
}
