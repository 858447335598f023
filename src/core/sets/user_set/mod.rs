//! The set of users who did an event: keyed fingerprints, in a quotient filter, or in a sorted list while they are few.
//!
//! Promises:
//! - never a false "absent": a fingerprint that was inserted is contained until it is removed;
//! - a false "present" has probability `len / 2^bits` for any absent user: at most [`UserSet::FALSE_POSITIVE_RATE_MAX`]
//!   at [`UserSet::FINGERPRINT_BITS`] bits and [`UserSet::CAPACITY_MAX`] users;
//! - the content, and with it the encoding, depends on what was inserted and not on the order;
//! - 19 to 25 bits a user at a million users, 8 bytes below 16 users; the filter grows by a quarter at a time.
//!
//! Structure: Bender et al., "Don't Thrash: How to Cache Your Hash on Flash" (VLDB 2012), with the occupied and run-end
//! bits of Pandey et al., "A General-Purpose Counting Filter" (SIGMOD 2017). Departures: quotient and remainder come
//! from a division, so that the table need not be a power of two; there is no wrap-around, spare slots at the end take
//! the last cluster; and a bit per slot says whether it is used, which replaces the offsets.

mod blocks;
mod codec;
mod list;
mod one_block;
mod table;

use std::iter::Peekable;

use list::{LIST_MAX, List};
use one_block::Insertion;
use table::Table;

/// Why a fingerprint was not inserted. The set is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// [`UserSet::capacity_max`] is reached, the fingerprints having no bits for more, or they lie so close to each other that no
    /// table of their number takes them, as those of users never do.
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
    content: Content,
    fingerprint_bits: u8,
}

