//! Taking back what a refused batch had done before it was refused: its effects, from the last to the first.

use super::Aggregator;
#[cfg(not(feature = "browser"))]
use crate::core::sets::user_set::UserSet;
#[cfg(not(feature = "browser"))]
use crate::core::state::counter::Closed;
use crate::core::state::effect::{Carried, Effect};
#[cfg(not(feature = "browser"))]
use crate::core::state::set_key::SetKey;
use crate::core::state::sum::Sum;

/// What an effect has replaced, where the effect itself does not say it.
pub(super) enum Undo {
    /// The sum to which a value was added.
    Sum(Option<Sum>),
    /// What had closed before, and the sets that closed.
    #[cfg(not(feature = "browser"))]
    Close { closed: Option<Closed>, sets: Vec<(SetKey, UserSet)> },
}

impl Aggregator {
    /// Undoes a batch: the state is as before, and so is the memory that it takes. Every effect has changed the state, and
    /// what it replaced comes in the order of effects.
    pub(super) fn take_back(&mut self, effects: &[Effect], mut undo: Vec<Undo>) {
        for effect in effects.iter().rev() {
            self.take_back_effect(effect, &mut undo);
        }
        self.sets.shrink();
    }

    fn take_back_effect(&mut self, effect: &Effect, undo: &mut Vec<Undo>) {
        match effect {
            Effect::Counter { event, .. } => {
                if let Some(counter) = self.counters.get_mut(*event as usize).and_then(Option::take) {
                    self.counters_bytes -= counter.memory_bytes();
                }
                self.changed.get_mut(*event as usize).into_iter().for_each(|changed| *changed = false);
            }
            Effect::Goal { event } => {
                if let Some(goal) = self.counter_mut(*event).and_then(|counter| counter.goal.take()) {
                    self.counters_bytes -= goal.memory_bytes();
                }
            }
            Effect::Insert { set, fingerprint, carried } => {
                self.sets.remove(*set, *fingerprint);
                if let (Some(carried), Some(event)) = (carried, set.event()) {
                    self.take_back_carried(event, carried, undo);
                }
            }
            #[cfg(feature = "browser")]
            Effect::Close { .. } => {}
            #[cfg(not(feature = "browser"))]
            Effect::Close { last } => {
                if let (Some(Undo::Close { closed, sets }), Some(event)) = (undo.pop(), last.event()) {
                    self.reopen(event, closed, sets);
                }
            }
        }
    }

    fn take_back_carried(&mut self, event: u32, carried: &Carried, undo: &mut Vec<Undo>) {
        let sum = if carried.value.is_some() { undo.pop() } else { None };
        let Some(counter) = self.counter_mut(event) else {
            return;
        };
        if let Some(Undo::Sum(sum)) = sum {
            counter.sum = sum;
        }
        if let (Some((combination, bucket)), Some(record)) = (&carried.completion, counter.goal.as_mut()) {
            let before = record.memory_bytes();
            record.undo(combination, *bucket);
            let freed = before - record.memory_bytes();
            self.counters_bytes -= freed;
        }
    }
}
