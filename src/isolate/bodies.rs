//! The memory of all request bodies in flight in an isolate: they share it with the shards that it has loaded.
//!
//! A body takes room as its bytes arrive, then as the batch that was made of it, until that was carried out. A quarter of
//! the room is kept for small bodies, so that large slow ones cannot take the place of everybody. And a body has a pace
//! to keep, so that one whose end never comes is given up.

use std::collections::BTreeMap;

use crate::core::settings::limits::{
    BODY_BYTES_BASE, BODY_LEASE_MS, BODY_PACE_BYTES, BODY_PACE_TICKS, SMALL_BODY_BYTES,
};

/// There is no room for a body at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// The bodies in flight.
///
/// # Example
/// ```
/// use kimball_edge::isolate::bodies::{Bodies, Busy};
/// let mut bodies = Bodies::new(1 << 20);
/// let large = bodies.begin(0).unwrap();
/// assert_eq!(bodies.take(large, 700_000, 700_000, 0), Ok(()));
/// let small = bodies.begin(0).unwrap();
/// assert_eq!(bodies.take(small, 60_000, 60_000, 0), Ok(())); // the quarter that is kept for small ones
/// let other = bodies.begin(0).unwrap();
/// assert_eq!(bodies.take(other, 100_000, 100_000, 0), Err(Busy));
/// bodies.end(large);
/// assert_eq!(bodies.take(other, 100_000, 100_000, 0), Ok(()));
/// ```
#[derive(Debug, Default)]
pub struct Bodies {
    bytes_max: u64,
    bytes: u64,
    large_bytes: u64,
    leases: BTreeMap<u64, Lease>,
    begun: u64,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    bytes: u64,
    is_large: bool,
    seen_ms: u64,
}

impl Bodies {
    /// No bodies, of which all together may take `bytes_max`.
    #[must_use]
    pub const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, large_bytes: 0, leases: BTreeMap::new(), begun: 0 }
    }

    /// Bytes that bodies larger than [`SMALL_BODY_BYTES`] may take together, of `bytes_max` for all.
    #[must_use]
    pub const fn large_bytes_max(bytes_max: u64) -> u64 {
        bytes_max / 4 * 3
    }

    /// Bytes that are taken.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes a body whose bytes are yet to come, and answers its number. It takes [`BODY_BYTES_BASE`] from now on.
    ///
    /// # Errors
    /// [`Busy`] where there is no room.
    pub fn begin(&mut self, now_ms: u64) -> Result<u64, Busy> {
        self.begun += 1;
        let id = self.begun;
        self.take(id, 0, 0, now_ms).map(|()| id)
    }

    /// Notes that a body of so many bytes takes `bytes` now, instead of what it took before; where there is no room, as
    /// before. What one body takes counts as no more than large bodies may take: alone, every one fits.
    ///
    /// # Errors
    /// [`Busy`] where there is no room.
    pub fn take(&mut self, id: u64, body_bytes: u64, bytes: u64, now_ms: u64) -> Result<(), Busy> {
        let large_bytes_max = Self::large_bytes_max(self.bytes_max);
        let bytes = bytes.saturating_add(BODY_BYTES_BASE).min(large_bytes_max);
        let lease = Lease { bytes, is_large: body_bytes > SMALL_BODY_BYTES, seen_ms: now_ms };
        let before = self.remove(id);
        if !self.has_room(&lease) {
            self.forget_abandoned(now_ms);
        }
        let is_granted = self.has_room(&lease);
        if let Some(kept) = if is_granted { Some(lease) } else { before } {
            self.insert(id, Lease { seen_ms: now_ms, ..kept });
        }
        if is_granted { Ok(()) } else { Err(Busy) }
    }

    /// Gives back what a body takes.
    pub fn end(&mut self, id: u64) {
        self.remove(id);
    }

    fn has_room(&self, lease: &Lease) -> bool {
        let is_within_share =
            !lease.is_large || self.large_bytes + lease.bytes <= Self::large_bytes_max(self.bytes_max);
        is_within_share && self.bytes + lease.bytes <= self.bytes_max
    }

    /// Takes back what nobody will give back: where a runtime ends a request without a word, nothing of it runs again.
    fn forget_abandoned(&mut self, now_ms: u64) {
        let is_abandoned = |lease: &Lease| now_ms.saturating_sub(lease.seen_ms) > BODY_LEASE_MS;
        let abandoned: Vec<u64> =
            self.leases.iter().filter(|(_, lease)| is_abandoned(lease)).map(|(&id, _)| id).collect();
        for id in abandoned {
            self.remove(id);
        }
    }

    fn insert(&mut self, id: u64, lease: Lease) {
        self.bytes += lease.bytes;
        self.large_bytes += if lease.is_large { lease.bytes } else { 0 };
        self.leases.insert(id, lease);
    }

    fn remove(&mut self, id: u64) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        self.bytes -= lease.bytes;
        self.large_bytes -= if lease.is_large { lease.bytes } else { 0 };
        Some(lease)
    }
}

/// Whether a body keeps its pace: [`BODY_PACE_BYTES`] within the last [`BODY_PACE_TICKS`] ticks.
///
/// Ticks, not the clock: while an isolate is busy with something else it neither reads nor ticks, and what has arrived
/// meanwhile is not held against the body.
///
/// # Example
/// ```
/// use kimball_edge::isolate::bodies::Pace;
/// use kimball_edge::core::settings::limits::BODY_PACE_TICKS;
/// let mut silent = Pace::default();
/// assert!((0..BODY_PACE_TICKS).all(|_| silent.tick()));
/// assert!(!silent.tick());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Bytes within each of the last ticks, at the number of the tick modulo their count, and within the present one.
    arrived: [u64; BODY_PACE_TICKS],
    present: u64,
    ticks: usize,
}

