//! The set of users who did an event: a quotient filter over keyed fingerprints.
//!
//! Promises:
//! - never a false "absent": a fingerprint that was inserted is contained until it is removed;
//! - a false "present" has probability at most [`UserSet::FALSE_POSITIVE_RATE_MAX`] for any absent user;
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

use table::Table;

/// Why a fingerprint was not inserted. The set is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// [`UserSet::CAPACITY_MAX`] is reached: more would break the false-positive bound.
    Capacity,
    /// The table would have to grow by more bytes than allowed.
    Memory,
}

/// A set of fingerprints. See the [module](self) for its promises.
///
/// # Example
/// ```
/// use kimball_edge::core::user_set::UserSet;
/// let mut users = UserSet::new();
/// assert_eq!(users.insert(0x1234_5678_9abc_def0, usize::MAX), Ok(true));
/// assert_eq!(users.insert(0x1234_5678_9abc_def0, usize::MAX), Ok(false));
/// assert!(users.contains(0x1234_5678_9abc_def0));
/// assert_eq!(users.len(), 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct UserSet {
    table: Table,
}

impl UserSet {
    /// Bits kept of each 64-bit fingerprint, the uppermost.
    pub const FINGERPRINT_BITS: u32 = 36;
    /// The most users a set takes: `FALSE_POSITIVE_RATE_MAX * 2^FINGERPRINT_BITS`.
    pub const CAPACITY_MAX: u64 = 6_871_947;
    /// The greatest probability that an absent user is taken for present: `len / 2^FINGERPRINT_BITS` at full capacity.
    pub const FALSE_POSITIVE_RATE_MAX: f64 = 1e-4;

    /// An empty set. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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

    /// Whether a fingerprint (64 bits, of which the upper [`Self::FINGERPRINT_BITS`] count) was inserted.
    #[must_use]
    pub fn contains(&self, fingerprint: u64) -> bool {
        self.table.contains(truncate(fingerprint))
    }

    /// Adds a fingerprint and says whether it was absent. The table may grow by at most `growth_bytes`.
    ///
    /// # Errors
    /// [`Full`] when there is no room; a fingerprint that is present already never fails.
    pub fn insert(&mut self, fingerprint: u64, growth_bytes: usize) -> Result<bool, Full> {
        self.insert_truncated(truncate(fingerprint), growth_bytes)
    }

    fn insert_truncated(&mut self, fingerprint: u64, growth_bytes: usize) -> Result<bool, Full> {
        if self.table.contains(fingerprint) {
            return Ok(false);
        }
        if self.len() >= Self::CAPACITY_MAX {
            return Err(Full::Capacity);
        }
        while !self.table.insert(fingerprint) {
            let grown = self.table.grown_slots();
            let grown_bytes = Table::bytes(grown).saturating_sub(self.table.allocated_bytes());
            if grown_bytes > growth_bytes {
                return Err(Full::Memory);
            }
            self.table = Table::from_sorted(&self.table.iter(), grown);
        }
        Ok(true)
    }

    /// Gives back what removals left unused: the table is then as if the fingerprints had just been inserted.
    pub fn shrink(&mut self) {
        let slots = Table::slots_for(self.len());
        if Table::bytes(slots) < self.table.allocated_bytes() {
            self.table = if slots == 0 { Table::default() } else { Table::from_sorted(&self.table.iter(), slots) };
        }
    }

    /// Takes a fingerprint out and says whether it was present. The table stays as large; see [`Self::shrink`].
    pub fn remove(&mut self, fingerprint: u64) -> bool {
        self.table.remove(truncate(fingerprint))
    }

    /// Adds everything that `other` holds. Commutative and associative in its content.
    ///
    /// # Errors
    /// [`Full::Capacity`] when the union has more than [`Self::CAPACITY_MAX`]; `self` then holds a part of it.
    pub fn merge(&mut self, other: &Self) -> Result<(), Full> {
        for fingerprint in other.table.iter() {
            self.insert_truncated(fingerprint, usize::MAX)?;
        }
        Ok(())
    }
}

impl PartialEq for UserSet {
    /// Equal content; the tables may differ in size after removals.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.table.iter().eq(other.table.iter())
    }
}

impl Eq for UserSet {}

fn truncate(fingerprint: u64) -> u64 {
    fingerprint >> (u64::BITS - UserSet::FINGERPRINT_BITS)
}

const _: () = assert!(
    (UserSet::CAPACITY_MAX as f64) / ((1_u64 << UserSet::FINGERPRINT_BITS) as f64) <= UserSet::FALSE_POSITIVE_RATE_MAX
);
