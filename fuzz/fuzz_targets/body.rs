//! Bodies of POST /v0/analytics and /v0/goals: refused or read, and what was read keeps to the limits.
#![no_main]

use kimball_edge::core::identity::Keys;
use kimball_edge::core::requests::{parse_events, parse_goal};
use kimball_edge_fuzz::REQUEST;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let keys = Keys::new(&[7; 32]);
    if let Ok(batch) = parse_events(data, &keys, &REQUEST) {
        let events: usize = batch.namespaces.iter().map(|namespace| namespace.items.len()).sum();
        assert!(events as u64 <= REQUEST.batch_events);
        for name in batch.namespaces.iter().flat_map(|each| each.names.iter().chain([&each.namespace])) {
            assert!((1..=REQUEST.name_bytes).contains(&(name.len() as u64)));
        }
    }
    if let Ok(goal) = parse_goal(data, &REQUEST) {
        for name in [&goal.goal_name, &goal.namespace] {
            assert!((1..=REQUEST.name_bytes).contains(&(name.len() as u64)));
        }
    }
});
