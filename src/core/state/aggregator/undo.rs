//! Taking back what a refused batch had done before it was refused.

use super::Aggregator;
#[cfg(not(feature = "browser"))]
use crate::core::sets::user_set::UserSet;
use crate::core::state::combination::Combination;
#[cfg(not(feature = "browser"))]
use crate::core::state::counter::Closed;
use crate::core::state::goal::Bucket;
use crate::core::state::set_key::SetKey;
use crate::core::state::sum::Sum;

/// How to take back one step.
pub(super) enum Undo {
    Counter {
        event: u32,
    },
    Goal {
        event: u32,
    },
    Insert {
        set: SetKey,
        fingerprint: u64,
    },
    Sum {
        event: u32,
        sum: Option<Sum>,
    },
    Completion {
        event: u32,
        combination: Combination,
        bucket: Bucket,
    },
    #[cfg(not(feature = "browser"))]
    Close {
        event: u32,
        closed: Option<Closed>,
        sets: Vec<(SetKey, UserSet)>,
    },
}

impl Aggregator {
    /// Undoes a batch: the state is as before, and so is the memory that it takes.
    pub(super) fn take_back(&mut self, steps: Vec<Undo>) {
        for step in steps.into_iter().rev() {
            self.take_back_step(step);
        }
        self.sets.shrink();
    }

    fn take_back_step(&mut self, step: Undo) {
        match step {
            Undo::Counter { event } => {
                if let Some(counter) = self.counters.get_mut(event as usize).and_then(Option::take) {
                    self.counters_bytes -= counter.memory_bytes();
                }
                self.changed.get_mut(event as usize).into_iter().for_each(|changed| *changed = false);
            }
            Undo::Goal { event } => {
                if let Some(goal) = self.counter_mut(event).and_then(|counter| counter.goal.take()) {
                    self.counters_bytes -= goal.memory_bytes();
                }
            }
            Undo::Insert { set, fingerprint } => self.sets.remove(set, fingerprint),
            Undo::Sum { event, sum } => {
                if let Some(counter) = self.counter_mut(event) {
                    counter.sum = sum;
                }
            }
            Undo::Completion { event, combination, bucket } => {
                if let Some(record) = self.counter_mut(event).and_then(|counter| counter.goal.as_mut()) {
                    let before = record.memory_bytes();
                    record.undo(&combination, bucket);
                    let freed = before - record.memory_bytes();
                    self.counters_bytes -= freed;
                }
            }
            #[cfg(not(feature = "browser"))]
            Undo::Close { event, closed, sets } => self.reopen(event, closed, sets),
        }
    }
}
