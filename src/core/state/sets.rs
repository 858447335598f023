//! All sets of users of a shard, each under its [`SetKey`]: the one place that makes them, counts their memory and knows
//! which of them have changed.

use std::ops::Range;

use super::set_key::SetKey;
use crate::core::sets::user_set::{Full, UserSet};

/// The sets. A set that is here has users.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    /// Those of no event at 0, those of event `n` at `1 + n`.
    slots: Vec<Slot>,
    memory_bytes: usize,
    /// Users of all sets of periods.
    in_periods: u64,
    /// Sets that were dropped since [`Self::note_stored`].
    dropped: Vec<SetKey>,
}

/// The sets of one event, or of none.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// The one that every event looks at: [`SetKey::Event`] or [`SetKey::AllUsers`].
    first: Option<Entry>,
    /// The others, ascending.
    others: Vec<(SetKey, Entry)>,
}

#[derive(Debug, Clone)]
struct Entry {
    users: UserSet,
    has_changed: bool,
    /// Whether fingerprints were taken out, and their memory was not given back.
    is_loose: bool,
}

/// What a set among the others takes beside its fingerprints, in a list that may have twice the room that it needs.
const OTHER_BYTES: usize = 2 * size_of::<(SetKey, Entry)>();

impl Sets {
    /// Bytes that the sets take in memory, beside a [`Slot`] for each event.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Users of all sets that are open for a while together.
    #[must_use]
    pub const fn in_periods(&self) -> u64 {
        self.in_periods
    }

    /// The sets that are open for a while.
    pub fn of_periods(&self) -> impl Iterator<Item = (SetKey, &UserSet)> {
        let sets = self.slots.iter().flat_map(|slot| &slot.others);
        sets.filter(|(set, _)| set.is_of_period()).map(|(set, entry)| (*set, &entry.users))
    }

    /// A set.
    #[must_use]
    pub fn get(&self, set: SetKey) -> Option<&UserSet> {
        self.slots.get(place(set))?.get(set).map(|entry| &entry.users)
    }

    /// The number of users of a set.
    #[must_use]
    pub fn len(&self, set: SetKey) -> u64 {
        self.get(set).map_or(0, UserSet::len)
    }

    /// Whether a fingerprint is in a set.
    #[must_use]
    pub fn contains(&self, set: SetKey, fingerprint: u64) -> bool {
        self.get(set).is_some_and(|users| users.contains(fingerprint))
    }

    /// All sets: those of no event, then by event.
    pub fn iter(&self) -> impl Iterator<Item = (SetKey, &UserSet)> {
        self.entries().map(|(set, entry)| (set, &entry.users))
    }

    /// The sets from one to another of the same event, neither of them [`SetKey::Event`], ascending.
    #[must_use]
    pub fn range(&self, from: SetKey, to: SetKey) -> impl ExactSizeIterator<Item = (SetKey, &UserSet)> {
        let slot = self.slots.get(place(from));
        let sets = slot.and_then(|slot| slot.others.get(slot.range(from, to))).unwrap_or_default();
        sets.iter().map(|(set, entry)| (*set, &entry.users))
    }

    /// The sets of an event but [`SetKey::Event`], ascending.
    pub fn others(&self, event: u32) -> impl Iterator<Item = (SetKey, &UserSet)> {
        let others = self.slots.get(place(SetKey::Event(event))).into_iter().flat_map(|slot| &slot.others);
        others.map(|(set, entry)| (*set, &entry.users))
    }

    /// Adds a fingerprint to a set, which is made with `fingerprint_bits` where there is none, and says whether it was
    /// absent. The set gets at most `users_max` users, and the sets grow by at most `growth_bytes`.
    ///
    /// # Errors
    /// [`Full`] when there is no room; nothing has changed.
    pub fn insert(
        &mut self,
        set: SetKey,
        fingerprint: u64,
        fingerprint_bits: u8,
        users_max: u64,
        growth_bytes: usize,
    ) -> Result<bool, Full> {
        if let Some(entry) = self.get_mut(set) {
            if entry.users.len() >= users_max {
                return if entry.users.contains(fingerprint) { Ok(false) } else { Err(Full::Capacity) };
            }
            let before = entry.users.memory_bytes();
            if !entry.users.insert(fingerprint, growth_bytes)? {
                return Ok(false);
            }
            entry.has_changed = true;
            let after = entry.users.memory_bytes();
            self.memory_bytes = self.memory_bytes + after - before;
            self.in_periods += u64::from(set.is_of_period());
            return Ok(true);
        }
        if users_max == 0 {
            return Err(Full::Capacity);
        }
        let mut users = UserSet::with_fingerprint_bits(fingerprint_bits).ok_or(Full::Capacity)?;
        users.insert(fingerprint, growth_bytes.checked_sub(own_bytes(set)).ok_or(Full::Memory)?)?;
        self.put(set, Entry::new(users, true));
        Ok(true)
    }

