//! Which set of users: the one name that every set has, in memory, in the journal and in the snapshot.
//!
//! | kind | set | parts |
//! |---:|---|---|
//! | 0 | everybody in the namespace | |
//! | 1 | who did an event | event |
//! | 2 | who did an event in an ISO week | event, stored number of the [`Week`] |
//!
//! A further kind is a line here, a variant of [`SetKey`] and an arm in each of its functions; nothing else names kinds
//! but what inserts into them and what answers with their numbers.

use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::identity::{ALL_USERS_TAG, UnlinkKey};
use crate::core::periods::week::Week;
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

/// The name of a set of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKey {
    /// Everybody in the namespace.
    AllUsers,
    /// Who did an event.
    Event(u32),
    /// Who did an event in a week.
    Week(u32, Week),
}

const ALL_USERS: u8 = 0;
const EVENT: u8 = 1;
const WEEK: u8 = 2;

// What a number has of a kind and its parts. With the 256 rows that a section may have it stays below 2^53: numbers of rows
// pass through JavaScript.
const KIND_SHIFT: u32 = 38;
const FIRST_SHIFT: u32 = 24;
const _: () = assert!(EVENTS_PER_NAMESPACE.max < 1 << (KIND_SHIFT - FIRST_SHIFT));

impl SetKey {
    /// The event that the set belongs to, and with which it is deleted.
    #[must_use]
    pub const fn event(self) -> Option<u32> {
        match self {
            Self::AllUsers => None,
            Self::Event(event) | Self::Week(event, _) => Some(event),
        }
    }

    /// The set that is to another event what this one is to its own.
    #[must_use]
    pub const fn of_event(self, event: u32) -> Self {
        match self {
            Self::AllUsers => Self::AllUsers,
            Self::Event(_) => Self::Event(event),
            Self::Week(_, week) => Self::Week(event, week),
        }
    }

    /// What the fingerprints of the set are derived with, beside the key of the namespace; `event_tag` is that of its event.
    #[must_use]
    pub fn tag(self, key: &UnlinkKey, event_tag: u64) -> u64 {
        match self {
            Self::AllUsers => ALL_USERS_TAG,
            Self::Event(_) => event_tag,
            Self::Week(_, week) => key.week_tag(event_tag, week),
        }
    }

    /// The number of its kind.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::AllUsers => ALL_USERS,
            Self::Event(_) => EVENT,
            Self::Week(..) => WEEK,
        }
    }

    /// What a set of this kind is called where something is wrong with it.
    #[must_use]
    pub const fn noun(kind: u8) -> &'static str {
        match kind {
            ALL_USERS => "all users",
            EVENT => "users of event",
            _ => "users in a week of event",
        }
    }

    /// A number of its own, ascending with the keys: 0, or kind · 2^38 + first part · 2^24 + second part.
    #[must_use]
    pub fn number(self) -> u64 {
        let (first, second) = match self {
            Self::AllUsers => (0, 0),
            Self::Event(event) => (event, 0),
            Self::Week(event, week) => (event, week.index()),
        };
        u64::from(self.kind()) << KIND_SHIFT | u64::from(first) << FIRST_SHIFT | u64::from(second)
    }

    /// The kind and the event of the set with this number.
    #[must_use]
    pub const fn parts_of_number(number: u64) -> (u8, u64) {
        ((number >> KIND_SHIFT) as u8, number >> FIRST_SHIFT & ((1 << (KIND_SHIFT - FIRST_SHIFT)) - 1))
    }

    /// Appends what makes the key of its kind: the parts, LEB128.
    pub fn encode_parts(self, out: &mut Vec<u8>) {
        if let Some(event) = self.event() {
            put_varint(out, u64::from(event));
        }
        if let Self::Week(_, week) = self {
            week.encode(out);
        }
    }

    /// Reads the parts of a key of this kind.
    ///
    /// # Errors
    /// [`Corrupt`] when they are cut short or out of range, or there is no such kind.
    pub fn decode_parts(kind: u8, reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match kind {
            ALL_USERS => Ok(Self::AllUsers),
            EVENT => Ok(Self::Event(event(reader)?)),
            WEEK => Ok(Self::Week(event(reader)?, Week::decode(reader).within("week")?)),
            _ => Err(Corrupt::new(Defect::Unknown).within("kind")),
        }
    }
}

fn event(reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
    Ok(reader.varint_below(EVENTS_PER_NAMESPACE.max).within("event")? as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::Keys;

    /// Stored fingerprints outlive a release, and sets their place: neither may change unnoticed.
    #[test]
    fn tags_and_numbers_are_stable() {
        let unlink = Keys::new(&[1; 32]).unlink("default");
        let week = Week::of_unix_s(1_645_000_000).unwrap();
        let of = |set: SetKey| (set.tag(&unlink, 77), set.number());
        assert_eq!(of(SetKey::AllUsers), (0, 0));
        assert_eq!(of(SetKey::Event(3)), (77, (1 << 38) + (3 << 24)));
        assert_eq!(of(SetKey::Week(3, week)), (unlink.week_tag(77, week), (2 << 38) + (3 << 24) + 2_023 * 64 + 7));
    }

    #[test]
    fn keys_ascend_as_their_numbers_do_and_are_read_as_written() {
        let week = |n: i64| Week::of_unix_s(1_645_000_000 + n * 604_800).unwrap();
        let keys = [
            SetKey::AllUsers,
            SetKey::Event(0),
            SetKey::Event(9_999),
            SetKey::Week(0, Week::OTHER),
            SetKey::Week(0, week(0)),
            SetKey::Week(0, week(1)),
            SetKey::Week(9_999, week(0)),
        ];
        assert!(keys.is_sorted() && keys.iter().map(|key| key.number()).is_sorted());
        for key in keys {
            let mut bytes = Vec::new();
            key.encode_parts(&mut bytes);
            assert_eq!(SetKey::decode_parts(key.kind(), &mut Reader::new(&bytes)).unwrap(), key);
            assert_eq!(SetKey::parts_of_number(key.number()), (key.kind(), key.event().unwrap_or(0).into()));
        }
    }
}
