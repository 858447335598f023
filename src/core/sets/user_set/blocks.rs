//! The words of a quotient filter's table: bitmaps and packed remainders, in blocks of 64 slots.
//!
//! A block is `3 + remainder_bits` words: a bit per slot that it is *used*, a bit per home that some fingerprint in the
//! table has it (*occupied*), a bit per slot that it ends a *run*, and the packed remainders, least significant first.
//! Slots beyond the last block read as unused and writing them does nothing.

pub(super) const USED: usize = 0;
pub(super) const OCCUPIED: usize = 1;
pub(super) const RUN_END: usize = 2;
const BITMAPS: usize = 3;

/// Slots of one block, one bit each in a word of every bitmap.
pub(super) const BLOCK_SLOTS: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct Blocks {
    words: Vec<u64>,
    remainder_bits: u32,
    len: u32,
}

impl Blocks {
    /// Bytes that so many slots take.
    pub(super) const fn bytes(slots: usize, remainder_bits: u32) -> usize {
        slots / BLOCK_SLOTS * (BITMAPS + remainder_bits as usize) * 8
    }

    /// Unused slots, a multiple of [`BLOCK_SLOTS`].
    pub(super) fn new(slots: usize, remainder_bits: u32) -> Self {
        let words = vec![0; Self::bytes(slots, remainder_bits) / 8];
        Self { words, remainder_bits, len: (slots / BLOCK_SLOTS) as u32 }
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.words.len() * 8
    }

    const fn stride(&self) -> usize {
        BITMAPS + self.remainder_bits as usize
    }

    const fn len(&self) -> usize {
        self.len as usize
    }

    fn word(&self, bitmap: usize, block: usize) -> u64 {
        self.words.get(block * self.stride() + bitmap).copied().unwrap_or(0)
    }

    pub(super) fn get(&self, bitmap: usize, slot: usize) -> bool {
        self.word(bitmap, slot / BLOCK_SLOTS) >> (slot % BLOCK_SLOTS) & 1 == 1
    }