#[derive(Debug, Clone)]
enum Content {
    List(List),
    Table(Table),
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
        Self::empty(Self::FINGERPRINT_BITS)
    }

    /// An empty set that keeps so many bits of each fingerprint; `None` where it cannot be that many.
    #[must_use]
    pub fn with_fingerprint_bits(bits: u8) -> Option<Self> {
        let is_possible = (Self::FINGERPRINT_BITS_MIN..=Self::FINGERPRINT_BITS_MAX).contains(&bits);
        is_possible.then(|| Self::empty(bits))
    }

    fn empty(fingerprint_bits: u8) -> Self {
        Self { content: Content::List(List::default()), fingerprint_bits }
    }

    /// The set of these fingerprints, of which it keeps so many bits.
    ///
    /// # Errors
    /// [`Full::Capacity`] where they lie so close to each other that no table of their number takes them.
    pub(crate) fn of(mut fingerprints: Vec<u64>, fingerprint_bits: u8) -> Result<Self, Full> {
        let empty = Self::empty(fingerprint_bits);
        for fingerprint in &mut fingerprints {
            *fingerprint = empty.truncate(*fingerprint);
        }
        fingerprints.sort_unstable();
        fingerprints.dedup();
        let set = Self::from_sorted(&fingerprints.iter().copied(), fingerprints.len() as u64, fingerprint_bits);
        set.map(|(set, _)| set).ok_or(Full::Capacity)
    }

    /// The set of strictly ascending fingerprints of so many bits, of which there are `len`, and their iterator, at its end.
    /// `None` where they lie so close to each other that no table of their number takes them.
    fn from_sorted<I: Iterator<Item = u64> + Clone>(
        fingerprints: &I,
        len: u64,
        fingerprint_bits: u8,
    ) -> Option<(Self, I)> {
        let (content, end) = if len < LIST_MAX as u64 {
            let mut fingerprints = fingerprints.clone();
            (Content::List(List::from_sorted(&mut fingerprints, len as usize)), fingerprints)
        } else {
            let (table, end) = Table::from_sorted(fingerprints, Table::slots_for(len), fingerprint_bits)?;
            (Content::Table(table), end)
        };
        Some((Self { content, fingerprint_bits }, end))
    }

    /// Bits kept of each fingerprint.
    #[must_use]
    pub const fn fingerprint_bits(&self) -> u8 {
        self.fingerprint_bits
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
        match &self.content {
            Content::List(list) => list.len() as u64,
            Content::Table(table) => table.len(),
        }
    }

    /// Whether nothing was inserted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the set takes in memory, its own struct included.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.allocated_bytes()
    }

    fn allocated_bytes(&self) -> usize {
        match &self.content {
            Content::List(list) => list.allocated_bytes(),
            Content::Table(table) => table.allocated_bytes(),
        }
    }

    /// Whether a fingerprint (64 bits, of which the upper [`Self::fingerprint_bits`] count) was inserted.
    #[must_use]
    pub fn contains(&self, fingerprint: u64) -> bool {
        self.contains_truncated(self.truncate(fingerprint))
    }

    fn contains_truncated(&self, fingerprint: u64) -> bool {
        match &self.content {
            Content::List(list) => list.contains(fingerprint),
            Content::Table(table) => table.contains(fingerprint),
        }
    }

    /// Adds a fingerprint and says whether it was absent. The table may grow by at most `growth_bytes`.
    ///
    /// # Errors
    /// [`Full`] when there is no room; a fingerprint that is present already never fails.
    pub fn insert(&mut self, fingerprint: u64, growth_bytes: usize) -> Result<bool, Full> {
        self.insert_truncated(self.truncate(fingerprint), growth_bytes)
    }

    /// Makes much room for so many insertions, as far as that takes at most `growth_bytes`. A set that is soon gone is laid anew less
    /// often so than if it grew by quarters, and insertions take two thirds of the time in slots of which a quarter or more are unused.
    #[cfg(not(feature = "browser"))]
    pub(crate) fn reserve(&mut self, insertions: u64, growth_bytes: usize) {
        let Some(slots) = self.roomy_slots(insertions) else {
            return;
        };
        if Table::bytes(slots, self.fingerprint_bits).saturating_sub(self.allocated_bytes()) > growth_bytes {
            return;
        }
        if let Some((table, _)) = Table::from_sorted(&self.fingerprints(), slots, self.fingerprint_bits) {
            self.content = Content::Table(table);
        }
    }

    /// The slots that [`Self::reserve`] lays the set into; `None` where it has enough.
    #[cfg(not(feature = "browser"))]
    fn roomy_slots(&self, insertions: u64) -> Option<usize> {
        let len = self.len() + insertions;
        let slots = match &self.content {
            Content::List(_) => 0,
            Content::Table(table) => table.slots(),
        };
        let needed = Table::roomy_slots_for(len);
        (len >= LIST_MAX as u64 && needed > slots).then(|| needed.max(2 * slots))
    }

    /// Bytes by which the set may grow with so many insertions for which [`Self::reserve`] makes room.
    #[cfg(not(feature = "browser"))]
    #[must_use]
    pub(crate) fn reserved_growth_bytes(&self, insertions: u64) -> usize {
        let roomy = self.roomy_slots(insertions).map_or(0, |slots| Table::bytes(slots, self.fingerprint_bits));
        roomy.saturating_sub(self.allocated_bytes()).max(self.growth_bytes(insertions))
    }

    fn insert_truncated(&mut self, fingerprint: u64, growth_bytes: usize) -> Result<bool, Full> {
        if self.len() >= self.capacity_max() {
            return if self.contains_truncated(fingerprint) { Ok(false) } else { Err(Full::Capacity) };
        }
        loop {
            let allocated = self.allocated_bytes();
            match &mut self.content {
                Content::List(list) => {
                    let len = list.len() + 1;
                    if list.contains(fingerprint) {
                        return Ok(false);
                    }
                    if len < LIST_MAX {
                        if List::bytes(len).saturating_sub(allocated) > growth_bytes {
                            return Err(Full::Memory);
                        }
                        list.insert(fingerprint);
                        return Ok(true);
                    }
                    let slots = Table::slots_for(len as u64);
                    if Table::bytes(slots, self.fingerprint_bits).saturating_sub(allocated) > growth_bytes {
                        return Err(Full::Memory);
                    }
                    let mut table = Table::with_slots(slots, self.fingerprint_bits);
                    while !list.iter().all(|known| table.insert(known) == Insertion::Done) {
                        let grown = table.grown_slots().ok_or(Full::Capacity)?;
                        table = Table::with_slots(grown, self.fingerprint_bits);
                    }
                    self.content = Content::Table(table);
                }
                Content::Table(table) => {
                    match table.insert(fingerprint) {
                        Insertion::Done => return Ok(true),
                        Insertion::Present => return Ok(false),
                        Insertion::NoRoom => {}
                    }
                    let grown = table.grown_slots().ok_or(Full::Capacity)?;
                    if Table::bytes(grown, self.fingerprint_bits).saturating_sub(allocated) > growth_bytes {
                        return Err(Full::Memory);
                    }
                    let laid = Table::from_sorted(&table.iter(), grown, self.fingerprint_bits);
                    *table = laid.ok_or(Full::Capacity)?.0;
                }
            }
        }
    }

    /// Gives back what removals left unused: the set is then as if the fingerprints had just been inserted.
    pub fn shrink(&mut self) {
        let len = self.len();
        if self.bytes_with(len) >= self.allocated_bytes() {
            return;
        }
        match &mut self.content {
            Content::List(list) => list.shrink(),
            Content::Table(table) => {
                if let Some((laid, _)) = Self::from_sorted(&table.iter(), len, self.fingerprint_bits) {
                    *self = laid;
                }
            }
        }
    }

    /// Takes a fingerprint out and says whether it was present. The memory stays as large; see [`Self::shrink`].
    pub fn remove(&mut self, fingerprint: u64) -> bool {
        let fingerprint = self.truncate(fingerprint);
        match &mut self.content {
            Content::List(list) => list.remove(fingerprint),
            Content::Table(table) => table.remove(fingerprint),
        }
    }

    /// Bytes by which the set may grow with so many insertions; where they lie badly, by the growth of a quarter more.
    #[must_use]
    pub fn growth_bytes(&self, insertions: u64) -> usize {
        let grown = match &self.content {
            Content::Table(table) => Table::bytes(table.slots_with(insertions), self.fingerprint_bits),
            Content::List(_) => self.bytes_with(self.len() + insertions),
        };
        grown.saturating_sub(self.allocated_bytes())
    }

    /// Bytes that a set of so many fingerprints allocates, made at once.
    fn bytes_with(&self, len: u64) -> usize {
        if len < LIST_MAX as u64 {
            List::bytes(len as usize)
        } else {
            Table::bytes(Table::slots_for(len), self.fingerprint_bits)
        }
    }

    /// All fingerprints, ascending.
    fn fingerprints(&self) -> Fingerprints<'_> {
        match &self.content {
            Content::List(list) => Fingerprints::List(list.iter()),
            Content::Table(table) => Fingerprints::Table(table.iter()),
        }
    }

    /// Adds everything that `other` holds. Commutative and associative in its content.
    ///
    /// # Errors
    /// [`Full::Capacity`] when the union has more than [`Self::capacity_max`] or lies too close together, `self` then holding a
    /// part of it or none, or when the sets keep different numbers of bits.
    pub fn merge(&mut self, other: &Self) -> Result<(), Full> {
        if self.fingerprint_bits() != other.fingerprint_bits() {
            return Err(Full::Capacity);
        }
        if !LAYS_ANEW || other.len() < self.len() / MERGED_AT_ONCE {
            for fingerprint in other.fingerprints() {
                self.insert_truncated(fingerprint, usize::MAX)?;
            }
            return Ok(());
        }
        let union = Union { first: self.fingerprints().peekable(), second: other.fingerprints().peekable() };
        let len = union.clone().count() as u64;
        if len > self.capacity_max() {
            return Err(Full::Capacity);
        }
        *self = Self::from_sorted(&union, len, self.fingerprint_bits).ok_or(Full::Capacity)?.0;
        Ok(())
    }

    /// The bits of a 64-bit fingerprint that a set keeps which keeps so many of them: the uppermost.
    #[must_use]
    pub const fn kept_bits(fingerprint_bits: u8) -> u64 {
        !(u64::MAX >> fingerprint_bits)
    }

    const fn truncate(&self, fingerprint: u64) -> u64 {
        fingerprint >> (u64::BITS - self.fingerprint_bits() as u32)
    }
}

