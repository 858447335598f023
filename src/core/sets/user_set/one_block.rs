//! Look-ups and insertions whose cluster lies in one block, as most do: the words of the block say everything at once.

use super::blocks::{BITMAPS, bit_range, put_remainder_in, remainder_in, shift_remainders};

/// What became of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insertion {
    /// It was absent and is there now.
    Done,
    /// It was there.
    Present,
    /// It is absent, and nothing was done.
    NoRoom,
}

/// Where the run of a home begins in its block, and the run ends from there on.
struct Run {
    start: usize,
    ends: u64,
}

/// The run of the home at `place` of a block; `None` where the cluster reaches out of the block before it. The home is the place of
/// a slot that is used, or of no interest.
fn run(used: u64, occupied: u64, run_ends: u64, place: usize, is_first_block: bool) -> Option<Run> {
    let below = (1 << place) - 1;
    let unused = !used & below;
    if unused == 0 && !is_first_block {
        return None;
    }
    let cluster = (u64::BITS - unused.leading_zeros()) as usize;
    let runs_before = ((occupied & below) >> cluster).count_ones();
    let mut ends = run_ends & (u64::MAX << cluster);
    if runs_before == 0 {
        return Some(Run { start: cluster, ends });
    }
    for _ in 1..runs_before {
        ends &= ends.wrapping_sub(1);
    }
    let start = ends.trailing_zeros() as usize + 1;
    (start < 64).then(|| Run { start, ends: ends & (ends - 1) })
}

/// Whether a remainder is in the run of its home, which is occupied; `None` where that reaches out of the block.
pub(super) fn contains(block: &[u64], place: usize, sought: u64, is_first_block: bool) -> Option<bool> {
    let [used, occupied, run_ends, remainders @ ..] = block else {
        return None;
    };
    let Run { start, ends } = run(*used, *occupied, *run_ends, place, is_first_block)?;
    if ends == 0 {
        return None;
    }
    let bits = block.len() - BITMAPS;
    for slot in start..=ends.trailing_zeros() as usize {
        let there = remainder_in(remainders, bits, slot);
        if there >= sought {
            return Some(there == sought);
        }
    }
    Some(false)
}

/// Inserts a remainder whose home is the slot at `place`, which is used; `None` where that reaches out of the block, and nothing was
/// done.
pub(super) fn insert(
    block: &mut [u64],
    place: usize,
    new: u64,
    is_first_block: bool,
    has_room: bool,
) -> Option<Insertion> {
    let bits = block.len() - BITMAPS;
    let [used, occupied, run_ends, remainders @ ..] = block else {
        return None;
    };
    let unused = !*used & (u64::MAX << place);
    if unused == 0 {
        return None;
    }
    let free = unused.trailing_zeros() as usize;
    let Run { start, ends } = run(*used, *occupied, *run_ends, place, is_first_block)?;
    let is_occupied = *occupied >> place & 1 == 1;
    let (mut at, mut ends_run) = (start, true);
    if is_occupied {
        let end = ends.trailing_zeros() as usize;
        while at <= end {
            let there = remainder_in(remainders, bits, at);
            if there == new {
                return Some(Insertion::Present);
            }
            if there > new {
                ends_run = false;
                break;
            }
            at += 1;
        }
    }
    if !has_room {
        return Some(Insertion::NoRoom);
    }
    let moved = bit_range(at + 1, free + 1);
    let mut shifted = *run_ends & !bit_range(at, free + 1) | *run_ends << 1 & moved;
    if ends_run {
        shifted |= 1 << at;
        // The run that it is now the end of ended before it.
        shifted &= !(u64::from(is_occupied) << at >> 1);
    }
    *run_ends = shifted;
    *used |= 1 << free;
    *occupied |= 1 << place;
    shift_remainders(remainders, bits, at, free);
    put_remainder_in(remainders, bits, at, new);
    Some(Insertion::Done)
}