impl Pace {
    /// Notes that bytes have arrived.
    pub const fn arrive(&mut self, bytes: u64) {
        self.present += bytes;
    }

    /// Notes that a tick has passed, and answers whether the pace is still kept.
    pub fn tick(&mut self) -> bool {
        let is_kept =
            self.ticks < BODY_PACE_TICKS || self.present + self.arrived.iter().sum::<u64>() >= BODY_PACE_BYTES;
        if let Some(oldest) = self.arrived.get_mut(self.ticks % BODY_PACE_TICKS) {
            *oldest = self.present;
        }
        self.present = 0;
        self.ticks += 1;
        is_kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 1 << 20;
    const LARGE: u64 = SMALL_BODY_BYTES + 1;

    /// As many bodies of these bytes as there is room for.
    fn fill(bodies: &mut Bodies, bytes: u64) -> Vec<u64> {
        let mut taken = Vec::new();
        while let Ok(id) = bodies.begin(0) {
            if bodies.take(id, bytes, bytes, 0) == Err(Busy) {
                bodies.end(id);
                break;
            }
            taken.push(id);
        }
        taken
    }

    #[test]
    fn large_bodies_leave_a_quarter_to_small_ones() {
        let mut bodies = Bodies::new(MAX);
        let large = fill(&mut bodies, LARGE);
        assert!(bodies.bytes() <= MAX / 4 * 3 && bodies.bytes() + LARGE + BODY_BYTES_BASE > MAX / 4 * 3);
        let small = fill(&mut bodies, SMALL_BODY_BYTES);
        assert!(small.len() as u64 >= MAX / 4 / (SMALL_BODY_BYTES + BODY_BYTES_BASE));
        assert!(bodies.bytes() <= MAX);
        for id in large.into_iter().chain(small) {
            bodies.end(id);
            bodies.end(id);
        }
        assert_eq!(bodies.bytes(), 0);
        let small = fill(&mut bodies, SMALL_BODY_BYTES);
        assert_eq!(small.len() as u64, MAX / (SMALL_BODY_BYTES + BODY_BYTES_BASE), "small ones may take all of it");
    }

    #[test]
    fn a_body_that_grows_large_counts_as_large_with_all_that_it_takes() {
        let mut bodies = Bodies::new(MAX);
        let ids = fill(&mut bodies, SMALL_BODY_BYTES);
        let taken = bodies.bytes();
        let grown: Vec<_> = ids.iter().map(|&id| bodies.take(id, LARGE, LARGE, 0)).collect();
        assert!(grown.contains(&Ok(())) && grown.contains(&Err(Busy)));
        assert!(bodies.bytes() >= taken && bodies.bytes() <= MAX, "what is refused stays as it was");
        assert!(bodies.large_bytes <= MAX / 4 * 3);
    }

    #[test]
    fn alone_a_body_fits_whatever_becomes_of_it() {
        let mut bodies = Bodies::new(MAX);
        let id = bodies.begin(0).unwrap();
        assert_eq!(bodies.take(id, u64::MAX, u64::MAX, 0), Ok(()));
        assert_eq!(bodies.bytes(), MAX / 4 * 3);
        assert!(bodies.begin(0).is_ok());
    }

    #[test]
    fn what_nobody_gives_back_is_taken_back() {
        let mut bodies = Bodies::new(MAX);
        let abandoned = fill(&mut bodies, LARGE);
        let kept = abandoned[0];
        assert_eq!(bodies.take(kept, LARGE, LARGE, BODY_LEASE_MS), Ok(()));
        let late = bodies.begin(BODY_LEASE_MS).unwrap();
        assert_eq!(bodies.take(late, LARGE, LARGE, BODY_LEASE_MS), Err(Busy));
        assert_eq!(bodies.take(late, LARGE, LARGE, BODY_LEASE_MS + 1), Ok(()));
        assert_eq!(bodies.leases.keys().copied().collect::<Vec<_>>(), [kept, late]);
        bodies.end(abandoned[1]);
        assert_eq!(bodies.bytes(), 2 * (LARGE + BODY_BYTES_BASE));
    }

    /// The tick at which a body is given up that brings so many bytes every few ticks.
    fn given_up(bytes: u64, every: usize) -> Option<usize> {
        let mut pace = Pace::default();
        (1..10 * BODY_PACE_TICKS).find(|tick| {
            if tick % every == 0 {
                pace.arrive(bytes);
            }
            !pace.tick()
        })
    }

    #[test]
    fn a_pace_is_kept_by_steady_bodies_and_by_those_that_come_in_pieces() {
        let rate = BODY_PACE_BYTES / BODY_PACE_TICKS as u64;
        assert_eq!(given_up(rate + 1, 1), None);
        assert_eq!(given_up(5 * rate, 4), None);
        assert_eq!(given_up(rate / 2, 1), Some(BODY_PACE_TICKS + 1));
        assert_eq!(given_up(0, 1), Some(BODY_PACE_TICKS + 1));
        // One that stops is given up as soon as the window holds too little of it.
        let mut pace = Pace::default();
        pace.arrive(100 * BODY_PACE_BYTES);
        assert_eq!((0..3 * BODY_PACE_TICKS).position(|_| !pace.tick()), Some(BODY_PACE_TICKS + 1));
    }
}
