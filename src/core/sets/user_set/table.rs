//! The table of the quotient filter: sorted fingerprints in slots near their home.
//!
//! Fingerprint `f` has home `f / divisor` and remainder `f % divisor`. Fingerprints lie in ascending order; a run, those of
//! one home, starts at its home or, where that is taken, right behind the run before it. So the n-th run of a cluster (a
//! stretch of used slots) belongs to its n-th occupied home.

use super::blocks::{BLOCK_SLOTS, Blocks, OCCUPIED, Ones, RUN_END, USED, UsedSlots};

#[derive(Debug, Clone)]
pub(super) struct Table {
    blocks: Blocks,
    divisor: Divisor,
    slots: u32,
    len: u32,
}

/// What a fingerprint is divided by. The processor's own division of 64-bit integers takes longer than all else of a look-up.
#[derive(Debug, Clone, Copy)]
struct Divisor {
    value: u64,
    reciprocal: f64,
}

impl Divisor {
    /// One of at least 1.
    fn new(value: u64) -> Self {
        Self { value, reciprocal: 1.0 / value as f64 }
    }

    /// Quotient and remainder of a fingerprint. The quotient is below 2^32, and three roundings change the product by less than
    /// 2^-50 of it, so what is cut off of that is at most one away from the quotient.
    // Signed numbers convert faster, and fingerprints have at most 56 bits.
    #[allow(clippy::cast_sign_loss, clippy::cast_possible_wrap)]
    fn divide(self, fingerprint: u64) -> (usize, u64) {
        let quotient = (fingerprint as i64 as f64 * self.reciprocal) as i64;
        let remainder = fingerprint as i64 - quotient * self.value as i64;
        if remainder < 0 {
            (quotient as usize - 1, (remainder + self.value as i64) as u64)
        } else if remainder >= self.value as i64 {
            (quotient as usize + 1, (remainder - self.value as i64) as u64)
        } else {
            (quotient as usize, remainder as u64)
        }
    }
}

/// Slots at the end that are nobody's home, for the cluster that reaches there.
const fn spare_slots(slots: usize) -> usize {
    if slots / 8 < 64 { slots / 8 } else { 64 }
}

const fn divisor(slots: usize, fingerprint_bits: u8) -> u64 {
    (1_u64 << fingerprint_bits).div_ceil((slots - spare_slots(slots)) as u64)
}

const fn remainder_bits(divisor: u64) -> u32 {
    u64::BITS - (divisor - 1).leading_zeros()
}

const fn next_slots(slots: usize) -> usize {
    (slots + slots / 4 + 1).next_multiple_of(BLOCK_SLOTS)
}

/// The most slots for fingerprints that should do with so many.
const fn slots_max(slots: usize) -> usize {
    16 * slots + 1024
}

impl Table {
    /// Bytes that a table of `slots`, which are some, allocates.
    pub(super) fn bytes(slots: usize, fingerprint_bits: u8) -> usize {
        Blocks::bytes(slots, remainder_bits(divisor(slots, fingerprint_bits)))
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.blocks.allocated_bytes()
    }

    pub(super) fn len(&self) -> u64 {
        u64::from(self.len)
    }

    fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The next greater size; `None` where that would be out of all proportion: fingerprints that are spread as those of
    /// users are fit long before.
    pub(super) fn grown_slots(&self) -> Option<usize> {
        Some(next_slots(self.slots())).filter(|&slots| slots <= slots_max(Self::slots_for(self.len() + 1)))
    }

    /// Twice the slots.
    #[cfg(not(feature = "browser"))]
    pub(super) fn doubled_slots(&self) -> usize {
        2 * self.slots()
    }

    /// The least size that takes `len` fingerprints by count (a long last cluster may want the next one).
    pub(super) fn slots_for(len: u64) -> usize {
        let mut slots = 0;
        while capacity(slots) < len {
            slots = next_slots(slots);
        }
        slots
    }

