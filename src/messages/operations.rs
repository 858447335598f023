//! The operations of a batch, as bytes that are carried out while they are read.
//!
//! | part of an operation | form |
//! |---|---|
//! | kind | 1 byte: `0` goal, `1 + flags` record (flags: 2 value, 4 counts in its week, 8 day) |
//! | event | LEB128, its position in the batch's list of events |
//! | user | 16 bytes, records only |
//! | value | 8 bytes, if flag 2 |
//! | day | LEB128, its stored number, if flag 8; else it is the present day |

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::format::bytes::{Reader, flags_of, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect};
use crate::core::identity::UserKey;
use crate::core::periods::day::Day;
use crate::core::periods::period::{Kept, Units};
use crate::core::periods::week::Week;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;
use crate::core::state::aggregator::Operation;
use crate::core::state::series::Occurrence;

const GOAL: u8 = 0;
const RECORD: u8 = 1;
const HAS_VALUE: u8 = 2;
const IS_WEEKLY: u8 = 4;
const HAS_DAY: u8 = 8;

/// An event that occurs in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EventEntry {
    /// Its number in the namespace.
    pub number: u32,
    /// The tag of its name.
    pub tag: u64,
    /// What a counter setting makes of its user set: unique users in this shard, and the false-positive rate.
    pub sizing: Option<(u64, f64)>,
    /// The series that it has.
    pub series: Series,
}

/// The series that an event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Series {
    /// Its units, as [`Units::bits`].
    pub units: u8,
    /// The number of the day from which on it has these; 0 from the beginning.
    pub since: u32,
    /// Its units before that.
    pub former: u8,
    /// The number of the day from which on it has had each unit without a gap; 0 from the beginning.
    pub begun: [u32; 3],
}

impl Series {
    /// Its units on a day: as [`Kept::on`], of every operation.
    const fn on(self, day: Day) -> Units {
        Units::of_bits(if self.since <= day.number() { self.units } else { self.former })
    }
}

impl From<Kept> for Series {
    fn from(Kept { units, since, former, begun }: Kept) -> Self {
        let number = |day: Option<Day>| day.map_or(0, Day::number);
        Self { units: units.bits(), since: number(since), former: former.bits(), begun: begun.map(number) }
    }
}

impl From<Series> for Kept {
    fn from(Series { units, since, former, begun }: Series) -> Self {
        let day = |number: u32| Day::of_number(number.into()).filter(|_| number > 0);
        Self { units: Units::of_bits(units), since: day(since), former: Units::of_bits(former), begun: begun.map(day) }
    }
}

/// The operations of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operations {
    bytes: Vec<u8>,
    len: usize,
    records: usize,
    /// More than every position in them.
    positions: usize,
}

impl Operations {
    /// Makes the event at this position of the list a goal.
    pub fn push_goal(&mut self, position: u32) {
        self.push(GOAL, position);
    }

    /// Records the event at this position of the list, on a day or on the present one; if it is weekly, in its week as well.
    pub fn push_record(&mut self, position: u32, user: UserKey, value: Option<f64>, is_weekly: bool, day: Option<Day>) {
        let flags = flags_of([(HAS_VALUE, value.is_some()), (IS_WEEKLY, is_weekly), (HAS_DAY, day.is_some())]);
        self.push(RECORD | flags, position);
        self.records += 1;
        self.bytes.extend_from_slice(&user.to_bytes());
        if let Some(value) = value {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
        if let Some(day) = day {
            put_varint(&mut self.bytes, u64::from(day.number()));
        }
    }

    fn push(&mut self, kind: u8, position: u32) {
        self.bytes.push(kind);
        put_varint(&mut self.bytes, u64::from(position));
        self.len += 1;
        self.positions = self.positions.max(position as usize + 1);
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// How many of them record an event.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.records
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all of them are on events of this list.
    #[must_use]
    pub const fn fit(&self, events: &[EventEntry]) -> bool {
        self.positions <= events.len()
    }

    /// The operations on these events, in order, as long as they [`Self::fit`]; `today` is the present day.
    pub fn read<'a>(&'a self, events: &'a [EventEntry], today: Day) -> impl Iterator<Item = Operation> + Clone + 'a {
        let mut reader = Reader::new(&self.bytes);
        let this_week = today.week();
        // All were read once when they were decoded, so only one that does not fit ends them.
        std::iter::from_fn(
            move || {
                if reader.is_empty() { None } else { next(&mut reader, events, today, this_week).ok() }
            },
        )
    }
}

/// The next operation of a message, its event still as a position.
struct Read {
    position: usize,
    record: Option<Record>,
}

struct Record {
    user: UserKey,
    value: Option<f64>,
    is_weekly: bool,
    day: Option<Day>,
}

fn read(reader: &mut Reader<'_>) -> Result<Read, Corrupt> {
    let kind = reader.u8()?;
    let position = reader.varint_below(EVENTS_PER_NAMESPACE.max)? as usize;
    let record = match kind {
        GOAL => None,
        _ if kind & RECORD != 0 && kind & !(RECORD | HAS_VALUE | IS_WEEKLY | HAS_DAY) == 0 => {
            let user = UserKey::from_bytes(reader.array()?);
            let value = if kind & HAS_VALUE != 0 { Some(reader.f64()?) } else { None };
            let day = if kind & HAS_DAY != 0 { Some(read_day(reader)?) } else { None };
            Some(Record { user, value, is_weekly: kind & IS_WEEKLY != 0, day })
        }
        _ => return Err(Corrupt::new(Defect::Unknown)),
    };
    Ok(Read { position, record })
}

fn read_day(reader: &mut Reader<'_>) -> Result<Day, Corrupt> {
    Day::of_number(reader.varint()?).ok_or_else(|| Corrupt::new(Defect::Range))
}

fn next(reader: &mut Reader<'_>, events: &[EventEntry], today: Day, this_week: Week) -> Result<Operation, Corrupt> {
    let Read { position, record } = read(reader)?;
    let &EventEntry { number: event, tag, series, .. } =
        events.get(position).ok_or_else(|| Corrupt::new(Defect::Range))?;
    Ok(match record {
        None => Operation::Goal { event, tag },
        Some(Record { user, value, is_weekly, day }) => {
            let week = if is_weekly { Some(day.map_or(this_week, Day::week)) } else { None };
            let day_of_event = day.unwrap_or(today);
            let time = Some(Occurrence { day: day_of_event, units: series.on(day_of_event) });
            Operation::Record { event, tag, user, value, week, time }
        }
    })
}

impl Serialize for Operations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de> Deserialize<'de> for Operations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Operations;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("operations")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Operations, E> {
        self.visit_byte_buf(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Operations, E> {
        let mut reader = Reader::new(&bytes);
        let (mut len, mut records, mut positions) = (0, 0, 0);
        while !reader.is_empty() {
            let operation = read(&mut reader).map_err(E::custom)?;
            len += 1;
            records += usize::from(operation.record.is_some());
            positions = positions.max(operation.position + 1);
        }
        Ok(Operations { bytes, len, records, positions })
    }
}
