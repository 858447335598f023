//! The set of users who did an event: a quotient filter over keyed fingerprints.
//!
//! Promises:
//! - never a false "absent": a fingerprint that was inserted is contained until it is removed;
//! - a false "present" has probability `len / 2^bits` for any absent user: at most [`UserSet::FALSE_POSITIVE_RATE_MAX`]
//!   at [`UserSet::FINGERPRINT_BITS`] bits and [`UserSet::CAPACITY_MAX`] users;
//! - the content, and with it the encoding, depends on what was inserted and not on the order;
//! - 19 to 25 bits a user at a million users, 280 bytes at one; it grows by a quarter at a time.
//!
//! Structure: Bender et al., "Don't Thrash: How to Cache Your Hash on Flash" (VLDB 2012), with the occupied and run-end
//! bits of Pandey et al., "A General-Purpose Counting Filter" (SIGMOD 2017). Departures: quotient and remainder come
//! from a division, so that the table need not be a power of two; there is no wrap-around, spare slots at the end take
//! the last cluster; and a bit per slot says whether it is used, which replaces the offsets.

mod blocks;
mod codec;
mod table;

use table::{Insertion, Table};

/// Why a fingerprint was not inserted. The set is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// [`UserSet::capacity_max`] is reached: the fingerprints have no bits for more.
    Capacity,
    /// The table would have to grow by more bytes than allowed.
    Memory,
}

/// A set of fingerprints. See the [module](self) for its promises.
///
/// # Example
/// ```
/// use kimball_edge::core::sets::user_set::UserSet;
/// let mut users = UserSet::new();
/// assert_eq!(users.insert(0x1234_5678_9abc_def0, usize::MAX), Ok(true));
/// assert_eq!(users.insert(0x1234_5678_9abc_def0, usize::MAX), Ok(false));
/// assert!(users.contains(0x1234_5678_9abc_def0));
/// assert_eq!(users.len(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct UserSet {
    table: Table,
}

impl UserSet {
    /// Bits kept of each 64-bit fingerprint, the uppermost, unless another number is chosen.
    pub const FINGERPRINT_BITS: u8 = 36;
    /// The fewest bits that can be chosen.
    pub const FINGERPRINT_BITS_MIN: u8 = 16;
    /// The most bits that can be chosen: what the encoding takes in one piece.
    pub const FINGERPRINT_BITS_MAX: u8 = 56;
    /// The most users of a set with [`Self::FINGERPRINT_BITS`]: `FALSE_POSITIVE_RATE_MAX * 2^FINGERPRINT_BITS`.
    pub const CAPACITY_MAX: u64 = 6_871_947;
    /// The greatest probability that an absent user is taken for present, with [`Self::FINGERPRINT_BITS`].
    pub const FALSE_POSITIVE_RATE_MAX: f64 = 1e-4;