    /// The slots that the table will have once so many fingerprints more are in it.
    pub(super) fn slots_with(&self, insertions: u64) -> usize {
        let mut slots = self.slots();
        while capacity(slots) < self.len() + insertions {
            slots = next_slots(slots);
        }
        slots
    }

    /// An empty table.
    pub(super) fn with_slots(slots: usize, fingerprint_bits: u8) -> Self {
        let divisor = divisor(slots, fingerprint_bits);
        let blocks = Blocks::new(slots, remainder_bits(divisor));
        Self { blocks, divisor: Divisor::new(divisor), slots: slots as u32, len: 0 }
    }

    /// A table of at least `slots` slots that holds strictly ascending fingerprints, and their iterator, at its end. `None`
    /// where they would take slots out of all proportion.
    pub(super) fn from_sorted<I: Iterator<Item = u64> + Clone>(
        fingerprints: &I,
        mut slots: usize,
        fingerprint_bits: u8,
    ) -> Option<(Self, I)> {
        let slots_max = slots_max(slots);
        while slots <= slots_max {
            let (mut table, mut fingerprints) = (Self::with_slots(slots, fingerprint_bits), fingerprints.clone());
            if table.fill(&mut fingerprints) {
                return Some((table, fingerprints));
            }
            slots = next_slots(slots);
        }
        None
    }

    fn fill(&mut self, fingerprints: &mut impl Iterator<Item = u64>) -> bool {
        let (mut next, mut last_home) = (0, usize::MAX);
        for fingerprint in fingerprints {
            let (home, remainder) = self.divisor.divide(fingerprint);
            // Behind the one before it, if that has the same home, in the same run. Without a branch, as below.
            let slot = next.max(home);
            if slot >= self.slots() || self.len() >= capacity(self.slots()) {
                return false;
            }
            self.blocks.append(slot, remainder);
            self.len += 1;
            self.blocks.set(OCCUPIED, home);
            self.blocks.clear_if(RUN_END, slot.saturating_sub(1), home == last_home);
            (next, last_home) = (slot + 1, home);
        }
        true
    }

    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        let (home, remainder) = self.divisor.divide(fingerprint);
        self.blocks.get(OCCUPIED, home) && self.find(home, remainder).is_ok()
    }

    /// Inserts a fingerprint, unless it is there or the table has no room for it.
    pub(super) fn insert(&mut self, fingerprint: u64) -> Insertion {
        let (home, remainder) = self.divisor.divide(fingerprint);
        if !self.blocks.get(USED, home) {
            // So nobody has this home: what has is in its slot, or in a cluster that reaches over it.
            if self.len() >= capacity(self.slots()) {
                return Insertion::NoRoom;
            }
            self.blocks.put_alone(home, remainder);
            self.len += 1;
            return Insertion::Done;
        }
        let Some(position) = self.position(home, remainder) else {
            return Insertion::Present;
        };
        if self.len() >= capacity(self.slots()) {
            return Insertion::NoRoom;
        }
        let Some(free) = self.blocks.next_unused(position.slot) else {
            return Insertion::NoRoom;
        };
        self.blocks.shift(position.slot, free);
        self.put(position.slot, remainder);
        if position.ends_run {
            self.blocks.set(RUN_END, position.slot);
            if position.extends_run {
                self.blocks.clear(RUN_END, position.slot - 1);
            }
        } else {
            self.blocks.clear(RUN_END, position.slot);
        }
        self.blocks.set(OCCUPIED, home);
        Insertion::Done
    }

    /// Takes a fingerprint out by laying its cluster anew without it.
    pub(super) fn remove(&mut self, fingerprint: u64) -> bool {
        if !self.contains(fingerprint) {
            return false;
        }
        let (home, _) = self.divisor.divide(fingerprint);
        let start = self.blocks.cluster_start(home);
        let end = self.blocks.next_unused(home).unwrap_or(self.slots());
        let kept: Vec<u64> = self.iter_from(start).take(end - start).filter(|&kept| kept != fingerprint).collect();
        for slot in start..end {
            self.blocks.clear(USED, slot);
            self.blocks.clear(OCCUPIED, slot);
            self.blocks.clear(RUN_END, slot);
        }
        self.len -= (end - start) as u32;
        for fingerprint in kept {
            self.insert(fingerprint);
        }
        true
    }

    /// All fingerprints, ascending.
    pub(super) fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    fn iter_from(&self, slot: usize) -> Iter<'_> {
        let (slots, homes) = (UsedSlots::new(&self.blocks, slot), self.blocks.ones(OCCUPIED, slot));
        Iter { slots, homes, divisor: self.divisor.value, home: 0, run_starts: true }
    }

    /// The slot of a remainder in the run of its home, or `Err` with where it would have to be.
    fn find(&self, home: usize, remainder: u64) -> Result<usize, Position> {
        let (start, end) = self.run(home);
        let mut slot = start;
        while slot <= end {
            let there = self.blocks.remainder(slot);
            if there == remainder {
                return Ok(slot);
            }
            if there > remainder {
                return Err(Position { slot, ends_run: false, extends_run: false });
            }
            slot += 1;
        }
        Err(Position { slot, ends_run: true, extends_run: true })
    }

    /// Where an absent fingerprint belongs whose home is a used slot; `None` where it is present.
    fn position(&self, home: usize, remainder: u64) -> Option<Position> {
        if self.blocks.get(OCCUPIED, home) {
            return self.find(home, remainder).err();
        }
        let start = self.blocks.cluster_start(home);
        let slot = self.blocks.select_run_end(start, self.blocks.count(OCCUPIED, start, home)) + 1;
        Some(Position { slot, ends_run: true, extends_run: false })
    }

    /// First and last slot of the run of an occupied home.
    fn run(&self, home: usize) -> (usize, usize) {
        let cluster = self.blocks.cluster_start(home);
        let before = self.blocks.count(OCCUPIED, cluster, home);
        let start = if before == 0 { cluster } else { self.blocks.select_run_end(cluster, before) + 1 };
        (start, self.blocks.select_run_end(start, 1))
    }

    /// Writes a remainder into an unused slot.
    fn put(&mut self, slot: usize, remainder: u64) {
        self.blocks.put_remainder(slot, remainder);
        self.blocks.set(USED, slot);
        self.len += 1;
    }
}

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

