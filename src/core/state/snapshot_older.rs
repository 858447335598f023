//! Sections of versions 1 to 3, in which a counter held its sets.
//!
//! Shards read them for ever. Pages write them still: they store everything at once, and a section for each event is less than
//! one for each set.
//!
//! | part | form |
//! |---|---|
//! | section number | LEB128: `0` the set of all users, `1 + n` the counter of event `n` |
//! | of all users | the user set |
//! | of a counter: tag | 8 bytes |
//! | flags | 1 byte: 1 has a sum, 2 is a goal; since version 2: 4 has its own number of fingerprint bits, 8 has weeks; since version 3: 16 some of them have closed |
//! | fingerprint bits | 1 byte, if flag 4 |
//! | users | the user set |
//! | sum, goal record | if flagged |
//! | weeks | if flag 8: their number (LEB128), each with its stored number and its user set, ascending; if flag 16, what is left of closed ones |
//!
//! A section was written as the least version that has everything in it.

use super::aggregator::Aggregator;
use super::counter::{Counter, HAS_CLOSED};
use super::set_key::SetKey;
use crate::core::format::bytes::{Reader, close_frame, open_frame, put_varint, unframe, version_of};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::week::Week;
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

pub(super) const KIND: u8 = b'S';
pub(super) const VERSION_MAX: u8 = 3;
const HAS_WEEKS: u8 = 8;

/// A section: a counter with its sets, or the set of all users.
#[derive(Default)]
pub struct Section {
    /// The counter, and the number of its event.
    pub counter: Option<(u32, Counter)>,
    /// The sets, ascending.
    pub sets: Vec<(SetKey, UserSet)>,
}

/// Encodes all sections of the state of a page.
#[must_use]
pub fn encode_all(state: &Aggregator) -> Vec<Vec<u8>> {
    let mut all_users = open_frame(KIND, 0);
    put_varint(&mut all_users, 0);
    put_set(&mut all_users, state, SetKey::AllUsers);
    close_frame(1, &mut all_users);
    let mut sections = vec![all_users];
    for (event, counter) in state.counters() {
        sections.push(encode_counter(state, event, counter));
    }
    sections
}

fn encode_counter(state: &Aggregator, event: u32, counter: &Counter) -> Vec<u8> {
    let weeks = state.sets().others(event).count() as u64;
    let mut out = open_frame(KIND, 0);
    put_varint(&mut out, 1 + u64::from(event));
    counter.encode_head(&mut out, if weeks > 0 { HAS_WEEKS } else { 0 });
    put_set(&mut out, state, SetKey::Event(event));
    counter.encode_counts(&mut out);
    if weeks > 0 {
        put_varint(&mut out, weeks);
        for (set, users) in state.sets().others(event) {
            if let SetKey::Week(_, week) = set {
                week.encode(&mut out);
                users.encode(&mut out);
            }
        }
    }
    close_frame(if weeks > 0 || counter.is_sized() { 2 } else { 1 }, &mut out);
    out
}

fn put_set(out: &mut Vec<u8>, state: &Aggregator, set: SetKey) {
    match state.sets().get(set) {
        Some(users) => users.encode(out),
        None => put_varint(out, 0),
    }
}

/// Reads a section.
///
/// # Errors
/// [`Corrupt`] for anything that those versions did not write.
pub fn read(bytes: &[u8]) -> Result<Section, Corrupt> {
    let mut reader = Reader::new(unframe(KIND, VERSION_MAX, bytes)?);
    let number = reader.varint_below(EVENTS_PER_NAMESPACE.max + 1).within("section number")?;
    let mut section = Section::default();
    let version = match number.checked_sub(1) {
        None => {
            section.sets.push((SetKey::AllUsers, UserSet::decode(&mut reader, UserSet::FINGERPRINT_BITS)?));
            1
        }
        Some(event) => section.read_counter(&mut reader, event as u32)?,
    };
    if version_of(bytes) != version {
        return Err(Corrupt::new(Defect::Form).within("version").within("frame"));
    }
    reader.end()?;
    Ok(section)
}

impl Section {
    /// Reads a counter, and answers the least version that has it.
    fn read_counter(&mut self, reader: &mut Reader<'_>, event: u32) -> Result<u8, Corrupt> {
        let (mut counter, flags) = Counter::decode_head(reader, HAS_WEEKS)?;
        self.sets.push((SetKey::Event(event), UserSet::decode(reader, counter.fingerprint_bits)?));
        counter.decode_counts(reader, flags)?;
        if flags & HAS_WEEKS != 0 {
            self.read_weeks(reader, event, &mut counter, flags).within("cohorts")?;
        } else if flags & HAS_CLOSED != 0 {
            return Err(Corrupt::new(Defect::Range).within("flags"));
        }
        let version = match flags & HAS_CLOSED {
            0 => 1 + u8::from(flags & HAS_WEEKS != 0 || counter.is_sized()),
            _ => 3,
        };
        self.counter = Some((event, counter));
        Ok(version)
    }

    fn read_weeks(
        &mut self,
        reader: &mut Reader<'_>,
        event: u32,
        counter: &mut Counter,
        flags: u8,
    ) -> Result<(), Corrupt> {
        for nth in 0..reader.varint().within("number of weeks")? {
            let week = SetKey::Week(event, Week::decode(reader).within("week number").within_nth("week", nth)?);
            let users = UserSet::decode(reader, counter.fingerprint_bits).within_nth("week", nth)?;
            if self.sets.last().is_some_and(|(last, _)| *last >= week) {
                return Err(Corrupt::new(Defect::Order).within("week number").within_nth("week", nth));
            }
            if users.is_empty() {
                return Err(Corrupt::new(Defect::Range));
            }
            self.sets.push((week, users));
        }
        counter.decode_closed(reader, flags)?;
        let is_empty = self.sets.len() == 1 && counter.closed.is_none();
        if is_empty { Err(Corrupt::new(Defect::Range)) } else { Ok(()) }
    }
}

/// Puts a section into a state.
///
/// # Errors
/// As [`read`], or when what it holds is there already, or does not fit.
pub fn decode(state: &mut Aggregator, bytes: &[u8]) -> Result<(), Corrupt> {
    let section = read(bytes)?;
    if let Some((event, counter)) = section.counter {
        state.restore_counter(event, counter, false)?;
    }
    for (set, users) in section.sets {
        state.restore_set(set, users, set == SetKey::AllUsers)?;
    }
    Ok(())
}
