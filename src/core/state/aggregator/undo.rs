//! Taking back what a refused batch had done before it was refused.

use super::{Aggregator, Section};
use crate::core::periods::week::Week;
#[cfg(not(feature = "browser"))]
use crate::core::state::cohort::Reopening;
use crate::core::state::combination::Combination;
use crate::core::state::goal::Bucket;
use crate::core::state::sum::Sum;

/// How to take back one step.
pub(super) enum Undo {
    Counter {
        event: u32,
    },
    Goal {
        event: u32,
    },
    User {
        fingerprint: u64,
    },
    First {
        event: u32,
        fingerprint: u64,
        sum: Option<Sum>,
    },
    Week {
        event: u32,
        week: Week,
        fingerprint: u64,
    },
    #[cfg(not(feature = "browser"))]
    Close {
        event: u32,
        reopening: Reopening,
    },
    Completion {
        event: u32,
        combination: Combination,
        bucket: Bucket,
    },
}

impl Aggregator {
    /// Undoes a batch: the state is as before, and so is the memory that it takes.
    pub(super) fn take_back(&mut self, steps: Vec<Undo>) {
        let (mut users, mut counters) = (false, vec![false; self.counters.len()]);
        for step in steps.into_iter().rev() {
            match self.take_back_step(step) {
                Some(Section::Users) => users = true,
                Some(Section::Counter(event)) => counters.get_mut(event as usize).into_iter().for_each(|it| *it = true),
                None => {}
            }
        }
        if users {
            let before = self.users.memory_bytes();
            self.users.shrink();
            self.memory_bytes -= before - self.users.memory_bytes();
        }
        for (counter, _) in self.counters.iter_mut().zip(counters).filter(|(_, is_shrunk)| *is_shrunk) {
            if let Some(counter) = counter {
                let before = counter.memory_bytes();
                counter.shrink();
                self.memory_bytes -= before - counter.memory_bytes();
            }
        }
    }

    /// Undoes one step, and answers whose user set it took someone out of.
    fn take_back_step(&mut self, step: Undo) -> Option<Section> {
        match step {
            Undo::Counter { event } => {
                if let Some(counter) = self.counters.get_mut(event as usize).and_then(Option::take) {
                    self.memory_bytes -= counter.memory_bytes();
                }
                self.changed.get_mut(event as usize).into_iter().for_each(|changed| *changed = false);
            }
            Undo::Goal { event } => {
                if let Some(goal) = self.counter_mut(event).and_then(|counter| counter.goal.take()) {
                    self.memory_bytes -= goal.memory_bytes();
                }
            }
            Undo::User { fingerprint } => {
                self.users.remove(fingerprint);
                return Some(Section::Users);
            }
            Undo::First { event, fingerprint, sum } => {
                if let Some(counter) = self.counter_mut(event) {
                    counter.users.remove(fingerprint);
                    counter.sum = sum;
                }
                return Some(Section::Counter(event));
            }
            Undo::Week { event, week, fingerprint } => {
                if let Some(cohorts) = self.counter_mut(event).and_then(|counter| counter.cohorts.as_mut()) {
                    cohorts.remove(week, fingerprint);
                }
                return Some(Section::Counter(event));
            }
            #[cfg(not(feature = "browser"))]
            Undo::Close { event, reopening } => {
                if let Some(cohorts) = self.counter_mut(event).and_then(|counter| counter.cohorts.as_mut()) {
                    let before = cohorts.memory_bytes();
                    cohorts.reopen(reopening);
                    let grown = cohorts.memory_bytes() - before;
                    self.memory_bytes += grown;
                }
            }
            Undo::Completion { event, combination, bucket } => {
                if let Some(record) = self.counter_mut(event).and_then(|counter| counter.goal.as_mut()) {
                    let before = record.memory_bytes();
                    record.undo(&combination, bucket);
                    let freed = before - record.memory_bytes();
                    self.memory_bytes -= freed;
                }
            }
        }
        None
    }
}