/// Where a fingerprint goes, and what that does to its run.
struct Position {
    slot: usize,
    ends_run: bool,
    extends_run: bool,
}

/// How many fingerprints a table of `slots` takes: seven eighths, beyond which clusters become long.
const fn capacity(slots: usize) -> u64 {
    (slots - slots / 8) as u64
}

/// Walks a table in ascending order of fingerprints.
#[derive(Clone)]
pub(super) struct Iter<'a> {
    slots: UsedSlots<'a>,
    homes: Ones<'a>,
    divisor: u64,
    /// The least fingerprint of the present home.
    home: u64,
    run_starts: bool,
}

impl Iterator for Iter<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (remainder, ends_run) = self.slots.next()?;
        if self.run_starts {
            self.home = self.homes.next()? as u64 * self.divisor;
        }
        self.run_starts = ends_run;
        Some(self.home + remainder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_like_the_processor_at_every_edge() {
        for divisor in [1, 2, 3, 5, 1023, 1024, 1025, 65_537, (1 << 36) / 77 + 1, (1 << 55) / 77 + 1, (1 << 56) - 1] {
            let last = ((1_u64 << 56) - 1) / divisor;
            for quotient in (0..=last.min(200)).chain(last.min(1 << 28).saturating_sub(200)..last.min(1 << 28)) {
                for near in [0, 1, divisor / 2, divisor - 1] {
                    let fingerprint = quotient * divisor + near;
                    let expected = ((fingerprint / divisor) as usize, fingerprint % divisor);
                    assert_eq!(Divisor::new(divisor).divide(fingerprint), expected, "{fingerprint} / {divisor}");
                }
            }
        }
    }
}
