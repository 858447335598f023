//! The table of the quotient filter: sorted fingerprints in slots near their home.
//!
//! Fingerprint `f` has home `f / divisor` and remainder `f % divisor`. Fingerprints lie in ascending order; a run, those of
//! one home, starts at its home or, where that is taken, right behind the run before it. So the n-th run of a cluster (a
//! stretch of used slots) belongs to its n-th occupied home.

use super::blocks::{BLOCK_SLOTS, Blocks, Layer, OCCUPIED, RUN_END, USED, UsedSlots};
use super::one_block::{self, Insertion};

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
    /// Lower bits of a fingerprint that the quotient is reckoned without.
    skipped_bits: u8,
    /// `2^(skipped_bits + scale) / value`, rounded down, in 32 bits.
    reciprocal: u32,
    scale: u8,
}

impl Divisor {
    /// One of at least 1, for fingerprints of so many bits, of which at most `2^28` quotients come.
    fn new(value: u64, fingerprint_bits: u8) -> Self {
        let skipped_bits = u32::from(fingerprint_bits).saturating_sub(u32::BITS);
        // The greatest scale with which the reciprocal is below 2^32.
        let scale = (value >> skipped_bits).max(1).ilog2() + u32::BITS - 1;
        let reciprocal = (1_u128 << (skipped_bits + scale)) / u128::from(value);
        Self { value, skipped_bits: skipped_bits as u8, reciprocal: reciprocal as u32, scale: scale as u8 }
    }

    /// Quotient and remainder of a fingerprint. What is rounded down is less than 2^-2 of the quotient's unit in each of the factors,
    /// so the quotient is right, or one too small (the division is never by less than `2^bits / 2^28`).
    const fn divide(self, fingerprint: u64) -> (usize, u64) {
        let quotient = ((fingerprint >> self.skipped_bits) * self.reciprocal as u64) >> self.scale;
        let remainder = fingerprint - quotient * self.value;
        if remainder >= self.value {
            (quotient as usize + 1, remainder - self.value)
        } else {
            (quotient as usize, remainder)
        }
    }
}

/// A page does not fetch the code for it.
const LOOKS_AT_ONE_BLOCK: bool = cfg!(not(feature = "browser"));

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

    pub(super) fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The next greater size; `None` where that would be out of all proportion: fingerprints that are spread as those of
    /// users are fit long before.
    pub(super) fn grown_slots(&self) -> Option<usize> {
        Some(next_slots(self.slots())).filter(|&slots| slots <= slots_max(Self::slots_for(self.len() + 1)))
    }

    /// The least size of which `len` fingerprints use at most three quarters.
    #[cfg(not(feature = "browser"))]
    pub(super) const fn roomy_slots_for(len: u64) -> usize {
        (len as usize * 4 / 3).next_multiple_of(BLOCK_SLOTS)
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
        Self { blocks, divisor: Divisor::new(divisor, fingerprint_bits), slots: slots as u32, len: 0 }
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
        let (slots, capacity) = (self.slots(), capacity(self.slots()) as usize);
        let (mut next, mut len) = (0, 0);
        let mut layer = Layer::new(&mut self.blocks);
        for fingerprint in fingerprints {
            let (home, remainder) = self.divisor.divide(fingerprint);
            // Behind the one before it, if that has the same home, in the same run.
            let slot = home.max(next);
            if slot >= slots || len >= capacity {
                return false;
            }
            layer.lay(slot, home, remainder);
            (next, len) = (slot + 1, len + 1);
        }
        layer.finish();
        self.len = len as u32;
        true
    }

    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        let (home, remainder) = self.divisor.divide(fingerprint);
        if !self.blocks.get(OCCUPIED, home) {
            return false;
        }
        self.contains_in_block(home, remainder).unwrap_or_else(|| self.find(home, remainder).is_ok())
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
        if let Some(insertion) = self.insert_in_block(home, remainder) {
            return insertion;
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

    fn contains_in_block(&self, home: usize, remainder: u64) -> Option<bool> {
        if !LOOKS_AT_ONE_BLOCK {
            return None;
        }
        let block = home / BLOCK_SLOTS;
        one_block::contains(self.blocks.block(block)?, home % BLOCK_SLOTS, remainder, block == 0)
    }

    fn insert_in_block(&mut self, home: usize, remainder: u64) -> Option<Insertion> {
        if !LOOKS_AT_ONE_BLOCK {
            return None;
        }
        let (block, has_room) = (home / BLOCK_SLOTS, self.len() < capacity(self.slots()));
        let words = self.blocks.block_mut(block)?;
        let insertion = one_block::insert(words, home % BLOCK_SLOTS, remainder, block == 0, has_room)?;
        self.len += u32::from(insertion == Insertion::Done);
        Some(insertion)
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
        Iter { slots: UsedSlots::new(&self.blocks, slot), divisor: self.divisor.value }
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
    divisor: u64,
}

impl Iterator for Iter<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (home, remainder) = self.slots.next()?;
        Some(home as u64 * self.divisor + remainder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_like_the_processor_at_every_edge() {
        for fingerprint_bits in [16, 17, 28, 31, 32, 33, 36, 44, 55, 56] {
            let last = (1_u64 << fingerprint_bits) - 1;
            let slots = [64, 128, 192, 64 * 77, 1 << 14, 64 * 12_345, 1 << 27, 1 << 28];
            for divisor in slots.map(|slots| divisor(slots, fingerprint_bits)) {
                let (of, most) = (Divisor::new(divisor, fingerprint_bits), last / divisor);
                let middle = most / 3..(most / 3 + 100).min(most);
                for quotient in (0..=most.min(200)).chain(middle).chain(most.saturating_sub(200)..=most) {
                    for near in [0, 1, divisor / 2, divisor.saturating_sub(1)] {
                        let fingerprint = (quotient * divisor + near).min(last);
                        let expected = ((fingerprint / divisor) as usize, fingerprint % divisor);
                        assert_eq!(of.divide(fingerprint), expected, "{fingerprint} / {divisor}");
                    }
                }
            }
        }
    }
}
