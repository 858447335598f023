//! What a page has passed on, for nothing but the question whether an event is news: the answers of [`PreAggregator`](super::PreAggregator)
//! without its numbers.
//!
//! An event is news if it is its user's first of that name in an ISO week (so the first ever is, too), or makes a goal, or by the order of
//! events (`marks.rs`). Users and names are 64-bit hashes under a key of the browser, in sorted lists, one a week.
//!
//! Promises:
//! - what is passed on leads a server to the state that the whole stream would lead to, as [`PreAggregator`](super::PreAggregator) promises;
//! - memory is bounded. There are two *generations*: all is learnt by the younger one; when it is full it becomes the older one, and that is
//!   forgotten. What either knows is known, because each alone passes on enough;
//! - [`Seen::changes`] are what has happened since they were asked for last: applied to the state of before they lead to that of now, but
//!   that a user seems to have paused who has done only what is known. So what is stored grows with what is new;
//! - an event is taken for known that was not with a probability of `n / 2^64` among `n` that are, and no other way.
//!
//! The stored form is a [`frame`] of kind `N`, version 1, around
//!
//! | part | form |
//! |---|---|
//! | key | 16 bytes |
//! | level: its place in [`Level::ALL`] | 1 byte |
//! | per generation, the younger first: number of names, the names; number of periods, the periods; the order of events, see `marks.rs` | LEB128 and 8 bytes each |
//! | per period, ascending: its number; number of events (not 0), the events, ascending | LEB128 each; 8 bytes each |
//!
//! and changes are entries of 32 bytes:
//!
//! | offset | size | part |
//! |---|---|---|
//! | 0 | 16 | name, user: hashes |
//! | 16 | 8 | flags (1 makes a goal, 128 is another level); minute (4 bytes), of another level its place; day (3 bytes) |
//! | 24 | 8 | SipHash-1-3 of those under the key |

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::marks::{Mark, Marks};
use super::{Event, News};
use crate::core::format::bytes::{Reader, frame, put_varint, unframe};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::requests::Level;

const KIND: u8 = b'N';
const VERSION: u8 = 1;

/// What hashes are of.
const NAME: u8 = 0;
const USER: u8 = 1;
const DONE: u8 = 2;
const GOAL: u8 = 3;
const CHANGE: u8 = 4;

/// The period of goals; those of weeks are greater.
const EVER: u32 = 0;
/// Year 0 began on a Saturday, five days into a week; the first week is number 1.
const DAYS_BEFORE: u32 = 5 + 7;

const MAKES_GOAL: u8 = 1;
const SETS_LEVEL: u8 = 128;
const SAID_BYTES: usize = 24;

/// What was passed on.
///
/// # Example
/// ```
/// use kimball_edge::core::periods::day::Day;
/// use kimball_edge::core::pre_aggregation::{Event, Level, News, Seen};
/// let mut seen = Seen::new([7; 16], 1 << 20, Level::Order);
/// let [search, buy] = ["Search", "Buy"].map(|name| Event::new(name, "ann", Day::of_unix_s(1_800_000_000)));
/// let told = [search, search, buy, buy, search].map(|event| seen.record(&event, 30_000_000));
/// assert_eq!(told, [News::First, News::Repeat, News::First, News::Repeat, News::Order]);
/// ```
#[derive(Debug, Clone)]
pub struct Seen {
    key: [u8; Self::KEY_BYTES],
    bytes_max: usize,
    level: Level,
    younger: Generation,
    /// None until the younger one was full.
    older: Option<Generation>,
    has_aged: bool,
    changes: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Generation {
    /// Hashes of events' names, by the numbers that they have in `marks`.
    names: Vec<u64>,
    /// Ascending.
    periods: Vec<Period>,
    marks: Marks,
}

/// What was done in a week, or which events are goals.
#[derive(Debug, Clone)]
struct Period {
    number: u32,
    /// Ascending hashes.
    events: Vec<u64>,
}

/// An event without its names.
struct Entry {
    name: u64,
    user: u64,
    /// The user's doing it, and its being a goal.
    done: u64,
    goal: u64,
    day: Day,
    now_min: u32,
    makes_goal: bool,
}

impl Seen {
    /// Bytes of a key.
    pub const KEY_BYTES: usize = 16;

    /// One that has seen nothing, with a random key; each of its generations takes at most `bytes_max`.
    #[must_use]
    pub fn new(key: [u8; Self::KEY_BYTES], bytes_max: usize, level: Level) -> Self {
        let younger = Generation::default();
        Self { key, bytes_max, level, younger, older: None, has_aged: false, changes: Vec::new() }
    }

    /// What the server may still learn from an event at this time, in minutes since 1970. What it may is remembered.
    ///
    /// The form of the event is not checked. Its value and its id do not matter.
    pub fn record(&mut self, event: &Event<'_>, now_min: u32) -> News {
        let names = [event.namespace, event.event, event.user].map(str::as_bytes);
        self.record_names(names, event.day, now_min, event.ensure_goal)
    }

