//! Deleting what was counted. No effect of a journal says so: whoever deletes stores the state that is left.

use super::Aggregator;

impl Aggregator {
    /// Drops the counter of an event, its sets and its series, and the event from what users had done before goals. Whoever did it stays
    /// in the set of all users, which does not know why they are there.
    pub fn delete_event(&mut self, event: u32) {
        if let Some(counter) = self.counters.get_mut(event as usize).and_then(Option::take) {
            self.counters_bytes -= counter.memory_bytes();
            self.note_change(event);
        }
        self.sets.delete_event(event);
        self.series.delete_event(event);
        let goals: Vec<u32> =
            self.counters().filter(|(_, counter)| counter.goal.is_some()).map(|(goal, _)| goal).collect();
        for goal in goals {
            let Some(record) = self.counter_mut(goal).and_then(|counter| counter.goal.as_mut()) else {
                continue;
            };
            let before = record.memory_bytes();
            record.forget(event);
            let after = record.memory_bytes();
            self.counters_bytes = self.counters_bytes + after - before;
        }
    }

    /// Drops what was recorded about a goal. Its event stays, and is none any more.
    pub fn delete_goal(&mut self, event: u32) {
        if let Some(record) = self.counter_mut(event).and_then(|counter| counter.goal.take()) {
            self.counters_bytes -= record.memory_bytes();
        }
    }
}
