//! The table of the quotient filter: sorted fingerprints in slots near their home.
//!
//! Slots come in blocks of 64. A block is `3 + remainder_bits` words: a bit per slot that it is *used*, a bit per home
//! that some fingerprint in the table has it (*occupied*), a bit per slot that it ends a *run* of one home, and the
//! packed remainders. Fingerprint `f` has home `f / divisor` and remainder `f % divisor`. Fingerprints lie in ascending
//! order; a run starts at its home or, where that is taken, right behind the run before it. So the n-th run of a
//! cluster (a stretch of used slots) belongs to its n-th occupied home.

use super::UserSet;

const USED: usize = 0;
const OCCUPIED: usize = 1;
const RUN_END: usize = 2;
const BITMAPS: usize = 3;
const BLOCK_SLOTS: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    words: Vec<u64>,
    divisor: u64,
    slots: u32,
    len: u32,
}

/// Slots at the end that are nobody's home, for the cluster that reaches there.
const fn spare_slots(slots: usize) -> usize {
    if slots / 8 < 64 { slots / 8 } else { 64 }
}

const fn divisor(slots: usize) -> u64 {
    (1_u64 << UserSet::FINGERPRINT_BITS).div_ceil((slots - spare_slots(slots)) as u64)
}

const fn remainder_bits(divisor: u64) -> usize {
    (u64::BITS - divisor.saturating_sub(1).leading_zeros()) as usize
}

impl Table {
    /// Bytes that a table of `slots` allocates.
    pub(super) fn bytes(slots: usize) -> usize {
        if slots == 0 { 0 } else { slots / BLOCK_SLOTS * (BITMAPS + remainder_bits(divisor(slots))) * 8 }
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.words.len() * 8
    }

    pub(super) fn len(&self) -> u64 {
        u64::from(self.len)
    }

    fn slots(&self) -> usize {
        self.slots as usize
    }

    /// The next greater size.
    pub(super) fn grown_slots(&self) -> usize {
        (self.slots() + self.slots() / 4 + 1).next_multiple_of(BLOCK_SLOTS)
    }

    /// The least size that takes `len` fingerprints by count (a long last cluster may want the next one).
    pub(super) fn slots_for(len: u64) -> usize {
        let mut table = Self::default();
        while capacity(table.slots()) < len {
            table.slots = table.grown_slots() as u32;
        }
        table.slots()
    }

    fn with_slots(slots: usize) -> Self {
        let divisor = divisor(slots);
        let words = slots / BLOCK_SLOTS * (BITMAPS + remainder_bits(divisor));
        Self { words: vec![0; words], divisor, slots: slots as u32, len: 0 }
    }

    /// A table of at least `slots` slots that holds strictly ascending fingerprints.
    pub(super) fn from_sorted(fingerprints: &(impl Iterator<Item = u64> + Clone), mut slots: usize) -> Self {
        loop {
            let mut table = Self::with_slots(slots);
            if table.fill(fingerprints.clone()) {
                return table;
            }
            slots = table.grown_slots();
        }
    }

