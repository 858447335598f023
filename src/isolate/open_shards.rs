//! Which shards are open, so that no more are than the process has descriptors for.
//!
//! An open shard holds its database, and the runtime closes one only some time after its last use. This keeps the
//! account: who may open a shard, and which one is closed for it. It opens and closes nothing, and reads no clock.

use std::collections::BTreeMap;

use crate::core::settings::limits::OPEN_SHARD_CALL_MS;

/// The account of the shards that one isolate has open, by the ids of their objects.
#[derive(Debug, Default)]
pub struct OpenShards {
    shards: BTreeMap<String, OpenShard>,
    /// Their ids from the least to the most recently used.
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

#[derive(Debug)]
struct OpenShard {
    use_number: u64,
    last_ms: u64,
    calls: usize,
    is_closing: bool,
}

impl OpenShard {
    /// Whether it could be closed. A call that was broken off never leaves, so none counts for ever.
    fn is_idle(&self, now_ms: u64) -> bool {
        let is_abandoned = self.last_ms.saturating_add(OPEN_SHARD_CALL_MS) <= now_ms;
        is_abandoned || (self.calls == 0 && !self.is_closing)
    }
}

/// What who wants to call a shard has to do first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: the shard is noted as open, and the call as under way until [`OpenShards::leave`].
    Entered,
    /// Close this one, and tell [`OpenShards::replaced`], upon which the call is under way, or [`OpenShards::kept`], and
    /// ask again.
    Close(String),
    /// Ask again a little later: all shards are in use, or this one is being closed.
    Wait,
}

impl OpenShards {
    /// Asks for a call of a shard while at most `max` may be open. One that was not used for `window_ms` is taken for
    /// closed by the runtime.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::isolate::open_shards::{Entry, OpenShards};
    /// let mut open = OpenShards::default();
    /// assert_eq!(open.enter("a", 1, 30_000, 0), Entry::Entered);
    /// assert_eq!(open.enter("b", 1, 30_000, 1), Entry::Wait);
    /// open.leave("a", 2);
    /// assert_eq!(open.enter("b", 1, 30_000, 3), Entry::Close("a".into()));
    /// assert_eq!(open.replaced("a", "b", 1, 4), Entry::Entered);
    /// ```
    pub fn enter(&mut self, id: &str, max: u64, window_ms: u64, now_ms: u64) -> Entry {
        if let Some(shard) = self.shards.get(id) {
            if shard.is_closing && !shard.is_idle(now_ms) {
                return Entry::Wait;
            }
            self.note(id, now_ms);
            return Entry::Entered;
        }
        self.forget_closed(window_ms, now_ms);
        if (self.shards.len() as u64) < max {
            self.note(id, now_ms);
            return Entry::Entered;
        }
        let least_used = self.by_use.values().find(|id| self.shards.get(*id).is_none_or(|shard| shard.is_idle(now_ms)));
        let Some(victim) = least_used.cloned() else {
            return Entry::Wait;
        };
        if let Some(shard) = self.shards.get_mut(&victim) {
            shard.is_closing = true;
            shard.last_ms = now_ms;
        }
        Entry::Close(victim)
    }

    /// Notes a call that nobody asked for: an alarm, which the runtime has opened the shard for.
    pub fn note(&mut self, id: &str, now_ms: u64) {
        let calls = self.shards.get(id).map_or(0, |shard| if shard.is_closing { 0 } else { shard.calls });
        self.put(id, calls + 1, now_ms);
    }

    /// Notes the end of a call.
    pub fn leave(&mut self, id: &str, now_ms: u64) {
        if let Some(shard) = self.shards.get(id)
            && !shard.is_closing
        {
            let calls = shard.calls.saturating_sub(1);
            self.put(id, calls, now_ms);
        }
    }

    /// Notes that a shard is closed, and a call of the one that it was closed for: nobody else takes its place. Where
    /// alarms have opened more than `max`, it is not entered yet, and another one has to be closed.
    #[must_use]
    pub fn replaced(&mut self, closed: &str, id: &str, max: u64, now_ms: u64) -> Entry {
        if let Some(shard) = self.shards.remove(closed) {
            self.by_use.remove(&shard.use_number);
        }
        self.enter(id, max, u64::MAX, now_ms)
    }

