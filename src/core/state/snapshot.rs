//! The snapshot of a shard: its state in sections that are stored and replaced one by one.
//!
//! A section is a [`crate::core::format::bytes::frame`] of kind `S`, version 1, 2 or 3, around
//!
//! | part | form |
//! |---|---|
//! | section number | LEB128: `0` the set of all users, `1 + n` the counter of event `n` |
//! | content | the user set, or the counter |
//!
//! Version 2 has what `COUNTERS` asks for: cohorts, and user sets with another number of fingerprint bits. What does
//! not need it is written as version 1. Version 3 has cohorts of which some have closed.
//!
//! Equal states have equal sections, whatever the order of events that led to them.

use super::aggregator::{Aggregator, Section};
use super::counter::Counter;
use crate::core::format::bytes::{Reader, check_version, close_frame, open_frame, put_varint, unframe};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

const KIND: u8 = b'S';
const VERSION_MAX: u8 = 3;

impl Section {
    /// The number under which the section is stored.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Users => 0,
            Self::Counter(event) => 1 + u64::from(event),
        }
    }
}

/// Encodes one section; `None` where the state has no such counter.
#[must_use]
pub fn encode(state: &Aggregator, section: Section) -> Option<Vec<u8>> {
    // Fingerprints take less as gaps than in a table, by a quarter at least where they are many.
    let bytes = match section {
        Section::Users => state.users().memory_bytes(),
        Section::Counter(event) => state.counter(event)?.memory_bytes(),
    };
    let mut out = open_frame(KIND, bytes / 4 * 3);
    put_varint(&mut out, section.number());
    let version = match section {
        Section::Users => {
            state.users().encode(&mut out);
            1
        }
        Section::Counter(event) => {
            let counter = state.counter(event)?;
            counter.encode(&mut out);
            counter.version()
        }
    };
    close_frame(version, &mut out);
    Some(out)
}

/// Puts one stored section into a state.
///
/// # Errors
/// [`Corrupt`] for anything that [`encode`] does not write, or a section that is there already.
pub fn decode(state: &mut Aggregator, bytes: &[u8]) -> Result<(), Corrupt> {
    put(state, bytes, |_| true)
}

/// Puts the section that is stored under a number into a state.
///
/// # Errors
/// As [`decode`], naming the section; [`Defect::Misfit`] where it has another number.
pub fn decode_stored(state: &mut Aggregator, number: u64, bytes: &[u8]) -> Result<(), Corrupt> {
    put(state, bytes, |found| found == number).map_err(|corrupt| in_section(corrupt, number))
}

fn put(state: &mut Aggregator, bytes: &[u8], is_expected: impl FnOnce(u64) -> bool) -> Result<(), Corrupt> {
    let mut reader = Reader::new(unframe(KIND, VERSION_MAX, bytes)?);
    let number = reader.varint_below(EVENTS_PER_NAMESPACE.max + 1).within("section number")?;
    if !is_expected(number) {
        return Err(Corrupt::new(Defect::Misfit).within("section number"));
    }
    match number.checked_sub(1) {
        None => {
            check_version(bytes, 1)?;
            state.restore_users(UserSet::decode(&mut reader, UserSet::FINGERPRINT_BITS)?)?;
        }
        Some(event) => {
            let counter = Counter::decode(&mut reader)?;
            check_version(bytes, counter.version())?;
            state.restore_counter(event as u32, counter)?;
        }
    }
    reader.end()
}

/// Names the section in which something is corrupt.
#[must_use]
pub fn in_section(corrupt: Corrupt, number: u64) -> Corrupt {
    match number.checked_sub(1) {
        None => corrupt.within_noted("section", number, "all users", None),
        event => corrupt.within_noted("section", number, "event", event),
    }
}

/// All sections of a state, in the order of their numbers.
#[must_use]
pub fn encode_all(state: &Aggregator) -> Vec<Vec<u8>> {
    std::iter::once(Section::Users)
        .chain(state.counters().map(|(event, _)| Section::Counter(event)))
        .filter_map(|section| encode(state, section))
        .collect()
}