    pub(super) fn set(&mut self, bitmap: usize, slot: usize) {
        let at = slot / BLOCK_SLOTS * self.stride() + bitmap;
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (slot % BLOCK_SLOTS);
        }
    }

    pub(super) fn clear(&mut self, bitmap: usize, slot: usize) {
        self.clear_if(bitmap, slot, true);
    }

    /// Clears a bit, or leaves it as it is, without a branch.
    pub(super) fn clear_if(&mut self, bitmap: usize, slot: usize, condition: bool) {
        let at = slot / BLOCK_SLOTS * self.stride() + bitmap;
        if let Some(word) = self.words.get_mut(at) {
            *word &= !(u64::from(condition) << (slot % BLOCK_SLOTS));
        }
    }

    /// Uses an unused slot that was never written to, as the end of a run.
    pub(super) fn append(&mut self, slot: usize, remainder: u64) {
        let (first, bit) = (slot / BLOCK_SLOTS * self.stride(), 1 << (slot % BLOCK_SLOTS));
        let (at, shift) = self.remainder_place(slot);
        let mut add = |at: usize, bits: u64| self.words.get_mut(at).into_iter().for_each(|word| *word |= bits);
        add(first + USED, bit);
        add(first + RUN_END, bit);
        add(at, remainder << shift);
        add(at + 1, remainder >> 1 >> (63 - shift));
    }

    /// Uses an unused slot for a remainder that has its home there, in a run of its own.
    pub(super) fn put_alone(&mut self, slot: usize, remainder: u64) {
        let (first, bit) = (slot / BLOCK_SLOTS * self.stride(), 1 << (slot % BLOCK_SLOTS));
        if let Some(bitmaps) = self.words.get_mut(first..first + BITMAPS) {
            for word in bitmaps {
                *word |= bit;
            }
        }
        self.put_remainder(slot, remainder);
    }

    /// The first slot of the cluster that `slot` is in or would join.
    pub(super) fn cluster_start(&self, slot: usize) -> usize {
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
    pub(super) fn next_unused(&self, slot: usize) -> Option<usize> {
        let mut block = slot / BLOCK_SLOTS;
        let mut unused = !self.word(USED, block) & (u64::MAX << (slot % BLOCK_SLOTS));
        while block < self.len() {
            if unused != 0 {
                return Some(block * BLOCK_SLOTS + unused.trailing_zeros() as usize);
            }
            block += 1;
            unused = !self.word(USED, block);
        }
        None
    }

    /// The set bits of a bitmap at or behind `slot`, ascending.
    pub(super) fn ones(&self, bitmap: usize, slot: usize) -> Ones<'_> {
        let block = slot / BLOCK_SLOTS;
        let bits = self.word(bitmap, block) & (u64::MAX << (slot % BLOCK_SLOTS));
        Ones { blocks: self, bitmap, block, end: self.len(), bits }
    }

    /// Set bits of a bitmap in `from..to`.
    pub(super) fn count(&self, bitmap: usize, from: usize, to: usize) -> usize {
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
    pub(super) fn select_run_end(&self, from: usize, mut n: usize) -> usize {
        let mut block = from / BLOCK_SLOTS;
        let mut word = self.word(RUN_END, block) & (u64::MAX << (from % BLOCK_SLOTS));
        while block < self.len() {
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
        self.len() * BLOCK_SLOTS
    }

    pub(super) fn remainder(&self, slot: usize) -> u64 {
        let (at, shift) = self.remainder_place(slot);
        self.remainder_at(at, shift)
    }

    fn remainder_at(&self, at: usize, shift: usize) -> u64 {
        let low = self.words.get(at).copied().unwrap_or(0) >> shift;
        // Without a branch, which would be guessed wrongly as often as not: what is not in the next word is shifted out.
        let high = self.words.get(at + 1).copied().unwrap_or(0) << 1 << (63 - shift);
        (low | high) & ((1 << self.remainder_bits) - 1)
    }

    pub(super) fn put_remainder(&mut self, slot: usize, remainder: u64) {
        let (at, shift) = self.remainder_place(slot);
        let mask = (1_u64 << self.remainder_bits) - 1;
        if let Some(word) = self.words.get_mut(at) {
            *word = *word & !(mask << shift) | remainder << shift;
        }
        if let Some(word) = self.words.get_mut(at + 1) {
            *word = *word & !(mask >> 1 >> (63 - shift)) | remainder >> 1 >> (63 - shift);
        }
    }

    /// The word in which the remainder of a slot begins, and its bit there.
    const fn remainder_place(&self, slot: usize) -> (usize, usize) {
        let bit = slot % BLOCK_SLOTS * self.remainder_bits as usize;
        (slot / BLOCK_SLOTS * self.stride() + BITMAPS + bit / 64, bit % 64)
    }

    /// Moves the slots `from..free` one to the right, into the unused slot `free`; `from` is then unused.
    pub(super) fn shift(&mut self, from: usize, free: usize) {
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
        let bits = self.remainder_bits as usize;
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
}

/// Walks the set bits of a bitmap, a word at a time.
#[derive(Clone)]
pub(super) struct Ones<'a> {
    blocks: &'a Blocks,
    bitmap: usize,
    block: usize,
    end: usize,
    bits: u64,
}

impl Iterator for Ones<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            self.block += 1;
            if self.block >= self.end {
                return None;
            }
            self.bits = self.blocks.word(self.bitmap, self.block);
        }
        let slot = self.block * BLOCK_SLOTS + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(slot)
    }
}

/// Walks the used slots.
#[derive(Clone)]
pub(super) struct UsedSlots<'a> {
    blocks: &'a Blocks,
    block: usize,
    used: u64,
    run_ends: u64,
}

impl<'a> UsedSlots<'a> {
    /// Those at or behind `slot`.
    pub(super) fn new(blocks: &'a Blocks, slot: usize) -> Self {
        let block = slot / BLOCK_SLOTS;
        let used = blocks.word(USED, block) & (u64::MAX << (slot % BLOCK_SLOTS));
        Self { blocks, block, used, run_ends: blocks.word(RUN_END, block) }
    }
}

impl Iterator for UsedSlots<'_> {
    /// The remainder, and whether it ends a run.
    type Item = (u64, bool);

    fn next(&mut self) -> Option<(u64, bool)> {
        while self.used == 0 {
            self.block += 1;
            if self.block >= self.blocks.len() {
                return None;
            }
            self.used = self.blocks.word(USED, self.block);
            self.run_ends = self.blocks.word(RUN_END, self.block);
        }
        let place = self.used.trailing_zeros() as usize;
        self.used &= self.used - 1;
        let bit = place * self.blocks.remainder_bits as usize;
        let first = self.block * self.blocks.stride() + BITMAPS;
        Some((self.blocks.remainder_at(first + bit / 64, bit % 64), self.run_ends >> place & 1 == 1))
    }
}

/// A word with the bits `from..to` set, `to` at most 64.
const fn bit_range(from: usize, to: usize) -> u64 {
    if from >= to { 0 } else { u64::MAX >> (64 - (to - from)) << from }
}