    /// The same of the bytes of a namespace, an event's name and a user id.
    pub fn record_names(&mut self, names: [&[u8]; 3], day: Day, now_min: u32, makes_goal: bool) -> News {
        let [namespace, event, user] = names;
        let of = |kind, name| hash(&self.key, kind, &[namespace, &[0], name]);
        self.take(&self.entry(of(NAME, event), of(USER, user), day, now_min, makes_goal))
    }

    fn entry(&self, name: u64, user: u64, day: Day, now_min: u32, makes_goal: bool) -> Entry {
        let done = hash(&self.key, DONE, &[&name.to_le_bytes(), &user.to_le_bytes()]);
        let goal = hash(&self.key, GOAL, &[&name.to_le_bytes()]);
        Entry { name, user, done, goal, day, now_min, makes_goal }
    }

    /// Keeps so much from here on. What was kept less of is forgotten, for its order is not known.
    pub fn set_level(&mut self, level: Level) {
        if level == self.level {
            return;
        }
        if level > self.level || level == Level::Week {
            for generation in [Some(&mut self.younger), self.older.as_mut()].into_iter().flatten() {
                generation.marks = Marks::default();
            }
        }
        self.level = level;
        self.note(0, 0, u64::from(SETS_LEVEL) | (level as u64) << 8);
    }

    /// Whether what was done longest ago was forgotten since this was made or read, because memory was full.
    #[must_use]
    pub const fn has_aged(&self) -> bool {
        self.has_aged
    }

    /// Bytes of memory of the younger generation, which are those of the older one at most.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.younger.bytes()
    }

    fn take(&mut self, entry: &Entry) -> News {
        let (mut news, is_remembered) = self.younger.record(entry, self.level, self.bytes_max);
        if news == News::Repeat {
            return news;
        }
        if let Some(older) = &mut self.older {
            let (of_older, _) = older.record(entry, self.level, self.bytes_max);
            news = if news == News::Order && of_older == News::First { news } else { of_older };
        }
        if !is_remembered {
            self.older = Some(std::mem::take(&mut self.younger));
            self.younger.record(entry, self.level, self.bytes_max);
            self.has_aged = true;
        }
        let flags = if entry.makes_goal { MAKES_GOAL } else { 0 };
        let rest = u64::from(flags) | u64::from(entry.now_min) << 8 | u64::from(entry.day.number()) << 40;
        self.note(entry.name, entry.user, rest);
        news
    }

    fn note(&mut self, name: u64, user: u64, rest: u64) {
        let at = self.changes.len();
        for part in [name, user, rest] {
            self.changes.extend_from_slice(&part.to_le_bytes());
        }
        let check = hash(&self.key, CHANGE, &[self.changes.get(at..).unwrap_or_default()]);
        self.changes.extend_from_slice(&check.to_le_bytes());
    }

    /// What has happened since this was asked for last.
    pub fn changes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.changes)
    }

    /// Does what has happened to another one with the same key. [`Self::changes`] do not have it.
    ///
    /// # Errors
    /// [`Corrupt`] for what are no changes of that key; those before the first that is none are done.
    pub fn apply(&mut self, changes: &[u8]) -> Result<(), Corrupt> {
        let own = self.changes();
        let result = self.apply_all(&mut Reader::new(changes));
        self.changes = own;
        result
    }

    fn apply_all(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let mut nth = 0;
        while !reader.is_empty() {
            self.apply_next(reader).within_nth("change", nth)?;
            nth += 1;
        }
        Ok(())
    }

    fn apply_next(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let said = reader.slice(SAID_BYTES)?;
        if reader.u64().within("check")? != hash(&self.key, CHANGE, &[said]) {
            return Err(Corrupt::new(Defect::Checksum).within("check"));
        }
        let mut said = Reader::new(said);
        let (name, user, rest) = (said.u64()?, said.u64()?, said.u64()?);
        let (flags, number) = (rest as u8, (rest >> 8) as u32);
        if flags & SETS_LEVEL != 0 {
            self.set_level(level_of(number).within("level")?);
            return Ok(());
        }
        let day = Day::of_number(rest >> 40).ok_or_else(|| Corrupt::new(Defect::Range).within("day"))?;
        self.take(&self.entry(name, user, day, number, flags & MAKES_GOAL != 0));
        Ok(())
    }

    /// Everything but the changes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.key.to_vec();
        out.push(self.level as u8);
        self.younger.encode(&mut out);
        if let Some(older) = &self.older {
            older.encode(&mut out);
        }
        frame(KIND, VERSION, &out)
    }

    /// Reads what [`Self::encode`] wrote. What was seen may be more than `bytes_max`, and is kept.
    ///
    /// # Errors
    /// [`Corrupt`] for anything else. No more memory is taken than the bytes give reason for.
    pub fn decode(bytes: &[u8], bytes_max: usize) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(unframe(KIND, VERSION, bytes)?);
        let key = reader.array().within("key")?;
        let level = level_of(reader.u8().within("level")?.into()).within("level")?;
        let mut decoded = Self::new(key, bytes_max, level);
        decoded.younger = Generation::decode(&mut reader).within("younger generation")?;
        if !reader.is_empty() {
            decoded.older = Some(Generation::decode(&mut reader).within("older generation")?);
        }
        reader.end()?;
        Ok(decoded)
    }
}

