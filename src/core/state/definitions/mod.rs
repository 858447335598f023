//! Definitions: questions that are asked by name before they are answered, such as retention grids.
//!
//! A definition is made once and never changes. The registry numbers it and keeps its name; every batch brings the definitions of
//! its namespace to the shard, which notes each with the first ([`super::effect::Effect::Define`]). It counts from the day on that it
//! says, the one after it was made, so that it does not matter when a shard hears of it on the way there.
//!
//! | part of a definition | form |
//! |---|---|
//! | number | LEB128 |
//! | since | LEB128: 1 + the stored number of the first day that counts, 0 for every day |
//! | kind | 1 byte |
//! | what the kind says of itself | [`retention`] |
//!
//! A further kind is a file here whose type is [`Asked`], a line of `kinds!` below, and an arm where its JSON is read
//! (`core/requests/definitions.rs`) and where a visit is carried out (`aggregator/visits.rs`).

pub mod retention;

use std::collections::BTreeSet;

use self::retention::Retention;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::state::set_key::read_definition;

/// What every kind of definition can do. Events are named by their numbers.
pub trait Asked: Sized {
    /// The events that it is about; one may come more than once.
    fn events(&self) -> impl Iterator<Item = u32>;

    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads an encoding.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Self::encode`] does not write.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

/// Declares the kinds: their number, which is stored, and their type.
macro_rules! kinds {
    ($($number:literal => $kind:ident($doc:literal)),* $(,)?) => {
        /// The kind of a definition. Names are unique within a kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $doc] $kind,)*
        }

        impl Kind {
            /// Its stored number.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$kind => $number,)* }
            }

            /// The kind of this number.
            #[must_use]
            pub const fn of_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)* _ => None }
            }
        }

        /// What a definition asks.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Spec {
            $(#[doc = $doc] $kind($kind),)*
        }

        impl Spec {
            /// Its kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }

            /// Whether it is about an event.
            #[must_use]
            pub fn is_about(&self, event: u32) -> bool {
                match self { $(Self::$kind(asked) => asked.events().any(|of| of == event),)* }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.push(self.kind().number());
                match self { $(Self::$kind(asked) => asked.encode(out),)* }
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
                match Kind::of_number(reader.u8().within("kind")?) {
                    $(Some(Kind::$kind) => $kind::decode(reader).map(Self::$kind),)*
                    None => Err(Corrupt::new(Defect::Unknown).within("kind")),
                }
            }
        }
    };
}

kinds! {
    0 => Retention("A retention grid."),
}

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its number in the namespace, which no other gets.
    pub number: u32,
    /// The first day that counts; where absent, every day does.
    pub since: Option<Day>,
    /// What it asks.
    pub spec: Spec,
}

impl Definition {
    /// Whether an event of a day counts.
    #[must_use]
    pub fn counts_on(&self, day: Day) -> bool {
        self.since.is_none_or(|since| day >= since)
    }

    /// Appends the encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.number));
        put_varint(out, self.since.map_or(0, |day| 1 + u64::from(day.number())));
        self.spec.encode(out);
    }

    /// Reads an encoding.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`Self::encode`] does not write.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let number = read_definition(reader)?;
        let since = match reader.varint().within("since")?.checked_sub(1) {
            None => None,
            Some(day) => Some(Day::of_number(day).ok_or_else(|| Corrupt::new(Defect::Range).within("since"))?),
        };
        Ok(Self { number, since, spec: Spec::decode(reader)? })
    }

    /// Reads several encodings, one behind the other.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, Corrupt> {
        let (mut reader, mut all) = (Reader::new(bytes), Vec::new());
        while !reader.is_empty() {
            all.push(Self::decode(&mut reader)?);
        }
        Ok(all)
    }
}

/// The definitions that a shard has heard of.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// Ascending by number.
    list: Vec<Definition>,
    changed: BTreeSet<u32>,
}

impl Definitions {
    /// Bytes that they take in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.list.len() * Self::one_bytes()
    }

    /// Bytes that one takes, in a list that may have twice the room that it needs.
    #[must_use]
    pub const fn one_bytes() -> usize {
        2 * size_of::<Definition>()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The definition of a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Definition> {
        self.list.get(self.find(number).ok()?)
    }

    /// All of them, ascending by number.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.list.iter()
    }

    /// Those that are about an event, ascending by number.
    pub fn about(&self, event: u32) -> impl Iterator<Item = &Definition> {
        self.list.iter().filter(move |definition| definition.spec.is_about(event))
    }

    /// Notes a definition; false where its number is known.
    pub(super) fn put(&mut self, definition: Definition) -> bool {
        let Err(at) = self.find(definition.number) else {
            return false;
        };
        self.changed.insert(definition.number);
        self.list.insert(at, definition);
        true
    }

    /// Puts a stored one in place; false where there is one already.
    pub(super) fn restore(&mut self, definition: Definition) -> bool {
        let (number, is_new) = (definition.number, self.put(definition));
        if is_new {
            self.changed.remove(&number);
        }
        is_new
    }

    /// Forgets a definition.
    pub(super) fn delete(&mut self, number: u32) {
        if let Ok(at) = self.find(number) {
            self.list.remove(at);
            self.changed.insert(number);
        }
    }

    /// The numbers of those that have changed since [`Self::note_stored`].
    pub(super) fn changed(&self) -> impl Iterator<Item = u32> {
        self.changed.iter().copied()
    }

    /// Notes that every one is stored as it is now.
    pub(super) fn note_stored(&mut self) {
        self.changed.clear();
    }

    fn find(&self, number: u32) -> Result<usize, usize> {
        self.list.binary_search_by_key(&number, |definition| definition.number)
    }
}
