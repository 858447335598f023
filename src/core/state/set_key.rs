//! Which set of users: the one name that every set has, in memory, in the journal and in the snapshot.
//!
//! | kind | set | parts |
//! |---:|---|---|
//! | 0 | everybody in the namespace | |
//! | 1 | who did an event | event |
//! | 2 | who did an event in an ISO week, of a weekly cohort | event, stored number of the [`Week`] |
//! | 3 | who did an event in a period | event, stored number of the [`Period`] |
//! | 4 | who did anything in a period | stored number of the [`Period`] |
//! | 5 | who is of a cohort of a retention grid, and was seen last so many periods behind it | definition, period, periods |
//! | 6 | who returned in a period of a retention grid | definition, period |
//!
//! A further kind is a line here, a variant of [`SetKey`] and an arm in each of its functions; nothing else names kinds
//! but what inserts into them and what answers with their numbers.

use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::identity::{ALL_USERS_TAG, UnlinkKey};
use crate::core::periods::period::Period;
use crate::core::periods::week::Week;
use crate::core::settings::limits::{DEFINITION_NUMBERS, EVENTS_PER_NAMESPACE, RETENTION_PERIODS};

/// A page counts in no periods, and does not fetch the code for them.
pub(super) const COUNTS_IN_PERIODS: bool = cfg!(not(feature = "browser"));

/// The name of a set of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetKey {
    /// Everybody in the namespace.
    AllUsers,
    /// Who did an event.
    Event(u32),
    /// Who did an event in a week, of a weekly cohort.
    Week(u32, Week),
    /// Who did an event in a period, as long as that is open.
    EventPeriod(u32, Period),
    /// Who did anything in a period, as long as that is open.
    AnyPeriod(Period),
    /// Who is of a cohort of a retention grid, and was seen last so many periods behind it, as long as that can change: definition,
    /// period of the cohort, periods.
    Cohort(u32, Period, u8),
    /// Who returned in a period of a retention grid, as long as that is open: definition, period.
    Returned(u32, Period),
}

const ALL_USERS: u8 = 0;
const EVENT: u8 = 1;
const WEEK: u8 = 2;
const EVENT_PERIOD: u8 = 3;
const ANY_PERIOD: u8 = 4;
const COHORT: u8 = 5;
const RETURNED: u8 = 6;
/// More than the number of every kind.
pub(super) const KINDS_MAX: u8 = 16;

// What a number has of a kind and its parts. With the 256 rows that a section may have it stays below 2^53: numbers of rows
// pass through JavaScript.
const KIND_SHIFT: u32 = 38;
const FIRST_SHIFT: u32 = 24;
const _: () = assert!(EVENTS_PER_NAMESPACE.max + 1 < 1 << (KIND_SHIFT - FIRST_SHIFT));
// Sets of definitions have their number, a period without its unit, and a small number.
const DEFINITION_SHIFT: u32 = 27;
const SMALL_SHIFT: u32 = 5;
const _: () = assert!(DEFINITION_NUMBERS <= 1 << (KIND_SHIFT - DEFINITION_SHIFT));
const _: () = assert!((RETENTION_PERIODS as u64) < 1 << SMALL_SHIFT);

impl SetKey {
    /// The event that the set belongs to, and with which it is deleted.
    #[must_use]
    pub const fn event(self) -> Option<u32> {
        match self {
            Self::AllUsers | Self::AnyPeriod(_) | Self::Cohort(..) | Self::Returned(..) => None,
            Self::Event(event) | Self::Week(event, _) | Self::EventPeriod(event, _) => Some(event),
        }
    }

    /// The definition that the set belongs to, and with which it is deleted.
    #[must_use]
    pub const fn definition(self) -> Option<u32> {
        match self {
            Self::Cohort(definition, ..) | Self::Returned(definition, _) => Some(definition),
            _ => None,
        }
    }

    /// Whether the set is open for a while only, and then becomes a number.
    #[must_use]
    pub const fn is_of_period(self) -> bool {
        self.period().is_some() || self.definition().is_some()
    }

    /// The period of a series that the set is open in.
    #[must_use]
    pub const fn period(self) -> Option<Period> {
        match self {
            Self::EventPeriod(_, period) | Self::AnyPeriod(period) => Some(period),
            _ => None,
        }
    }

    /// The set of who did an event in a period, or anything.
    #[must_use]
    pub const fn in_period(event: Option<u32>, period: Period) -> Self {
        match event {
            Some(event) => Self::EventPeriod(event, period),
            None => Self::AnyPeriod(period),
        }
    }

