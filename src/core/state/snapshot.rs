//! The snapshot of a shard: its state in sections that are stored and replaced one by one.
//!
//! A section is a [`crate::core::format::bytes::frame`] of kind `S`, version 7 where it is about definitions, 5 where it is about periods, else 4, around
//!
//! | part | form |
//! |---|---|
//! | what | LEB128: `0` a set or a series, `1 + n` the counter of event `n` |
//! | content | of a set its kind (1 byte), the parts of its key, the bits of its fingerprints (1 byte) and the user set; of a series 31 (1 byte) and the series ([`super::all_series`]), of a grid 32 and the grid (`grids.rs`), of a definition 33 and the definition (`definitions/`); or the counter |
//!
//! It is stored under a number: that of the set's key ([`SetKey::number`]), `1 + n`, or of a series as if 31 was a kind of set and
//! its place an event; grids and definitions so, too. So counters come before the sets of events, and definitions are last.
//!
//! Versions 1 to 3 are read by [`super::snapshot_older`]. A counter held its sets in them; whatever is read of it counts as
//! changed, so that the next compaction stores it as sections of their own.
//!
//! Equal states have equal sections, whatever the order of events that led to them.

use super::aggregator::{Aggregator, Section};
use super::all_series::{self, StoredSeries};
use super::counter::Counter;
#[cfg(not(feature = "browser"))]
use super::definitions::Definition;
#[cfg(not(feature = "browser"))]
use super::grids::StoredGrid;
use super::set_key::{COUNTS_IN_PERIODS, SetKey};
use super::snapshot_older::{self, KIND, Section as Older, VERSION_MAX};
use crate::core::format::bytes::{Reader, check_version, close_frame, open_frame, put_varint, unframe, version_of};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

const VERSION: u8 = 7;
const VERSION_WITHOUT_DEFINITIONS: u8 = VERSION_MAX + 2;
const VERSION_WITHOUT_PERIODS: u8 = VERSION_MAX + 1;
const SET: u64 = 0;
const SERIES: u8 = 31;
const RETENTION: u8 = 32;
const DEFINITION: u8 = 33;

/// A part of a state, as it was stored.
pub enum Stored {
    /// The counter of an event.
    Counter(u32, Counter),
    /// A set of users.
    Set(SetKey, UserSet),
    /// A series.
    Series(StoredSeries),
    /// The numbers of a grid.
    #[cfg(not(feature = "browser"))]
    Grid(StoredGrid),
    /// A definition.
    #[cfg(not(feature = "browser"))]
    Definition(Definition),
}

impl Section {
    /// The number under which the section is stored.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Counter(event) => 1 + u64::from(event),
            Self::Set(set) => set.number(),
            Self::Series(place) => SetKey::number_of(SERIES, place as u32, 0),
            Self::Grid(number) => SetKey::number_of(RETENTION, number, 0),
            Self::Definition(number) => SetKey::number_of(DEFINITION, number, 0),
        }
    }

    /// The least version that has it.
    const fn version(self) -> u8 {
        match self {
            Self::Grid(_) | Self::Definition(_) => VERSION,
            Self::Set(set) if set.definition().is_some() => VERSION,
            Self::Series(_) => VERSION_WITHOUT_DEFINITIONS,
            Self::Set(set) if set.period().is_some() => VERSION_WITHOUT_DEFINITIONS,
            _ => VERSION_WITHOUT_PERIODS,
        }
    }
}

/// Encodes one section; `None` where the state has no such counter or set.
#[must_use]
pub fn encode(state: &Aggregator, section: Section) -> Option<Vec<u8>> {
    let mut out;
    match section {
        Section::Counter(event) => {
            let counter = state.counter(event)?;
            out = open_frame(KIND, counter.memory_bytes());
            put_varint(&mut out, section.number());
            counter.encode(&mut out);
        }
        Section::Set(set) => {
            let users = state.sets().get(set)?;
            // Fingerprints take less as gaps than in a table, by a quarter at least where they are many.
            out = open_frame(KIND, users.memory_bytes() / 4 * 3);
            put_varint(&mut out, SET);
            out.push(set.kind());
            set.encode_parts(&mut out);
            out.push(users.fingerprint_bits());
            users.encode(&mut out);
        }
        Section::Series(place) => {
            out = open_frame(KIND, 0);
            put_varint(&mut out, SET);
            out.push(SERIES);
            if !COUNTS_IN_PERIODS || !state.series().encode(place, &mut out) {
                return None;
            }
        }
        #[cfg(feature = "browser")]
        Section::Grid(_) | Section::Definition(_) => return None,
        #[cfg(not(feature = "browser"))]
        Section::Grid(number) => {
            out = open_frame(KIND, 0);
            put_varint(&mut out, SET);
            out.push(RETENTION);
            if !state.grids().encode(number, &mut out) {
                return None;
            }
        }
        #[cfg(not(feature = "browser"))]
        Section::Definition(number) => {
            out = open_frame(KIND, 0);
            put_varint(&mut out, SET);
            out.push(DEFINITION);
            state.definitions().get(number)?.encode(&mut out);
        }
    }
    close_frame(section.version(), &mut out);
    Some(out)
}

