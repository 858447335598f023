//! Taking back what a refused batch had done before it was refused: its effects, from the last to the first.

use super::Aggregator;
#[cfg(not(feature = "browser"))]
use crate::core::sets::user_set::UserSet;
#[cfg(not(feature = "browser"))]
use crate::core::state::all_series::Missed;
#[cfg(not(feature = "browser"))]
use crate::core::state::counter::Closed;
use crate::core::state::effect::{Carried, Effect};
use crate::core::state::series::Occurrence;
#[cfg(not(feature = "browser"))]
use crate::core::state::series::Point;
use crate::core::state::set_key::{COUNTS_IN_PERIODS, SetKey};
use crate::core::state::sum::Sum;

/// Sets that were dropped.
#[cfg(not(feature = "browser"))]
type FormerSets = Vec<(SetKey, UserSet)>;

/// What an effect has replaced, where the effect itself does not say it.
pub(super) enum Undo {
    /// The sum to which a value was added.
    Sum(Option<Sum>),
    /// What had closed before, and the sets that closed.
    #[cfg(not(feature = "browser"))]
    Close(Box<(Option<Closed>, FormerSets)>),
    /// The sums of series to which a value was added, by unit.
    Sums(Box<[Option<Sum>; 3]>),
    /// What was known of a period, and its set.
    #[cfg(not(feature = "browser"))]
    Over(Box<(Option<Point>, FormerSets)>),
    /// Which days had been missed.
    #[cfg(not(feature = "browser"))]
    Missed(Option<Missed>),
}

impl Aggregator {
    /// Undoes a batch: the state is as before, and so is the memory that it takes. Every effect has changed the state, and
    /// what it replaced comes in the order of effects.
    pub(super) fn take_back(&mut self, effects: &[Effect], mut undo: Vec<Undo>) {
        for effect in effects.iter().rev() {
            self.take_back_effect(effect, &mut undo);
        }
        self.sets.shrink();
        if COUNTS_IN_PERIODS {
            self.series.shrink();
        }
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
            Effect::Insert { set, fingerprint, first, carried } => {
                self.sets.remove(*set, *fingerprint);
                if let (Some(carried), Some(event)) = (carried, set.event()) {
                    self.take_back_carried(event, carried, undo);
                }
                if let Some(first) = first.filter(|_| COUNTS_IN_PERIODS) {
                    let has_value = carried.as_ref().is_some_and(|carried| carried.value.is_some());
                    let sums = if has_value { undo.pop() } else { None };
                    self.take_back_first(*set, first, sums);
                }
            }
            #[cfg(feature = "browser")]
            _ => {}
            #[cfg(not(feature = "browser"))]
            Effect::Over { set } => {
                if let Some(Undo::Over(former)) = undo.pop() {
                    if set.definition().is_some() {
                        self.take_back_grid_over(*set, former.1);
                    } else {
                        self.take_back_over(*set, former.0, former.1);
                    }
                }
            }
            #[cfg(not(feature = "browser"))]
            Effect::Miss { .. } => {
                if let Some(Undo::Missed(missed)) = undo.pop() {
                    self.series.set_missed(missed);
                }
            }
            // They are carried out once nothing can be refused any more.
            #[cfg(not(feature = "browser"))]
            Effect::InsertMany { .. } | Effect::ClosePeriods { .. } | Effect::Define(_) | Effect::Grid { .. } => {}
            #[cfg(not(feature = "browser"))]
            Effect::Close { last } => {
                if let (Some(Undo::Close(former)), Some(event)) = (undo.pop(), last.event()) {
                    self.reopen(event, former.0, former.1);
                }
            }
        }
    }

    /// Takes back what series have counted of a first occurrence, with the sums that were there, where it had a value.
    pub(super) fn take_back_first(&mut self, set: SetKey, first: Occurrence, sums: Option<Undo>) {
        let sums = if let Some(Undo::Sums(sums)) = sums { Some(*sums) } else { None };
        self.series.take_back_first(set.event(), first, sums);
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