    fn fill(&mut self, fingerprints: impl Iterator<Item = u64>) -> bool {
        let (mut next, mut last_home) = (0, None);
        for fingerprint in fingerprints {
            let (home, remainder) = self.split(fingerprint);
            if last_home == Some(home) {
                self.clear(RUN_END, next - 1);
            } else {
                self.set(OCCUPIED, home);
                next = next.max(home);
                last_home = Some(home);
            }
            if next >= self.slots() || self.len() >= capacity(self.slots()) {
                return false;
            }
            self.put(next, remainder);
            self.set(RUN_END, next);
            next += 1;
        }
        true
    }

    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        if self.slots == 0 {
            return false;
        }
        let (home, remainder) = self.split(fingerprint);
        self.get(OCCUPIED, home) && self.find(home, remainder).is_ok()
    }

    /// Inserts an absent fingerprint; false, and nothing done, where the table has no room for it.
    pub(super) fn insert(&mut self, fingerprint: u64) -> bool {
        if self.len() >= capacity(self.slots()) {
            return false;
        }
        let (home, remainder) = self.split(fingerprint);
        let Some(position) = self.position(home, remainder) else {
            return true;
        };
        let Some(free) = self.next_unused(position.slot) else {
            return false;
        };
        self.shift(position.slot, free);
        self.put(position.slot, remainder);
        if position.ends_run {
            self.set(RUN_END, position.slot);
            if position.extends_run {
                self.clear(RUN_END, position.slot - 1);
            }
        } else {
            self.clear(RUN_END, position.slot);
        }
        self.set(OCCUPIED, home);
        true
    }

    /// Takes a fingerprint out by laying its cluster anew without it.
    pub(super) fn remove(&mut self, fingerprint: u64) -> bool {
        if !self.contains(fingerprint) {
            return false;
        }
        let (home, _) = self.split(fingerprint);
        let start = self.cluster_start(home);
        let end = self.next_unused(home).unwrap_or(self.slots());
        let kept: Vec<u64> = self.iter_from(start).take(end - start).filter(|&kept| kept != fingerprint).collect();
        for slot in start..end {
            self.clear(USED, slot);
            self.clear(OCCUPIED, slot);
            self.clear(RUN_END, slot);
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
        Iter { table: self, slot, home: slot, run_starts: true }
    }

    fn split(&self, fingerprint: u64) -> (usize, u64) {
        let divisor = self.divisor.max(1);
        ((fingerprint / divisor) as usize, fingerprint % divisor)
    }

    /// The slot of a remainder in the run of its home, or `Err` with where it would have to be.
    fn find(&self, home: usize, remainder: u64) -> Result<usize, Position> {
        let (start, end) = self.run(home);
        let mut slot = start;
        while slot <= end {
            let there = self.remainder(slot);
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

    /// Where an absent fingerprint belongs; `None` where it is present.
    fn position(&self, home: usize, remainder: u64) -> Option<Position> {
        if self.get(OCCUPIED, home) {
            return self.find(home, remainder).err();
        }
        let slot = if self.get(USED, home) {
            let start = self.cluster_start(home);
            self.select_run_end(start, self.count(OCCUPIED, start, home)) + 1
        } else {
            home
        };
        Some(Position { slot, ends_run: true, extends_run: false })
    }

    /// First and last slot of the run of an occupied home.
    fn run(&self, home: usize) -> (usize, usize) {
        let cluster = self.cluster_start(home);
        let before = self.count(OCCUPIED, cluster, home);
        let start = if before == 0 { cluster } else { self.select_run_end(cluster, before) + 1 };
        (start, self.select_run_end(start, 1))
    }

    /// Moves the slots `from..free` one to the right, into the unused slot `free`; `from` is then unused.
    fn shift(&mut self, from: usize, free: usize) {
        for block in (from / BLOCK_SLOTS..=free / BLOCK_SLOTS).rev() {
            let first = block * BLOCK_SLOTS;
            let low = from.max(first);
            let high = free.min(first + BLOCK_SLOTS - 1);
            self.shift_run_ends(block, low - first, high - first);
            self.shift_remainders(block, low - first, high - first);
            if low > from {
                // The last slot of the block before comes in at the front.
                let remainder = self.remainder(low - 1);
                self.put_remainder(low, remainder);
                if self.get(RUN_END, low - 1) {
                    self.set(RUN_END, low);
                }
            }
        }
        self.set(USED, free);
        self.clear(USED, from);
    }

    /// Moves the run ends `low..high` of a block one up and clears the lowest.
    fn shift_run_ends(&mut self, block: usize, low: usize, high: usize) {
        let at = block * self.stride() + RUN_END;
        let moved = bit_range(low, high + 1);
        if let Some(word) = self.words.get_mut(at) {
            *word = *word & !moved | (*word << 1) & moved & !(1 << low);
        }
    }

    /// Moves the remainders `low..high` of a block one up.
    fn shift_remainders(&mut self, block: usize, low: usize, high: usize) {
        let bits = self.stride() - BITMAPS;
        let (start, end) = ((low + 1) * bits, (high + 1) * bits);
        let base = block * self.stride() + BITMAPS;
        for at in (start / 64..end.div_ceil(64)).rev() {
            let below = if at == 0 { 0 } else { self.words.get(base + at - 1).copied().unwrap_or(0) };
            let moved = bit_range(start.saturating_sub(at * 64), (end - at * 64).min(64));
            if let Some(word) = self.words.get_mut(base + at) {
                *word = *word & !moved | (*word << bits | below >> (64 - bits)) & moved;
            }
        }
    }

    /// Writes a remainder into an unused slot.
    fn put(&mut self, slot: usize, remainder: u64) {
        self.put_remainder(slot, remainder);
        self.set(USED, slot);
        self.len += 1;
    }
}

/// Where a fingerprint goes, and what that does to its run.
struct Position {
    slot: usize,
    ends_run: bool,
    extends_run: bool,
}

/// A word with the bits `from..to` set, `to` at most 64.
const fn bit_range(from: usize, to: usize) -> u64 {
    if from >= to { 0 } else { u64::MAX >> (64 - (to - from)) << from }
}

/// How many fingerprints a table of `slots` takes: seven eighths, beyond which clusters become long.
const fn capacity(slots: usize) -> u64 {
    (slots - slots / 8) as u64
}

/// Bits and words.
impl Table {
    fn stride(&self) -> usize {
        BITMAPS + remainder_bits(self.divisor)
    }

    fn word(&self, bitmap: usize, block: usize) -> u64 {
        self.words.get(block * self.stride() + bitmap).copied().unwrap_or(0)
    }

    fn get(&self, bitmap: usize, slot: usize) -> bool {
        self.word(bitmap, slot / BLOCK_SLOTS) >> (slot % BLOCK_SLOTS) & 1 == 1
    }

    fn set(&mut self, bitmap: usize, slot: usize) {
        let at = slot / BLOCK_SLOTS * self.stride() + bitmap;
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (slot % BLOCK_SLOTS);
        }
    }

    fn clear(&mut self, bitmap: usize, slot: usize) {
        let at = slot / BLOCK_SLOTS * self.stride() + bitmap;
        if let Some(word) = self.words.get_mut(at) {
            *word &= !(1 << (slot % BLOCK_SLOTS));
        }
    }

    /// The first slot of the cluster that `slot` is in or would join.
    fn cluster_start(&self, slot: usize) -> usize {
        let mut block = slot / BLOCK_SLOTS;
        let below = (1_u64 << (slot % BLOCK_SLOTS)) - 1;
        let mut unused = !self.word(USED, block) & below;
        loop {
            if unused != 0 {
                return block * BLOCK_SLOTS + (64 - unused.leading_zeros() as usize);
            }
            if block == 0 {
                return 0;
            }
            block -= 1;
            unused = !self.word(USED, block);
        }
    }

    /// The first unused slot at or behind `slot`.
    fn next_unused(&self, slot: usize) -> Option<usize> {
        let mut block = slot / BLOCK_SLOTS;
        let mut unused = !self.word(USED, block) & (u64::MAX << (slot % BLOCK_SLOTS));
        while block * BLOCK_SLOTS < self.slots() {
            if unused != 0 {
                return Some(block * BLOCK_SLOTS + unused.trailing_zeros() as usize);
            }
            block += 1;
            unused = !self.word(USED, block);
        }
        None
    }

    /// The first set bit of a bitmap at or behind `slot`.
    fn next_set(&self, bitmap: usize, slot: usize) -> Option<usize> {
        let mut block = slot / BLOCK_SLOTS;
        let mut bits = self.word(bitmap, block) & (u64::MAX << (slot % BLOCK_SLOTS));
        while block * BLOCK_SLOTS < self.slots() {
            if bits != 0 {
                return Some(block * BLOCK_SLOTS + bits.trailing_zeros() as usize);
            }
            block += 1;
            bits = self.word(bitmap, block);
        }
        None
    }

    /// Set bits of a bitmap in `from..to`.
    fn count(&self, bitmap: usize, from: usize, to: usize) -> usize {
        let (first, last) = (from / BLOCK_SLOTS, to / BLOCK_SLOTS);
        let mut count = 0;
        for block in first..=last {
            let mut word = self.word(bitmap, block);
            if block == first {
                word &= u64::MAX << (from % BLOCK_SLOTS);
            }
            if block == last {
                word &= (1 << (to % BLOCK_SLOTS)) - 1;
            }
            count += word.count_ones() as usize;
        }
        count
    }

    /// The `n`-th run end (from 1) at or behind `from`.
    fn select_run_end(&self, from: usize, mut n: usize) -> usize {
        let mut block = from / BLOCK_SLOTS;
        let mut word = self.word(RUN_END, block) & (u64::MAX << (from % BLOCK_SLOTS));
        while block * BLOCK_SLOTS < self.slots() {
            let ones = word.count_ones() as usize;
            if ones >= n {
                for _ in 1..n {
                    word &= word - 1;
                }
                return block * BLOCK_SLOTS + word.trailing_zeros() as usize;
            }
            n -= ones;
            block += 1;
            word = self.word(RUN_END, block);
        }
        self.slots()
    }

    fn remainder(&self, slot: usize) -> u64 {
        let bits = self.stride() - BITMAPS;
        let bit = slot % BLOCK_SLOTS * bits;
        let at = slot / BLOCK_SLOTS * self.stride() + BITMAPS + bit / 64;
        let low = self.words.get(at).copied().unwrap_or(0) >> (bit % 64);
        let high =
            if bit % 64 + bits > 64 { self.words.get(at + 1).copied().unwrap_or(0) << (64 - bit % 64) } else { 0 };
        (low | high) & ((1 << bits) - 1)
    }

    fn put_remainder(&mut self, slot: usize, remainder: u64) {
        let bits = self.stride() - BITMAPS;
        let bit = slot % BLOCK_SLOTS * bits;
        let at = slot / BLOCK_SLOTS * self.stride() + BITMAPS + bit / 64;
        let mask = (1_u64 << bits) - 1;
        if let Some(word) = self.words.get_mut(at) {
            *word = *word & !(mask << (bit % 64)) | remainder << (bit % 64);
        }
        if bit % 64 + bits > 64 {
            let done = 64 - bit % 64;
            if let Some(word) = self.words.get_mut(at + 1) {
                *word = *word & !(mask >> done) | remainder >> done;
            }
        }
    }
}

/// Walks a table in ascending order of fingerprints.
#[derive(Clone)]
pub(super) struct Iter<'a> {
    table: &'a Table,
    slot: usize,
    home: usize,
    run_starts: bool,
}

impl Iterator for Iter<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let slot = self.table.next_set(USED, self.slot)?;
        if self.run_starts {
            self.home = self.table.next_set(OCCUPIED, self.home)?;
        }
        let fingerprint = self.home as u64 * self.table.divisor + self.table.remainder(slot);
        self.run_starts = self.table.get(RUN_END, slot);
        if self.run_starts {
            self.home += 1;
        }
        self.slot = slot + 1;
        Some(fingerprint)
    }
}