impl Generation {
    fn bytes(&self) -> usize {
        let events = |period: &Period| size_of::<Period>() + size_of_val(&*period.events);
        size_of_val(&*self.names) + self.periods.iter().map(events).sum::<usize>() + self.marks.bytes()
    }

    /// What an event tells whoever knows this, and whether it is remembered, as a repeat is.
    fn record(&mut self, entry: &Entry, level: Level, bytes_max: usize) -> (News, bool) {
        let week = (entry.day.number() + DAYS_BEFORE) / 7;
        let knows = self.knows(week, entry.done) && (!entry.makes_goal || self.knows(EVER, entry.goal));
        let number = self.names.iter().position(|&name| name == entry.name).map(|number| number as u32);
        let mark = self.look(entry, number, level);
        if knows && mark == Mark::Known {
            return (News::Repeat, true);
        }
        let mut is_remembered = self.remember(week, entry.done, bytes_max);
        if entry.makes_goal {
            is_remembered &= self.remember(EVER, entry.goal, bytes_max);
        }
        let number = if mark == Mark::New { number.or_else(|| self.intern(entry.name, bytes_max)) } else { number };
        let room = bytes_max.saturating_sub(self.bytes());
        is_remembered &= self.marks.pass(entry.user, number, entry.day, mark, entry.now_min, room);
        (if knows && mark != Mark::New { News::Order } else { News::First }, is_remembered)
    }

    fn look(&mut self, entry: &Entry, number: Option<u32>, level: Level) -> Mark {
        if level == Level::Week {
            return Mark::Known;
        }
        self.marks.forget_paused(entry.now_min, level);
        number.map_or(Mark::New, |number| self.marks.look(entry.user, number, entry.day, entry.now_min, level))
    }

    /// Gives a name a number, if there is room for it.
    fn intern(&mut self, name: u64, bytes_max: usize) -> Option<u32> {
        let number = self.names.len() as u32;
        (self.bytes() + size_of::<u64>() <= bytes_max).then(|| {
            self.names.push(name);
            number
        })
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        self.periods.binary_search_by_key(&number, |period| period.number)
    }

    fn knows(&self, number: u32, event: u64) -> bool {
        let period = self.find(number).ok().and_then(|at| self.periods.get(at));
        period.is_some_and(|period| period.events.binary_search(&event).is_ok())
    }

    /// Answers whether there was room for it, or it was there.
    fn remember(&mut self, number: u32, event: u64, bytes_max: usize) -> bool {
        if self.knows(number, event) {
            return true;
        }
        let found = self.find(number);
        let own = if found.is_err() { size_of::<Period>() } else { 0 };
        if self.bytes() + own + size_of::<u64>() > bytes_max {
            return false;
        }
        if let Err(at) = found {
            self.periods.insert(at, Period { number, events: Vec::new() });
        }
        if let Some(period) = self.periods.get_mut(found.unwrap_or_else(|at| at)) {
            let at = period.events.partition_point(|&other| other < event);
            period.events.insert(at, event);
        }
        true
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_all(out, &self.names);
        put_varint(out, self.periods.len() as u64);
        for period in &self.periods {
            put_varint(out, period.number.into());
            put_all(out, &period.events);
        }
        self.marks.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let mut decoded = Self { names: get_all(reader).within("names")?, ..Self::default() };
        for nth in 0..reader.varint().within("number of periods")? {
            let period = Period::decode(reader).within_nth("period", nth)?;
            if decoded.periods.last().is_some_and(|last| last.number >= period.number) {
                return Err(Corrupt::new(Defect::Order).within_nth("period", nth));
            }
            decoded.periods.push(period);
        }
        decoded.marks = Marks::decode(reader, decoded.names.len()).within("order")?;
        Ok(decoded)
    }
}

impl Period {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let number = reader.varint_below(1 << 32).within("number")? as u32;
        let events = get_all(reader).within("events")?;
        if events.is_empty() {
            return Err(Corrupt::new(Defect::Range).within("number of events"));
        }
        if !events.is_sorted_by(|a, b| a < b) {
            return Err(Corrupt::new(Defect::Order).within("events"));
        }
        Ok(Self { number, events })
    }
}

fn put_all(out: &mut Vec<u8>, hashes: &[u64]) {
    put_varint(out, hashes.len() as u64);
    for hash in hashes {
        out.extend_from_slice(&hash.to_le_bytes());
    }
}

fn get_all(reader: &mut Reader<'_>) -> Result<Vec<u64>, Corrupt> {
    let mut hashes = Vec::new();
    for _ in 0..reader.varint()? {
        hashes.push(reader.u64()?);
    }
    Ok(hashes)
}

fn level_of(place: u32) -> Result<Level, Corrupt> {
    Level::ALL.get(place as usize).copied().ok_or_else(|| Corrupt::new(Defect::Range))
}

fn hash(key: &[u8; Seen::KEY_BYTES], kind: u8, parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(&[kind]);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}