    /// The set that is to another event what this one is to its own.
    #[must_use]
    pub const fn of_event(self, event: u32) -> Self {
        match self {
            Self::AllUsers | Self::AnyPeriod(_) | Self::Cohort(..) | Self::Returned(..) => self,
            Self::Event(_) => Self::Event(event),
            Self::Week(_, week) => Self::Week(event, week),
            Self::EventPeriod(_, period) => Self::EventPeriod(event, period),
        }
    }

    /// What the fingerprints of the set are derived with, beside the key of the namespace; `event_tag` is that of its event.
    #[must_use]
    pub fn tag(self, key: &UnlinkKey, event_tag: u64) -> u64 {
        match self {
            Self::AllUsers => ALL_USERS_TAG,
            Self::Event(_) => event_tag,
            Self::Week(_, week) => key.week_tag(event_tag, week),
            Self::EventPeriod(_, period) => key.period_tag(event_tag, period),
            Self::AnyPeriod(period) => key.period_tag(ALL_USERS_TAG, period),
            // Users move between the sets of a cohort as they are.
            Self::Cohort(definition, period, _) | Self::Returned(definition, period) => {
                key.definition_tag(self.kind(), definition, period)
            }
        }
    }

    /// The number of its kind.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::AllUsers => ALL_USERS,
            Self::Event(_) => EVENT,
            Self::Week(..) => WEEK,
            Self::EventPeriod(..) => EVENT_PERIOD,
            Self::AnyPeriod(_) => ANY_PERIOD,
            Self::Cohort(..) => COHORT,
            Self::Returned(..) => RETURNED,
        }
    }

    /// What a set of this kind is called where something is wrong with it.
    #[must_use]
    pub const fn noun(kind: u8) -> &'static str {
        match kind {
            ALL_USERS => "all users",
            EVENT => "users of event",
            WEEK => "users in a week of event",
            EVENT_PERIOD => "users in a period of event",
            COHORT => "cohort of definition",
            RETURNED => "returns of definition",
            _ => "users in a period",
        }
    }

    /// A number of its own, ascending with the keys: 0, or kind · 2^38 + first part · 2^24 + second part.
    #[must_use]
    pub fn number(self) -> u64 {
        let (first, second) = match self {
            Self::AllUsers => (0, 0),
            Self::Event(event) => (event, 0),
            Self::Week(event, week) => (event, week.index()),
            Self::EventPeriod(event, period) => (event, period.code()),
            Self::AnyPeriod(period) => (0, period.code()),
            Self::Cohort(definition, period, seen) => {
                return Self::number_of_definition(
                    COHORT,
                    definition,
                    period.ordinal() << SMALL_SHIFT | u32::from(seen),
                );
            }
            Self::Returned(definition, period) => {
                return Self::number_of_definition(RETURNED, definition, period.ordinal() << SMALL_SHIFT);
            }
        };
        Self::number_of(self.kind(), first, second)
    }

    /// The number of a set of a definition: kind · 2^38 + definition · 2^27 + a part below 2^27.
    fn number_of_definition(kind: u8, definition: u32, part: u32) -> u64 {
        u64::from(kind) << KIND_SHIFT | u64::from(definition) << DEFINITION_SHIFT | u64::from(part)
    }

    /// The number of a kind and two parts.
    pub(super) fn number_of(kind: u8, first: u32, second: u32) -> u64 {
        u64::from(kind) << KIND_SHIFT | u64::from(first) << FIRST_SHIFT | u64::from(second)
    }

    /// The kind and the event, or the definition, of the set with this number.
    #[must_use]
    pub const fn parts_of_number(number: u64) -> (u8, u64) {
        let kind = (number >> KIND_SHIFT) as u8;
        let shift = if matches!(kind, COHORT | RETURNED) { DEFINITION_SHIFT } else { FIRST_SHIFT };
        (kind, number >> shift & ((1 << (KIND_SHIFT - shift)) - 1))
    }

    /// Appends what makes the key of its kind: the parts, LEB128.
    pub fn encode_parts(self, out: &mut Vec<u8>) {
        if let Some(first) = self.event().or(self.definition()) {
            put_varint(out, u64::from(first));
        }
        match self {
            Self::AllUsers | Self::Event(_) => {}
            Self::Week(_, week) => week.encode(out),
            Self::EventPeriod(_, period) | Self::AnyPeriod(period) | Self::Returned(_, period) => period.encode(out),
            Self::Cohort(_, period, seen) => {
                period.encode(out);
                out.push(seen);
            }
        }
    }

    /// Reads the parts of a key of this kind.
    ///
    /// # Errors
    /// [`Corrupt`] when they are cut short or out of range, or there is no such kind.
    pub fn decode_parts(kind: u8, reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        match kind {
            ALL_USERS => Ok(Self::AllUsers),
            EVENT => Ok(Self::Event(read_event(reader)?)),
            WEEK => Ok(Self::Week(read_event(reader)?, Week::decode(reader).within("week")?)),
            EVENT_PERIOD if COUNTS_IN_PERIODS => Ok(Self::EventPeriod(read_event(reader)?, period(reader)?)),
            ANY_PERIOD if COUNTS_IN_PERIODS => Ok(Self::AnyPeriod(period(reader)?)),
            COHORT if COUNTS_IN_PERIODS => {
                let (definition, period) = (read_definition(reader)?, period(reader)?);
                let seen = reader.u8().within("periods")?;
                if seen > RETENTION_PERIODS {
                    return Err(Corrupt::new(Defect::Range).within("periods"));
                }
                Ok(Self::Cohort(definition, period, seen))
            }
            RETURNED if COUNTS_IN_PERIODS => Ok(Self::Returned(read_definition(reader)?, period(reader)?)),
            _ => Err(Corrupt::new(Defect::Unknown).within("kind")),
        }
    }
}

