//! A small user set: a sorted list of fingerprints.

/// A page does without lists: there they are empty, and it does not fetch their code.
const USES_LISTS: bool = cfg!(not(feature = "browser"));
/// From so many fingerprints on there is a table, which takes less from some forty on.
pub(super) const LIST_MAX: usize = if USES_LISTS { 16 } else { 1 };
/// The list grows by so many at a time.
const STEP: usize = 4;

/// At most [`LIST_MAX`] fingerprints, ascending.
#[derive(Debug, Default)]
pub(super) struct List(Vec<u64>);

impl Clone for List {
    /// One that allocates as much: whoever counts its memory need not count it anew.
    fn clone(&self) -> Self {
        let mut list = Vec::with_capacity(self.0.capacity());
        list.extend_from_slice(&self.0);
        Self(list)
    }
}

impl List {
    /// Bytes that a list of so many fingerprints allocates.
    pub(super) const fn bytes(len: usize) -> usize {
        len.next_multiple_of(STEP) * size_of::<u64>()
    }

    /// The list of strictly ascending fingerprints, of which there are `len`.
    pub(super) fn from_sorted(fingerprints: impl Iterator<Item = u64>, len: usize) -> Self {
        let mut list = Vec::with_capacity(len.next_multiple_of(STEP));
        list.extend(fingerprints);
        Self(list)
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        if USES_LISTS { self.0.capacity() * size_of::<u64>() } else { 0 }
    }

    pub(super) fn len(&self) -> usize {
        if USES_LISTS { self.0.len() } else { 0 }
    }

    /// The fingerprints, ascending.
    pub(super) fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        USES_LISTS && self.0.contains(&fingerprint)
    }

    /// Adds an absent fingerprint.
    pub(super) fn insert(&mut self, fingerprint: u64) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(STEP);
        }
        let at = self.0.partition_point(|&kept| kept < fingerprint);
        self.0.insert(at, fingerprint);
    }

    /// Gives back the memory of what was taken out.
    pub(super) fn shrink(&mut self) {
        if USES_LISTS {
            self.0.shrink_to(self.0.len().next_multiple_of(STEP));
        }
    }

    /// Takes a fingerprint out and says whether it was present. The memory stays.
    pub(super) fn remove(&mut self, fingerprint: u64) -> bool {
        let before = self.len();
        if USES_LISTS {
            self.0.retain(|&kept| kept != fingerprint);
        }
        self.len() < before
    }
}

/// The fingerprints of a list.
#[derive(Clone)]
pub(super) struct Iter<'a>(std::slice::Iter<'a, u64>);

impl Iterator for Iter<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if USES_LISTS { self.0.next().copied() } else { None }
    }
}