#[derive(Clone)]
enum Fingerprints<'a> {
    List(list::Iter<'a>),
    Table(table::Iter<'a>),
}

impl Iterator for Fingerprints<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match self {
            Self::List(list) => list.next(),
            Self::Table(table) => table.next(),
        }
    }
}

/// From this share of a set on, others are merged into it by laying it anew. Below, inserting them in their order takes less
/// time than two walks over all of it.
const MERGED_AT_ONCE: u64 = 4;
/// A page merges small sets, once: it does not fetch the code for large ones.
const LAYS_ANEW: bool = cfg!(not(feature = "browser"));

/// Walks two sets in ascending order, what both have once.
#[derive(Clone)]
struct Union<'a> {
    first: Peekable<Fingerprints<'a>>,
    second: Peekable<Fingerprints<'a>>,
}

impl Iterator for Union<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        match (self.first.peek(), self.second.peek()) {
            (Some(first), Some(second)) if first == second => {
                self.second.next();
                self.first.next()
            }
            (Some(first), Some(second)) if first > second => self.second.next(),
            (None, _) => self.second.next(),
            _ => self.first.next(),
        }
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
    /// Equal content; the memory may differ after removals.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.fingerprint_bits() == other.fingerprint_bits()
            && self.fingerprints().eq(other.fingerprints())
    }
}

impl Eq for UserSet {}

const _: () = assert!(
    (UserSet::CAPACITY_MAX as f64) / ((1_u64 << UserSet::FINGERPRINT_BITS) as f64) <= UserSet::FALSE_POSITIVE_RATE_MAX
);