    /// An empty set. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Table::new(Self::FINGERPRINT_BITS) }
    }

    /// An empty set that keeps so many bits of each fingerprint; `None` where it cannot be that many.
    #[must_use]
    pub fn with_fingerprint_bits(bits: u8) -> Option<Self> {
        let is_possible = (Self::FINGERPRINT_BITS_MIN..=Self::FINGERPRINT_BITS_MAX).contains(&bits);
        is_possible.then(|| Self { table: Table::new(bits) })
    }

    /// Bits kept of each fingerprint.
    #[must_use]
    pub const fn fingerprint_bits(&self) -> u8 {
        self.table.fingerprint_bits()
    }

    /// The most users that the set takes: a tenth of all fingerprints, or [`Self::CAPACITY_MAX`] with the usual bits.
    #[must_use]
    pub const fn capacity_max(&self) -> u64 {
        match self.fingerprint_bits() {
            Self::FINGERPRINT_BITS => Self::CAPACITY_MAX,
            bits => {
                let tenth = (1 << bits) / 10;
                if tenth < SLOTS_MAX { tenth } else { SLOTS_MAX }
            }
        }
    }

    /// How many distinct fingerprints were inserted. At `n` users it is short of the true number by
    /// `n / 2^37` of it in expectation (0.0007 % at a million).
    #[must_use]
    pub fn len(&self) -> u64 {
        self.table.len()
    }

    /// Whether nothing was inserted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the set takes in memory, its own struct included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.table.allocated_bytes()
    }

    /// Whether a fingerprint (64 bits, of which the upper [`Self::fingerprint_bits`] count) was inserted.
    #[must_use]
    pub fn contains(&self, fingerprint: u64) -> bool {
        self.table.contains(self.truncate(fingerprint))
    }

    /// Adds a fingerprint and says whether it was absent. The table may grow by at most `growth_bytes`.
    ///
    /// # Errors
    /// [`Full`] when there is no room; a fingerprint that is present already never fails.
    pub fn insert(&mut self, fingerprint: u64, growth_bytes: usize) -> Result<bool, Full> {
        self.insert_truncated(self.truncate(fingerprint), growth_bytes)
    }

    fn insert_truncated(&mut self, fingerprint: u64, growth_bytes: usize) -> Result<bool, Full> {
        if self.len() >= self.capacity_max() {
            return if self.table.contains(fingerprint) { Ok(false) } else { Err(Full::Capacity) };
        }
        loop {
            match self.table.insert(fingerprint) {
                Insertion::Done => return Ok(true),
                Insertion::Present => return Ok(false),
                Insertion::NoRoom => {}
            }
            let grown = self.table.grown_slots();
            let grown_bytes = self.table.bytes(grown).saturating_sub(self.table.allocated_bytes());
            if grown_bytes > growth_bytes {
                return Err(Full::Memory);
            }
            self.table = Table::from_sorted(&self.table.iter(), grown, self.fingerprint_bits());
        }
    }

    /// Gives back what removals left unused: the table is then as if the fingerprints had just been inserted.
    pub fn shrink(&mut self) {
        let slots = Table::slots_for(self.len());
        if self.table.bytes(slots) < self.table.allocated_bytes() {
            let bits = self.fingerprint_bits();
            self.table =
                if slots == 0 { Table::new(bits) } else { Table::from_sorted(&self.table.iter(), slots, bits) };
        }
    }

    /// Takes a fingerprint out and says whether it was present. The table stays as large; see [`Self::shrink`].
    pub fn remove(&mut self, fingerprint: u64) -> bool {
        self.table.remove(self.truncate(fingerprint))
    }

    /// Bytes by which the set may grow with so many insertions; where they lie badly, by the growth of a quarter more.
    #[must_use]
    pub fn growth_bytes(&self, insertions: u64) -> usize {
        self.table.bytes(self.table.slots_with(insertions)).saturating_sub(self.table.allocated_bytes())
    }

    /// Adds everything that `other` holds. Commutative and associative in its content.
    ///
    /// # Errors
    /// [`Full::Capacity`] when the union has more than [`Self::capacity_max`], `self` then holding a part of it, or when
    /// the sets keep different numbers of bits.
    pub fn merge(&mut self, other: &Self) -> Result<(), Full> {
        if self.fingerprint_bits() != other.fingerprint_bits() {
            return Err(Full::Capacity);
        }
        for fingerprint in other.table.iter() {
            self.insert_truncated(fingerprint, usize::MAX)?;
        }
        Ok(())
    }

    const fn truncate(&self, fingerprint: u64) -> u64 {
        fingerprint >> (u64::BITS - self.fingerprint_bits() as u32)
    }
}

impl Default for UserSet {
    fn default() -> Self {
        Self::new()
    }
}

/// Far below what slots can be counted with, far above what the memory of a shard can hold.
const SLOTS_MAX: u64 = 1 << 28;

impl PartialEq for UserSet {
    /// Equal content; the tables may differ in size after removals.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.fingerprint_bits() == other.fingerprint_bits()
            && self.table.iter().eq(other.table.iter())
    }
}

impl Eq for UserSet {}

const _: () = assert!(
    (UserSet::CAPACITY_MAX as f64) / ((1_u64 << UserSet::FINGERPRINT_BITS) as f64) <= UserSet::FALSE_POSITIVE_RATE_MAX
);