/// Reads a stored section: one part of a state, or of an earlier version a counter and its sets.
///
/// # Errors
/// [`Corrupt`] for anything that [`encode`] does not write, in this version or an earlier one.
pub fn read(bytes: &[u8]) -> Result<Vec<Stored>, Corrupt> {
    let mut reader = Reader::new(unframe(KIND, VERSION, bytes)?);
    if version_of(bytes) < VERSION_WITHOUT_PERIODS {
        let Older { counter, sets } = snapshot_older::read(bytes)?;
        let counter = counter.map(|(event, counter)| Stored::Counter(event, counter));
        return Ok(counter.into_iter().chain(sets.into_iter().map(|(set, users)| Stored::Set(set, users))).collect());
    }
    let what = reader.varint_below(EVENTS_PER_NAMESPACE.max + 1).within("section number")?;
    let stored = match what.checked_sub(1) {
        Some(event) => Stored::Counter(event as u32, Counter::decode(&mut reader)?),
        None => read_set(&mut reader)?,
    };
    reader.end()?;
    check_version(bytes, stored.section().version())?;
    Ok(vec![stored])
}

fn read_set(reader: &mut Reader<'_>) -> Result<Stored, Corrupt> {
    let kind = reader.u8().within("kind")?;
    if COUNTS_IN_PERIODS && kind == SERIES {
        return Ok(Stored::Series(StoredSeries::decode(reader).within("series")?));
    }
    #[cfg(not(feature = "browser"))]
    match kind {
        RETENTION => return Ok(Stored::Grid(StoredGrid::decode(reader).within("grid")?)),
        DEFINITION => return Ok(Stored::Definition(Definition::decode(reader).within("definition")?)),
        _ => {}
    }
    let set = SetKey::decode_parts(kind, reader)?;
    let bits = reader.u8().within("fingerprint bits")?;
    let users = UserSet::decode(reader, bits)?;
    if users.is_empty() {
        return Err(Corrupt::new(Defect::Range).within("user set"));
    }
    Ok(Stored::Set(set, users))
}

/// Puts one stored section into a state, in the order of [`encode_all`].
///
/// # Errors
/// As [`read`], or when what it holds is there already, or does not fit.
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
    let parts = read(bytes)?;
    let number = parts.first().map_or(0, |part| part.section().number());
    if !is_expected(number) {
        return Err(Corrupt::new(Defect::Misfit).within("section number"));
    }
    let is_stored = version_of(bytes) >= VERSION_WITHOUT_PERIODS || number == SetKey::AllUsers.number();
    for part in parts {
        match part {
            Stored::Counter(event, counter) => state.restore_counter(event, counter, is_stored)?,
            Stored::Set(set, users) => state.restore_set(set, users, is_stored)?,
            #[cfg(not(feature = "browser"))]
            Stored::Series(series) => state.restore_series(series)?,
            #[cfg(not(feature = "browser"))]
            Stored::Grid(grid) => state.restore_grid(grid)?,
            #[cfg(not(feature = "browser"))]
            Stored::Definition(definition) => state.restore_definition(definition)?,
            #[cfg(feature = "browser")]
            Stored::Series(_) => return Err(Corrupt::new(Defect::Unknown)),
        }
    }
    Ok(())
}

impl Stored {
    fn section(&self) -> Section {
        match self {
            Self::Series(series) => Section::Series(all_series::place(series.event)),
            Self::Counter(event, _) => Section::Counter(*event),
            Self::Set(set, _) => Section::Set(*set),
            #[cfg(not(feature = "browser"))]
            Self::Grid(grid) => Section::Grid(grid.number),
            #[cfg(not(feature = "browser"))]
            Self::Definition(definition) => Section::Definition(definition.number),
        }
    }
}

/// Names the section in which something is corrupt.
#[must_use]
pub fn in_section(corrupt: Corrupt, number: u64) -> Corrupt {
    match (SetKey::parts_of_number(number), number.checked_sub(1)) {
        ((0, _), None) => corrupt.within_noted("section", number, SetKey::noun(0), None),
        ((0, _), event) => corrupt.within_noted("section", number, "event", event),
        ((SERIES, place), _) => match all_series::event_of(place as usize) {
            Some(event) => corrupt.within_noted("section", number, "series of event", Some(event.into())),
            None => corrupt.within_noted("section", number, "series", None),
        },
        ((RETENTION, number), _) => corrupt.within_noted("section", number, "grid", None),
        ((DEFINITION, number), _) => corrupt.within_noted("section", number, "definition", None),
        ((kind, event), _) => corrupt.within_noted("set of kind", kind.into(), SetKey::noun(kind), Some(event)),
    }
}

/// All sections of a state: counters, then sets, then series, each by event, then grids and definitions.
#[must_use]
pub fn encode_all(state: &Aggregator) -> Vec<Vec<u8>> {
    let counters = state.counters().map(|(event, _)| Section::Counter(event));
    let sets = state.sets().iter().map(|(set, _)| Section::Set(set));
    let series = state.series().places().map(Section::Series);
    #[cfg(not(feature = "browser"))]
    let series = series
        .chain(state.grids().numbers().map(Section::Grid))
        .chain(state.definitions().iter().map(|definition| Section::Definition(definition.number)));
    counters.chain(sets).chain(series).filter_map(|section| encode(state, section)).collect()
}
