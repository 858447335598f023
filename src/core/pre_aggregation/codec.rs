//! The stored form of a pre-aggregator.
//!
//! A [`frame`] of kind `P`, version 2, around
//!
//! | part | form |
//! |---|---|
//! | key | 32 bytes |
//! | level: its place in [`Level::ALL`] | 1 byte |
//! | events passed unseen, number of namespaces | LEB128 each |
//! | per namespace: name; number of event names, the names by number; number of sections, the sections of its state ([`snapshot_older`]) | texts and sections each with their length in bytes as LEB128 before them |
//! | after these, but for the level of weeks: the order of its events | see `marks.rs` |
//! | pending events | until the end, see `pending.rs` |
//!
//! Version 1 has neither a level, which is that of weeks, nor an order of events. It is read, and no longer written.
//!
//! Equal content has equal bytes, but for the order in which namespaces and event names were first seen.

use super::marks::Marks;
use super::pending::{Pending, get_bytes, get_text, put_text};
use super::{Bounds, Level, Part, PreAggregator};
use crate::core::format::bytes::{Reader, frame, put_varint, unframe, version_of};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::identity::LocalKey;
use crate::core::requests::check_name;
use crate::core::settings::limits::{EVENTS_PER_NAMESPACE, NAME_BYTES};
use crate::core::state::aggregator::Aggregator;
use crate::core::state::snapshot_older;

const KIND: u8 = b'P';
const VERSION: u8 = 2;

impl PreAggregator {
    /// Everything: what was seen, what is pending, and the key.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out: Vec<u8> = self.key.bytes().collect();
        out.push(self.bounds.level as u8);
        put_varint(&mut out, self.passed_unseen);
        put_varint(&mut out, self.namespaces.len() as u64);
        for namespace in &self.namespaces {
            namespace.encode(&mut out, self.bounds.level);
        }
        self.pending.encode(&mut out);
        frame(KIND, VERSION, &out)
    }

    /// Reads what [`Self::encode`] wrote. The bounds are not part of it: what was seen may be more than they allow, and
    /// is kept. What was kept less of than is to be kept now is forgotten, as by [`Self::set_level`].
    ///
    /// # Errors
    /// [`Corrupt`] for anything else. No more memory is taken than the bytes give reason for.
    pub fn decode(bytes: &[u8], bounds: Bounds) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(unframe(KIND, VERSION, bytes)?);
        let mut decoded = Self::new(LocalKey::new(&reader.array().within("key")?), bounds);
        decoded.bounds.level = Level::Week;
        if version_of(bytes) > 1 {
            let level = Level::ALL.get(usize::from(reader.u8().within("level")?)).copied();
            decoded.bounds.level = level.ok_or_else(|| Corrupt::new(Defect::Range).within("level"))?;
        }
        decoded.passed_unseen = reader.varint().within("events passed unseen")?;
        for nth in 0..reader.varint().within("number of namespaces")? {
            let namespace =
                Part::decode(&mut reader, &decoded.key, decoded.bounds.level).within_nth("namespace", nth)?;
            if decoded.namespaces.iter().any(|other| other.name == namespace.name) {
                return Err(Corrupt::new(Defect::Repeated).within("name").within_nth("namespace", nth));
            }
            decoded.namespaces.push(namespace);
        }
        decoded.pending = Pending::decode(&mut reader)?;
        decoded.set_level(bounds.level);
        Ok(decoded)
    }
}

impl Part {
    fn encode(&self, out: &mut Vec<u8>, level: Level) {
        put_text(out, &self.name);
        put_varint(out, self.names.len() as u64);
        for name in &self.names {
            put_text(out, name);
        }
        let sections = snapshot_older::encode_all(&self.state);
        put_varint(out, sections.len() as u64);
        for section in sections {
            put_varint(out, section.len() as u64);
            out.extend_from_slice(&section);
        }
        if level > Level::Week {
            self.marks.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>, key: &LocalKey, level: Level) -> Result<Self, Corrupt> {
        let mut namespace = Self::new(get_name(reader).within("name")?);
        for number in 0..reader.varint_below(EVENTS_PER_NAMESPACE.max + 1).within("number of event names")? {
            if u64::from(namespace.intern(get_name(reader).within_nth("event name", number)?)) != number {
                return Err(Corrupt::new(Defect::Repeated).within_nth("event name", number));
            }
        }
        for nth in 0..reader.varint_below(EVENTS_PER_NAMESPACE.max + 2).within("number of sections")? {
            let section = get_bytes(reader).within_nth("section", nth)?;
            snapshot_older::decode(&mut namespace.state, section).within_nth("section", nth)?;
        }
        if level > Level::Week {
            namespace.marks = Marks::decode(reader, namespace.names.len()).within("order")?;
        }
        if namespace.state.has_tags(&namespace.names, key) {
            Ok(namespace)
        } else {
            Err(Corrupt::new(Defect::Misfit).within("tags"))
        }
    }
}

impl Aggregator {
    /// Whether there is a counter for every name, and each is that of its name.
    fn has_tags(&self, names: &[String], key: &LocalKey) -> bool {
        let tags = self.counters().map(|(number, counter)| (number, counter.tag));
        tags.eq((0..).zip(names.iter().map(|name| key.unlink().tag(name))))
    }
}

fn get_name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Corrupt> {
    check_name(get_text(reader)?, NAME_BYTES.max).map_err(|_| Corrupt::new(Defect::Range))
}