    /// Adds fingerprints, strictly ascending, to the set of a period, which is made with `fingerprint_bits` where there is none.
    /// Calls `is_new` with the position of each that was absent. The sets grow by at most `growth_bytes`.
    ///
    /// # Errors
    /// How many were done, and [`Full`], when there is no room for the next.
    #[cfg(not(feature = "browser"))]
    pub fn insert_many(
        &mut self,
        set: SetKey,
        fingerprints: &[u64],
        fingerprint_bits: u8,
        growth_bytes: usize,
        mut is_new: impl FnMut(usize),
    ) -> Result<(), (usize, Full)> {
        let mut room = growth_bytes;
        if self.get(set).is_none() {
            let users = UserSet::with_fingerprint_bits(fingerprint_bits).ok_or((0, Full::Capacity))?;
            room = room.checked_sub(own_bytes(set)).ok_or((0, Full::Memory))?;
            self.put(set, Entry::new(users, true));
        }
        let Some(entry) = self.get_mut(set) else {
            return Err((0, Full::Capacity));
        };
        let users = &mut entry.users;
        let (bytes_before, users_before) = (users.memory_bytes(), users.len());
        users.reserve(fingerprints.len() as u64, room);
        let mut done = Ok(());
        for (at, &fingerprint) in fingerprints.iter().enumerate() {
            let left = room.saturating_sub(users.memory_bytes() - bytes_before);
            match users.insert(fingerprint, left) {
                Ok(true) => is_new(at),
                Ok(false) => {}
                Err(full) => {
                    done = Err((at, full));
                    break;
                }
            }
        }
        let (grown, added) = (users.memory_bytes() - bytes_before, users.len() - users_before);
        entry.has_changed |= added > 0;
        self.memory_bytes += grown;
        self.in_periods += added;
        if self.get(set).is_some_and(UserSet::is_empty) {
            self.take(set, set);
        }
        done
    }

    /// Adds everything that `users` has to a set.
    ///
    /// # Errors
    /// [`Full`] when there is no room for it, the set then holding a part of it.
    pub fn merge(&mut self, set: SetKey, users: &UserSet) -> Result<(), Full> {
        let Some(entry) = self.get_mut(set) else {
            if users.len() > users.capacity_max() {
                return Err(Full::Capacity);
            }
            self.put(set, Entry::new(users.clone(), true));
            return Ok(());
        };
        let (before, users_before) = (entry.users.memory_bytes(), entry.users.len());
        entry.has_changed = true;
        let merged = entry.users.merge(users);
        let (after, added) = (entry.users.memory_bytes(), entry.users.len() - users_before);
        self.memory_bytes = self.memory_bytes + after - before;
        if set.is_of_period() {
            self.in_periods += added;
        }
        merged
    }

    /// Takes a fingerprint out of a set. The memory is given back by [`Self::shrink`].
    pub fn remove(&mut self, set: SetKey, fingerprint: u64) {
        if let Some(entry) = self.get_mut(set) {
            entry.is_loose |= entry.users.remove(fingerprint);
        }
    }

    /// Takes a fingerprint out of a set, which is gone where it was the last. Says whether it was there. Nothing of its memory is given
    /// back before.
    #[cfg(not(feature = "browser"))]
    pub fn take_out(&mut self, set: SetKey, fingerprint: u64) -> bool {
        let Some(entry) = self.get_mut(set) else {
            return false;
        };
        if !entry.users.remove(fingerprint) {
            return false;
        }
        entry.has_changed = true;
        let is_empty = entry.users.is_empty();
        self.in_periods -= u64::from(set.is_of_period());
        if is_empty {
            self.take(set, set);
        }
        true
    }

    /// Gives back what removals left unused. Sets without users are gone.
    pub fn shrink(&mut self) {
        let mut freed = 0;
        for slot in &mut self.slots {
            if let Some(entry) = slot.first.as_mut().filter(|entry| entry.is_loose) {
                freed += entry.shrink();
                slot.first = slot.first.take().filter(|entry| !entry.users.is_empty());
            }
            slot.others.retain_mut(|(_, entry)| {
                freed += if entry.is_loose { entry.shrink() } else { 0 };
                freed += if entry.users.is_empty() { OTHER_BYTES } else { 0 };
                !entry.users.is_empty()
            });
        }
        self.memory_bytes -= freed;
    }

    /// Puts a set in place, as it is stored or to be stored anew; false where there is one already.
    pub fn restore(&mut self, set: SetKey, users: UserSet, is_stored: bool) -> bool {
        if self.get(set).is_some() {
            return false;
        }
        if !users.is_empty() {
            self.put(set, Entry::new(users, !is_stored));
        }
        true
    }

    /// Takes out the sets from one to another of the same event, both of them [`SetKey::Event`] or neither.
    pub fn take(&mut self, from: SetKey, to: SetKey) -> Vec<(SetKey, UserSet)> {
        let Some(slot) = self.slots.get_mut(place(from)) else {
            return Vec::new();
        };
        let taken: Vec<_> = if is_first(from) {
            slot.first.take().map(|entry| (from, entry)).into_iter().collect()
        } else {
            let range = slot.range(from, to);
            slot.others.drain(range).collect()
        };
        taken
            .into_iter()
            .map(|(set, Entry { users, .. })| {
                self.memory_bytes -= own_bytes(set) + allocated_bytes(&users);
                self.in_periods -= if set.is_of_period() { users.len() } else { 0 };
                self.dropped.push(set);
                (set, users)
            })
            .collect()
    }

