//! The events that were passed on and wait to be drained: a queue of encoded events, bounded in bytes.
//!
//! | part of an event | form |
//! |---|---|
//! | flags | 1 byte: 1 has a namespace other than the default one, 2 has a value, 4 makes a goal, 8 has an id |
//! | day | LEB128: days since 1 January of year 0 |
//! | event, user, namespace if flagged | LEB128 number of bytes, then UTF-8 |
//! | value, id | 8 bytes each, if flagged |

use super::event::Event;
use crate::core::format::bytes::{Reader, flags_of, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::requests::DEFAULT_NAMESPACE;

/// Encoded events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    len: usize,
}

const HAS_NAMESPACE: u8 = 1;
const HAS_VALUE: u8 = 2;
const ENSURES_GOAL: u8 = 4;
const HAS_ID: u8 = 8;

impl Pending {
    /// No events.
    pub(super) const NONE: Self = Self { bytes: Vec::new(), len: 0 };

    /// Events in the queue.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Adds an event at the end; false, and nothing done, where the queue would pass `bytes_max`.
    pub(super) fn push(&mut self, event: &Event<'_>, bytes_max: usize) -> bool {
        let before = self.bytes.len();
        put(&mut self.bytes, event);
        if self.bytes.len() > bytes_max {
            self.bytes.truncate(before);
            return false;
        }
        self.len += 1;
        true
    }

    /// The events, oldest first.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { reader: Reader::new(&self.bytes) }
    }

    /// Takes the oldest `count` events out.
    pub(super) fn remove(&mut self, count: usize) {
        let mut rest = self.iter();
        let removed = rest.by_ref().take(count).count();
        let kept = rest.reader.len();
        self.bytes.drain(..self.bytes.len() - kept);
        self.len -= removed;
    }

    /// Appends the encoding: the events, until the end.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }

    /// Reads encoded events until the end.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Self::push`] does not write.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let bytes = reader.slice(reader.len())?;
        let (mut check, mut len) = (Reader::new(bytes), 0);
        while !check.is_empty() {
            let event = get(&mut check).within_nth("pending event", len as u64)?;
            if !event.is_possible() {
                return Err(Corrupt::new(Defect::Range).within_nth("pending event", len as u64));
            }
            len += 1;
        }
        Ok(Self { bytes: bytes.to_vec(), len })
    }
}

/// Reads the queue from its oldest event.
pub(super) struct Iter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        // Fails at the end only: everything in the queue was written here or checked.
        get(&mut self.reader).ok()
    }
}

fn put(out: &mut Vec<u8>, event: &Event<'_>) {
    let has_namespace = event.namespace != DEFAULT_NAMESPACE;
    out.push(flags_of([
        (HAS_NAMESPACE, has_namespace),
        (HAS_VALUE, event.value.is_some()),
        (ENSURES_GOAL, event.ensure_goal),
        (HAS_ID, event.id.is_some()),
    ]));
    put_varint(out, u64::from(event.day.number()));
    put_text(out, event.event);
    put_text(out, event.user);
    if has_namespace {
        put_text(out, event.namespace);
    }
    if let Some(value) = event.value {
        out.extend_from_slice(&value.to_le_bytes());
    }
    if let Some(id) = event.id {
        out.extend_from_slice(&id);
    }
}

fn get<'a>(reader: &mut Reader<'a>) -> Result<Event<'a>, Corrupt> {
    let flags = reader.u8().within("flags")?;
    if flags & !(HAS_NAMESPACE | HAS_VALUE | ENSURES_GOAL | HAS_ID) != 0 {
        return Err(Corrupt::new(Defect::Range).within("flags"));
    }
    let day = Day::of_number(reader.varint().within("day")?);
    let day = day.ok_or_else(|| Corrupt::new(Defect::Range).within("day"))?;
    let mut event = Event::new(get_text(reader).within("event")?, get_text(reader).within("user")?, day);
    event.ensure_goal = flags & ENSURES_GOAL != 0;
    if flags & HAS_NAMESPACE != 0 {
        event.namespace = get_text(reader).within("namespace")?;
        if event.namespace == DEFAULT_NAMESPACE {
            return Err(Corrupt::new(Defect::Form).within("namespace"));
        }
    }
    if flags & HAS_VALUE != 0 {
        event.value = Some(reader.f64().within("value")?);
    }
    if flags & HAS_ID != 0 {
        event.id = Some(reader.array().within("id")?);
    }
    Ok(event)
}

/// Appends a text: its number of bytes as LEB128, then its UTF-8.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads a text.
pub(super) fn get_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Corrupt> {
    std::str::from_utf8(get_bytes(reader)?).map_err(|_| Corrupt::new(Defect::Text))
}

/// Reads bytes behind their number.
pub(super) fn get_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Corrupt> {
    let len = reader.varint()?;
    reader.slice(usize::try_from(len).unwrap_or(usize::MAX))
}