/// Reads the number of an event.
pub(super) fn read_event(reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
    Ok(reader.varint_below(EVENTS_PER_NAMESPACE.max).within("event")? as u32)
}

/// Reads the number of a definition.
pub(super) fn read_definition(reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
    Ok(reader.varint_below(DEFINITION_NUMBERS).within("definition")? as u32)
}

fn period(reader: &mut Reader<'_>) -> Result<Period, Corrupt> {
    Period::decode(reader).within("period")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::Keys;
    use crate::core::periods::day::Day;
    use crate::core::periods::period::Unit;

    fn periods() -> [Period; 3] {
        Unit::ALL.map(|unit| Period::of(unit, Day::of_unix_s(1_645_000_000)))
    }

    /// Stored fingerprints outlive a release, and sets their place: neither may change unnoticed.
    #[test]
    fn tags_and_numbers_are_stable() {
        let unlink = Keys::new(&[1; 32]).unlink("default");
        let week = Week::of_unix_s(1_645_000_000).unwrap();
        let of = |set: SetKey| (set.tag(&unlink, 77), set.number());
        assert_eq!(of(SetKey::AllUsers), (0, 0));
        assert_eq!(of(SetKey::Event(3)), (77, (1 << 38) + (3 << 24)));
        assert_eq!(of(SetKey::Week(3, week)), (unlink.week_tag(77, week), (2 << 38) + (3 << 24) + 2_023 * 64 + 7));
        let [day, _, month] = periods();
        assert_eq!(of(SetKey::EventPeriod(3, day)), (1_190_025_971_953_660_243, (3 << 38) + (3 << 24) + 738_567));
        assert_eq!(
            of(SetKey::Cohort(3, day, 7)),
            (7_220_577_396_872_212_008, (5 << 38) + (3 << 27) + (738_567 << 5) + 7)
        );
        assert_eq!(of(SetKey::Returned(3, day)), (8_025_224_784_078_801_833, (6 << 38) + (3 << 27) + (738_567 << 5)));
        assert_eq!(of(SetKey::AnyPeriod(month)), (4_999_359_121_539_563_814, (4 << 38) + (2 << 22) + 2_022 * 12 + 1));
    }

    #[test]
    fn keys_ascend_as_their_numbers_do_and_are_read_as_written() {
        let week = |n: i64| Week::of_unix_s(1_645_000_000 + n * 604_800).unwrap();
        let [day, week_of_series, month] = periods();
        let keys = [
            SetKey::AllUsers,
            SetKey::Event(0),
            SetKey::Event(9_999),
            SetKey::Week(0, Week::OTHER),
            SetKey::Week(0, week(0)),
            SetKey::Week(0, week(1)),
            SetKey::Week(9_999, week(0)),
            SetKey::EventPeriod(0, day),
            SetKey::EventPeriod(0, week_of_series),
            SetKey::EventPeriod(9_999, day),
            SetKey::AnyPeriod(day),
            SetKey::AnyPeriod(month),
            SetKey::Cohort(0, day, 0),
            SetKey::Cohort(0, day, 31),
            SetKey::Cohort(2_047, day, 0),
            SetKey::Returned(0, day),
            SetKey::Returned(2_047, day),
        ];
        assert!(keys.is_sorted() && keys.iter().map(|key| key.number()).is_sorted());
        for key in keys {
            let mut bytes = Vec::new();
            key.encode_parts(&mut bytes);
            assert_eq!(SetKey::decode_parts(key.kind(), &mut Reader::new(&bytes)).unwrap(), key);
            let first = key.event().or(key.definition()).unwrap_or(0);
            assert_eq!(SetKey::parts_of_number(key.number()), (key.kind(), first.into()));
        }
    }
}
