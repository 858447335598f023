//! What an operation takes of memory, beside the state, while its batch is carried out: [`OPERATION_BYTES`] is no less.
//!
//! A batch is carried out first, then its effects become a row of the journal. Both at a time are never there: what takes a
//! batch back is dropped before, and a row that was sealed is not kept in the open.

use super::time::Entrant;
use super::undo::Undo;
use crate::core::identity::UserKey;
use crate::core::periods::day::Day;
use crate::core::settings::limits::{
    CHANGE_BYTES, CLOSINGS_PER_OPERATION, EVENTS_PER_NAMESPACE, INSERTIONS_PER_OPERATION,
};
use crate::core::settings::limits::{OPERATION_BYTES, PERIOD_EFFECT_BYTES, PERIODS_PER_OPERATION, max};
use crate::core::state::effect::{Carried, Effect};
use crate::core::state::grids::GridChange;
use crate::core::state::sum::Sum;

/// The insertions, and a new counter or the closings: an event that has no counter yet has nothing to close.
const EFFECTS: u64 = INSERTIONS_PER_OPERATION + max(1, CLOSINGS_PER_OPERATION);
/// What closed, one sum, and those of its periods.
const UNDOS: u64 = CLOSINGS_PER_OPERATION + 2;
/// A bit for each event.
const BITMAP_BYTES: u64 = EVENTS_PER_NAMESPACE.default.div_ceil(8);
/// What is carried, with its combination; the sums of periods as they were; its fingerprints in periods. The allocator's own
/// bytes of each.
const CARRIED_BYTES: u64 = size_of::<Carried>() as u64
    + BITMAP_BYTES
    + size_of::<[Option<Sum>; 3]>() as u64
    + PERIODS_PER_OPERATION * size_of::<u64>() as u64
    + 3 * 16;
/// A user who waits for the end of the group, in a list that grows.
const WAITING_BYTES: u64 = GROWING_LIST * size_of::<Entrant>() as u64;
/// One who enters sets, beside that: for those of anybody with a day, and for the present set alone, with fingerprint, with
/// position, and among those who are new in it.
const ENTERING_BYTES: u64 = (size_of::<(Day, UserKey)>()
    + size_of::<UserKey>()
    + size_of::<(u64, UserKey)>()
    + size_of::<u64>()
    + size_of::<usize>()
    + size_of::<UserKey>()) as u64;

/// Kind, event, number of a week, fingerprint.
const INSERTION_ROW_BYTES: u64 = 1 + 2 + 3 + 8;
/// When an insertion of an event and of all users was a first occurrence: day, units.
const FIRST_ROW_BYTES: u64 = 3 + 1;
/// Of a set of a period: kind, event, period, number of fingerprints.
const PERIOD_ROW_BYTES: u64 = 1 + 2 + 4 + 4;
/// Kind, event, tag, fingerprint bits.
const OTHER_ROW_BYTES: u64 = 1 + 2 + 8 + 1;
/// Flags, value, length of the bitmap, bitmap.
const CARRIED_ROW_BYTES: u64 = 1 + 8 + 2 + BITMAP_BYTES;
/// An operation's part of a row.
const OPERATION_ROW_BYTES: u64 = INSERTION_ROW_BYTES * INSERTIONS_PER_OPERATION
    + 2 * FIRST_ROW_BYTES
    + 8 * PERIODS_PER_OPERATION
    + OTHER_ROW_BYTES * (EFFECTS - INSERTIONS_PER_OPERATION)
    + CARRIED_ROW_BYTES;

/// Lists have up to twice the room that they need, and once more that while they are copied into more.
const GROWING_LIST: u64 = 3;
const GROWN_LIST: u64 = 2;
/// A row that grows as a list does, and once sealed.
const ROWS: u64 = 3;

const EFFECTS_BYTES: u64 = EFFECTS * size_of::<Effect>() as u64;
// What takes a batch back is gone when users enter periods, and what enters them when that is journalled.
const CHANGING_BYTES: u64 =
    GROWING_LIST * EFFECTS_BYTES + WAITING_BYTES + max(GROWING_LIST * UNDOS * size_of::<Undo>() as u64, ENTERING_BYTES);
const JOURNALLING_BYTES: u64 = GROWN_LIST * EFFECTS_BYTES + ROWS * OPERATION_ROW_BYTES;
const PERIOD_BYTES: u64 =
    max(GROWING_LIST * size_of::<Effect>() as u64, GROWN_LIST * size_of::<Effect>() as u64 + ROWS * PERIOD_ROW_BYTES)
        + 16;

const _: () = assert!(CARRIED_BYTES + max(CHANGING_BYTES, JOURNALLING_BYTES) <= OPERATION_BYTES);
const _: () = assert!(PERIOD_BYTES <= PERIOD_EFFECT_BYTES);

/// Kind, period, two fingerprints, periods.
const CHANGE_ROW_BYTES: u64 = 1 + 4 + 2 * 5 + 2;
const ONE_CHANGE_BYTES: u64 = max(
    GROWING_LIST * size_of::<GridChange>() as u64,
    GROWN_LIST * size_of::<GridChange>() as u64 + ROWS * CHANGE_ROW_BYTES,
);
const _: () = assert!(ONE_CHANGE_BYTES <= CHANGE_BYTES);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::identity::Keys;
    use crate::core::periods::day::Day;
    use crate::core::periods::period::Units;
    use crate::core::periods::week::Week;
    use crate::core::state::aggregator::{Aggregator, Operation};
    use crate::core::state::journal;
    use crate::core::state::series::Occurrence;
    use crate::core::state::shard_limits::ShardLimits;

    /// A goal that everybody has reached behind the last event that a namespace has by default, in a week that closes another.
    #[test]
    fn no_operation_has_more_effects_or_a_longer_row() {
        let keys = Keys::new(&[7; 32]);
        let unlink = keys.unlink("default");
        let last = EVENTS_PER_NAMESPACE.default as u32 - 1;
        let record = |event: u32, user: &str, nth_week: i64| Operation::Record {
            event,
            tag: unlink.tag(&event.to_string()),
            user: keys.user("default", user),
            value: Some(2.5),
            week: Week::of_unix_s(1_645_000_000 + nth_week * 604_800),
            time: Some(Occurrence { day: Day::of_unix_s(1_645_000_000 + nth_week * 86_400), units: Units::ALL }),
        };
        let limits = ShardLimits { weeks_per_event: 1, ..ShardLimits::NONE };
        let mut state = Aggregator::default();
        let today = Day::of_unix_s(1_645_000_000 + 2 * 86_400);
        let mut apply = |operation: Operation| state.apply([operation], &unlink, &limits, today).unwrap();
        let goal = last - 1;
        apply(Operation::Goal { event: goal, tag: unlink.tag(&goal.to_string()) });
        let (mut effects_max, mut row_max) = (0, 0);
        for (nth_week, user) in (0..).zip(["ann", "bob", "cid"]) {
            for event in [last, goal] {
                let effects = apply(record(event, user, nth_week));
                effects_max = effects_max.max(effects.len() as u64);
                row_max = row_max.max(journal::encode(&effects).len() as u64 - 8);
            }
        }
        // Who reaches the goal is known by then: that operation has an insertion less, and a combination.
        assert_eq!(effects_max, EFFECTS + PERIODS_PER_OPERATION);
        let bound = OPERATION_ROW_BYTES + PERIODS_PER_OPERATION * PERIOD_ROW_BYTES;
        assert!((EVENTS_PER_NAMESPACE.default / 8..=bound).contains(&row_max), "{row_max} bytes");
    }
}