    /// Drops all sets of an event.
    pub fn delete_event(&mut self, event: u32) {
        let others = self.slots.get(place(SetKey::Event(event))).map(|slot| slot.others.as_slice());
        if let Some([(first, _), ..]) = others
            && let Some([.., (last, _)]) = others
        {
            self.take(*first, *last);
        }
        self.take(SetKey::Event(event), SetKey::Event(event));
    }

    /// Bytes by which a set may grow with so many insertions; one that is not there yet begins empty.
    #[must_use]
    pub fn growth_bytes(&self, set: SetKey, insertions: u64) -> usize {
        let new = UserSet::new();
        let (users, own_bytes) = self.get(set).map_or((&new, own_bytes(set)), |users| (users, 0));
        #[cfg(not(feature = "browser"))]
        if set.is_of_period() {
            return own_bytes + users.reserved_growth_bytes(insertions);
        }
        own_bytes + users.growth_bytes(insertions)
    }

    /// The sets that have changed since [`Self::note_stored`], or were dropped.
    pub fn changed(&self) -> impl Iterator<Item = SetKey> {
        let changed = self.entries().filter(|(_, entry)| entry.has_changed).map(|(set, _)| set);
        changed.chain(self.dropped.iter().copied().filter(|&set| self.get(set).is_none()))
    }

    /// Whether sets were dropped since [`Self::note_stored`].
    #[must_use]
    pub const fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Notes that every set is stored as it is now.
    pub fn note_stored(&mut self) {
        self.dropped.clear();
        for slot in &mut self.slots {
            slot.first.iter_mut().for_each(|entry| entry.has_changed = false);
            slot.others.iter_mut().for_each(|(_, entry)| entry.has_changed = false);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (SetKey, &Entry)> {
        (0..).zip(&self.slots).flat_map(|(at, slot): (u32, _)| {
            let key = at.checked_sub(1).map_or(SetKey::AllUsers, SetKey::Event);
            let first = slot.first.iter().map(move |entry| (key, entry));
            first.chain(slot.others.iter().map(|(set, entry)| (*set, entry)))
        })
    }

    fn get_mut(&mut self, set: SetKey) -> Option<&mut Entry> {
        self.slots.get_mut(place(set))?.get_mut(set)
    }

    /// Puts a set where there is none.
    fn put(&mut self, set: SetKey, entry: Entry) {
        self.memory_bytes += own_bytes(set) + allocated_bytes(&entry.users);
        self.in_periods += if set.is_of_period() { entry.users.len() } else { 0 };
        let place = place(set);
        if place >= self.slots.len() {
            self.slots.resize_with(place + 1, Slot::default);
        }
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if is_first(set) {
            slot.first = Some(entry);
        } else if let Err(at) = slot.find(set) {
            slot.others.insert(at, (set, entry));
        }
    }
}

impl Entry {
    const fn new(users: UserSet, has_changed: bool) -> Self {
        Self { users, has_changed, is_loose: false }
    }

    /// Answers by how many bytes that made it smaller.
    fn shrink(&mut self) -> usize {
        let before = self.users.memory_bytes();
        self.users.shrink();
        self.is_loose = false;
        before - self.users.memory_bytes()
    }
}

impl Slot {
    fn find(&self, set: SetKey) -> Result<usize, usize> {
        self.others.binary_search_by_key(&set, |(other, _)| *other)
    }

    fn range(&self, from: SetKey, to: SetKey) -> Range<usize> {
        let end = self.others.partition_point(|(set, _)| *set <= to);
        self.others.partition_point(|(set, _)| *set < from).min(end)..end
    }

    fn get(&self, set: SetKey) -> Option<&Entry> {
        if is_first(set) { self.first.as_ref() } else { self.others.get(self.find(set).ok()?).map(|(_, entry)| entry) }
    }

    fn get_mut(&mut self, set: SetKey) -> Option<&mut Entry> {
        if is_first(set) {
            return self.first.as_mut();
        }
        let at = self.find(set).ok()?;
        self.others.get_mut(at).map(|(_, entry)| entry)
    }
}

const fn is_first(set: SetKey) -> bool {
    matches!(set, SetKey::AllUsers | SetKey::Event(_))
}

fn place(set: SetKey) -> usize {
    set.event().map_or(0, |event| 1 + event as usize)
}

/// What a set takes beside its fingerprints and the slot of its event.
const fn own_bytes(set: SetKey) -> usize {
    if is_first(set) { 0 } else { OTHER_BYTES }
}

fn allocated_bytes(users: &UserSet) -> usize {
    users.memory_bytes() - size_of::<UserSet>()
}
