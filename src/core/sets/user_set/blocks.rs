//! The words of a quotient filter's table: bitmaps and packed remainders, in blocks of 64 slots.
//!
//! A block is `3 + remainder_bits` words: a bit per slot that it is *used*, a bit per home that some fingerprint in the
//! table has it (*occupied*), a bit per slot that it ends a *run*, and the packed remainders, least significant first.
//! Slots beyond the last block read as unused and writing them does nothing.

pub(super) const USED: usize = 0;
pub(super) const OCCUPIED: usize = 1;
pub(super) const RUN_END: usize = 2;
pub(super) const BITMAPS: usize = 3;

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

    /// The words of a block.
    pub(super) fn block(&self, block: usize) -> Option<&[u64]> {
        self.words.get(block * self.stride()..(block + 1) * self.stride())
    }

    /// The words of a block.
    pub(super) fn block_mut(&mut self, block: usize) -> Option<&mut [u64]> {
        let stride = self.stride();
        self.words.get_mut(block * stride..(block + 1) * stride)
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
        let at = slot / BLOCK_SLOTS * self.stride() + bitmap;
        if let Some(word) = self.words.get_mut(at) {
            *word &= !(1 << (slot % BLOCK_SLOTS));
        }
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
        let block = self.block(slot / BLOCK_SLOTS).unwrap_or_default();
        remainder_in(block.get(BITMAPS..).unwrap_or_default(), self.remainder_bits as usize, slot % BLOCK_SLOTS)
    }

    pub(super) fn put_remainder(&mut self, slot: usize, remainder: u64) {
        let bits = self.remainder_bits as usize;
        if let Some(remainders) = self.block_mut(slot / BLOCK_SLOTS).and_then(|block| block.get_mut(BITMAPS..)) {
            put_remainder_in(remainders, bits, slot % BLOCK_SLOTS, remainder);
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
            let (bits, words) = (self.remainder_bits as usize, self.block_mut(block));
            if let Some(remainders) = words.and_then(|words| words.get_mut(BITMAPS..)) {
                shift_remainders(remainders, bits, low - first, high - first);
            }
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
}

/// Lays remainders into blocks that are unused, slot by slot. What a block has of bitmaps is written once.
pub(super) struct Layer<'a> {
    blocks: &'a mut Blocks,
    block: usize,
    used: u64,
    run_ends: u64,
    home_block: usize,
    occupied: u64,
    last_home: usize,
    last_place: usize,
}

impl<'a> Layer<'a> {
    pub(super) const fn new(blocks: &'a mut Blocks) -> Self {
        Self { blocks, block: 0, used: 0, run_ends: 0, home_block: 0, occupied: 0, last_home: 0, last_place: 0 }
    }

    /// Lays a remainder into a slot behind the one before it. Its home is not before that of the one before it.
    #[inline]
    pub(super) fn lay(&mut self, slot: usize, home: usize, remainder: u64) {
        let (block, place) = (slot / BLOCK_SLOTS, slot % BLOCK_SLOTS);
        self.run_ends |= u64::from(home != self.last_home && self.used != 0) << self.last_place;
        if block != self.block {
            self.write_block();
            self.block = block;
        }
        if home / BLOCK_SLOTS != self.home_block {
            self.write_homes();
            self.home_block = home / BLOCK_SLOTS;
        }
        self.used |= 1 << place;
        self.occupied |= 1 << (home % BLOCK_SLOTS);
        (self.last_home, self.last_place) = (home, place);
        let (at, shift) = self.blocks.remainder_place(slot);
        let mut add = |at: usize, bits: u64| self.blocks.words.get_mut(at).into_iter().for_each(|word| *word |= bits);
        add(at, remainder << shift);
        add(at + 1, remainder >> 1 >> (63 - shift));
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) {
        self.run_ends |= u64::from(self.used != 0) << self.last_place;
        self.write_block();
        self.write_homes();
    }

    fn write_block(&mut self) {
        if let Some([used, _, run_ends, ..]) = self.blocks.block_mut(self.block) {
            (*used, *run_ends) = (self.used, self.run_ends);
        }
        (self.used, self.run_ends) = (0, 0);
    }

