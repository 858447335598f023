//! A stored section is refused, or is the state that it decodes to: encoded again, it decodes to the same.
#![no_main]

use kimball_edge::core::state::aggregator::Aggregator;
use kimball_edge::core::state::snapshot;
use kimball_edge_fuzz::framed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut state = Aggregator::default();
    if snapshot::decode(&mut state, &framed(b'S', 4, data)).is_err() {
        return;
    }
    let report = state.report();
    let sections = snapshot::encode_all(&state);
    let mut again = Aggregator::default();
    for section in &sections {
        snapshot::decode(&mut again, section).expect("what was encoded decodes");
    }
    assert_eq!(snapshot::encode_all(&again), sections);
    assert_eq!(again.report(), report);
});