    /// Notes that a shard could not be closed.
    pub fn kept(&mut self, id: &str, now_ms: u64) {
        self.put(id, 0, now_ms);
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Puts a shard behind all others in the order of use.
    fn put(&mut self, id: &str, calls: usize, now_ms: u64) {
        self.uses += 1;
        let shard = OpenShard { use_number: self.uses, last_ms: now_ms, calls, is_closing: false };
        if let Some(former) = self.shards.insert(id.to_owned(), shard) {
            self.by_use.remove(&former.use_number);
        }
        self.by_use.insert(self.uses, id.to_owned());
    }

    fn forget_closed(&mut self, window_ms: u64, now_ms: u64) {
        while let Some((_, id)) = self.by_use.first_key_value() {
            let shard = self.shards.get(id);
            if shard.is_some_and(|shard| !shard.is_idle(now_ms) || shard.last_ms.saturating_add(window_ms) > now_ms) {
                return;
            }
            if let Some((_, id)) = self.by_use.pop_first() {
                self.shards.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_MS: u64 = 30_000;

    fn used(open: &mut OpenShards, id: &str, max: u64, now_ms: u64) {
        assert_eq!(open.enter(id, max, WINDOW_MS, now_ms), Entry::Entered);
        open.leave(id, now_ms);
    }

    #[test]
    fn the_least_recently_used_is_closed() {
        let mut open = OpenShards::default();
        for (id, now_ms) in [("a", 0), ("b", 1), ("c", 2), ("a", 3)] {
            used(&mut open, id, 3, now_ms);
        }
        assert_eq!(open.enter("d", 3, WINDOW_MS, 4), Entry::Close("b".into()));
        assert_eq!(open.enter("b", 3, WINDOW_MS, 5), Entry::Wait, "it is being closed");
        assert_eq!(open.enter("e", 3, WINDOW_MS, 5), Entry::Close("c".into()), "another one is chosen meanwhile");
        assert_eq!(open.replaced("b", "d", 3, 6), Entry::Entered);
        open.leave("d", 6);
        open.kept("c", 7);
        assert_eq!(
            open.enter("e", 3, WINDOW_MS, 8),
            Entry::Close("a".into()),
            "one that could not be closed comes last"
        );
    }

    #[test]
    fn what_is_in_use_is_not_closed_unless_its_calls_were_broken_off() {
        let mut open = OpenShards::default();
        assert_eq!(open.enter("a", 1, WINDOW_MS, 0), Entry::Entered);
        assert_eq!(open.enter("a", 1, WINDOW_MS, 0), Entry::Entered);
        open.leave("a", 1);
        assert_eq!(open.enter("b", 1, WINDOW_MS, OPEN_SHARD_CALL_MS), Entry::Wait);
        assert_eq!(open.enter("b", 1, WINDOW_MS, OPEN_SHARD_CALL_MS + 1), Entry::Close("a".into()));
        assert_eq!(open.enter("a", 1, WINDOW_MS, OPEN_SHARD_CALL_MS + 2), Entry::Wait);
        let later_ms = 2 * OPEN_SHARD_CALL_MS + 1;
        assert_eq!(open.enter("a", 1, WINDOW_MS, later_ms), Entry::Entered, "who was to close it has gone");
    }

    #[test]
    fn what_was_not_used_for_long_is_taken_for_closed() {
        let mut open = OpenShards::default();
        used(&mut open, "a", 2, 0);
        used(&mut open, "b", 2, 10);
        used(&mut open, "c", 2, WINDOW_MS);
        assert_eq!(open.len(), 2);
        assert_eq!(open.enter("d", 2, WINDOW_MS, WINDOW_MS), Entry::Close("b".into()));
    }

    #[test]
    fn alarms_are_counted_beyond_the_bound_and_make_room_again() {
        let mut open = OpenShards::default();
        for id in ["a", "b", "c"] {
            open.note(id, 0);
        }
        assert_eq!(open.len(), 3);
        assert_eq!(open.enter("d", 2, WINDOW_MS, 1), Entry::Wait);
        for id in ["a", "b", "c"] {
            open.leave(id, 2);
        }
        assert_eq!(open.enter("d", 2, WINDOW_MS, 3), Entry::Close("a".into()));
        assert_eq!(open.replaced("a", "d", 2, 4), Entry::Close("b".into()));
        assert_eq!(open.replaced("b", "d", 2, 5), Entry::Entered);
        open.leave("d", 5);
        assert_eq!(open.len(), 2);
        used(&mut open, "d", 2, 5);
    }

    #[test]
    fn never_more_than_the_bound_and_both_orders_agree() {
        let mut open = OpenShards::default();
        let mut state = 7_u64;
        let mut closing = Vec::new();
        for now_ms in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = ((state >> 33) % 40).to_string();
            match open.enter(&id, 8, 100, now_ms) {
                Entry::Entered if now_ms % 3 > 0 => open.leave(&id, now_ms),
                Entry::Close(victim) => closing.push((victim, id)),
                Entry::Entered | Entry::Wait => {}
            }
            if now_ms % 5 == 0 {
                closing.drain(..).for_each(|(victim, id): (String, String)| {
                    let entry = open.replaced(&victim, &id, 8, now_ms);
                    assert!(!matches!(entry, Entry::Close(_)), "there is room");
                });
            }
            assert!(open.len() <= 8);
            assert_eq!(open.shards.len(), open.by_use.len());
        }
    }
}