    fn write_homes(&mut self) {
        if let Some([_, occupied, ..]) = self.blocks.block_mut(self.home_block) {
            *occupied = self.occupied;
        }
        self.occupied = 0;
    }
}

/// Walks the used slots, and the homes of what is in them.
#[derive(Clone)]
pub(super) struct UsedSlots<'a> {
    blocks: &'a Blocks,
    block: usize,
    used: u64,
    run_ends: u64,
    remainders: &'a [u64],
    home_block: usize,
    homes: u64,
}

impl<'a> UsedSlots<'a> {
    /// Those at or behind `slot`, where a cluster begins.
    pub(super) fn new(blocks: &'a Blocks, slot: usize) -> Self {
        let (block, behind) = (slot / BLOCK_SLOTS, u64::MAX << (slot % BLOCK_SLOTS));
        let homes = blocks.word(OCCUPIED, block) & behind;
        let mut slots = Self { blocks, block, used: 0, run_ends: 0, remainders: &[], home_block: block, homes };
        slots.look_at(block);
        slots.used &= behind;
        slots
    }

    fn look_at(&mut self, block: usize) {
        if let Some([used, _, run_ends, remainders @ ..]) = self.blocks.block(block) {
            (self.block, self.used, self.run_ends, self.remainders) = (block, *used, *run_ends, remainders);
        }
    }
}

impl Iterator for UsedSlots<'_> {
    /// The home and the remainder.
    type Item = (usize, u64);

    fn next(&mut self) -> Option<(usize, u64)> {
        while self.used == 0 {
            if self.block + 1 >= self.blocks.len() {
                return None;
            }
            self.look_at(self.block + 1);
        }
        while self.homes == 0 {
            if self.home_block >= self.block {
                return None;
            }
            self.home_block += 1;
            self.homes = self.blocks.word(OCCUPIED, self.home_block);
        }
        let slot = self.used.trailing_zeros() as usize;
        let home = self.home_block * BLOCK_SLOTS + self.homes.trailing_zeros() as usize;
        self.used &= self.used - 1;
        // Without a branch, which would be guessed wrongly as often as not: the home has had its last one where the run ends.
        self.homes &= self.homes.wrapping_sub(self.run_ends >> slot & 1);
        Some((home, remainder_in(self.remainders, self.blocks.remainder_bits as usize, slot)))
    }
}

/// The remainder of a slot of a block.
pub(super) fn remainder_in(remainders: &[u64], bits: usize, slot: usize) -> u64 {
    let (at, shift) = (slot * bits / 64, slot * bits % 64);
    let low = remainders.get(at).copied().unwrap_or(0) >> shift;
    // What is not in the next word is shifted out.
    let high = remainders.get(at + 1).copied().unwrap_or(0) << 1 << (63 - shift);
    (low | high) & ((1 << bits) - 1)
}

/// Writes the remainder of a slot of a block.
pub(super) fn put_remainder_in(remainders: &mut [u64], bits: usize, slot: usize, remainder: u64) {
    let (at, shift, mask) = (slot * bits / 64, slot * bits % 64, (1_u64 << bits) - 1);
    if let Some(word) = remainders.get_mut(at) {
        *word = *word & !(mask << shift) | remainder << shift;
    }
    if let Some(word) = remainders.get_mut(at + 1) {
        *word = *word & !(mask >> 1 >> (63 - shift)) | remainder >> 1 >> (63 - shift);
    }
}

/// Moves the remainders `low..high` of a block's one up.
pub(super) fn shift_remainders(remainders: &mut [u64], bits: usize, low: usize, high: usize) {
    let (start, end) = ((low + 1) * bits, (high + 1) * bits);
    for at in (start / 64..end.div_ceil(64)).rev() {
        let below = if at == 0 { 0 } else { remainders.get(at - 1).copied().unwrap_or(0) };
        let moved = bit_range(start.saturating_sub(at * 64), (end - at * 64).min(64));
        if let Some(word) = remainders.get_mut(at) {
            *word = *word & !moved | (*word << bits | below >> (64 - bits)) & moved;
        }
    }
}

/// A word with the bits `from..to` set, `to` at most 64.
pub(super) const fn bit_range(from: usize, to: usize) -> u64 {
    if from >= to { 0 } else { u64::MAX >> (64 - (to - from)) << from }
}
