//! The memory of all shards of an isolate: they share one wasm memory, which never shrinks.
//!
//! A shard's memory is a cache of its storage, so any of them can be dropped between two calls and reloads on demand.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// A loaded value that may be dropped at any time nobody uses it.
#[derive(Debug)]
pub struct Slot<T> {
    content: RefCell<Option<T>>,
    bytes: Cell<usize>,
    last_use: Cell<u64>,
}

/// The slots of an isolate.
#[derive(Debug)]
pub struct Budget<T> {
    slots: RefCell<Vec<Weak<Slot<T>>>>,
    uses: Cell<u64>,
    /// Never below the true sum: slots that died are only taken off when it is counted anew.
    bytes: Cell<usize>,
}

impl<T> Default for Budget<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Budget<T> {
    /// A budget without slots.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: RefCell::new(Vec::new()), uses: Cell::new(0), bytes: Cell::new(0) }
    }

    /// An empty slot.
    pub fn slot(&self) -> Rc<Slot<T>> {
        let slot = Rc::new(Slot { content: RefCell::new(None), bytes: Cell::new(0), last_use: Cell::new(0) });
        let mut slots = self.slots.borrow_mut();
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Rc::downgrade(&slot));
        slot
    }

    /// Notes that `used` takes `bytes` now, and makes room for that.
    pub fn settle(&self, used: &Rc<Slot<T>>, bytes: usize, bytes_max: usize) {
        self.uses.set(self.uses.get() + 1);
        used.last_use.set(self.uses.get());
        self.bytes.set(self.bytes.get() + bytes - used.bytes.replace(bytes).min(self.bytes.get()));
        self.make_room(used, bytes, bytes_max);
    }

    /// Empties the least recently used others until `used`, once it takes `bytes`, and all others take at most
    /// `bytes_max` together: called before it takes them, it never is more.
    pub fn make_room(&self, used: &Rc<Slot<T>>, bytes: usize, bytes_max: usize) {
        let growth = bytes.saturating_sub(used.bytes.get());
        if self.bytes.get() + growth <= bytes_max {
            return;
        }
        let mut live: Vec<Rc<Slot<T>>> = self.slots.borrow().iter().filter_map(Weak::upgrade).collect();
        live.sort_by_key(|slot| slot.last_use.get());
        let mut total: usize = live.iter().map(|slot| slot.bytes.get()).sum();
        for slot in live.iter().filter(|slot| !Rc::ptr_eq(slot, used)) {
            if total + growth <= bytes_max {
                break;
            }
            total -= slot.clear();
        }
        self.bytes.set(total);
    }
}

impl<T> Slot<T> {
    /// The content, if nobody else is using it.
    pub fn content(&self) -> Option<std::cell::RefMut<'_, Option<T>>> {
        self.content.try_borrow_mut().ok()
    }

    /// Drops the content and answers how many bytes that freed.
    fn clear(&self) -> usize {
        let Some(mut content) = self.content() else {
            return 0;
        };
        *content = None;
        self.bytes.replace(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(budget: &Budget<u8>, slot: &Rc<Slot<u8>>, bytes: usize) {
        *slot.content().unwrap() = Some(0);
        budget.settle(slot, bytes, 100);
    }

    fn is_loaded(slot: &Slot<u8>) -> bool {
        slot.content().unwrap().is_some()
    }

    #[test]
    fn the_least_recently_used_go_first_and_the_used_one_stays() {
        let budget = Budget::new();
        let [a, b, c] = [budget.slot(), budget.slot(), budget.slot()];
        fill(&budget, &a, 40);
        fill(&budget, &b, 40);
        fill(&budget, &a, 40);
        fill(&budget, &c, 40);
        assert_eq!([is_loaded(&a), is_loaded(&b), is_loaded(&c)], [true, false, true]);
        fill(&budget, &c, 200);
        assert_eq!([is_loaded(&a), is_loaded(&c)], [false, true]);
    }

    #[test]
    fn room_is_made_before_it_is_taken() {
        let budget = Budget::new();
        let [a, b, c] = [budget.slot(), budget.slot(), budget.slot()];
        fill(&budget, &a, 40);
        fill(&budget, &b, 40);
        budget.make_room(&c, 20, 100);
        assert!(is_loaded(&a) && is_loaded(&b));
        budget.make_room(&c, 21, 100);
        assert_eq!([is_loaded(&a), is_loaded(&b)], [false, true]);
        fill(&budget, &c, 21);
        // What it has already need not be made room for again.
        budget.make_room(&c, 60, 100);
        assert!(is_loaded(&b));
        budget.make_room(&c, 61, 100);
        assert_eq!([is_loaded(&b), is_loaded(&c)], [false, true]);
    }

    #[test]
    fn dead_slots_and_busy_slots() {
        let budget = Budget::new();
        let (a, b) = (budget.slot(), budget.slot());
        for _ in 0..10 {
            fill(&budget, &budget.slot(), 60);
        }
        fill(&budget, &a, 60);
        let busy = a.content().unwrap();
        fill(&budget, &b, 60);
        assert!(busy.is_some());
        drop(busy);
        assert!(is_loaded(&b));
    }
}
