//! The core in WebAssembly, under Node: what could differ from the native build (integer widths, floats, memory).
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, clippy::unwrap_used)]

use kimball_edge::core::identity::Keys;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::requests::parse_events;
use kimball_edge::core::settings::limits::RequestLimits;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::set_key::SetKey;
use kimball_edge::core::state::shard_limits::ShardLimits;
use kimball_edge::core::state::{journal, snapshot};
use wasm_bindgen_test::wasm_bindgen_test;

#[path = "golden/state.rs"]
mod golden;

#[wasm_bindgen_test]
fn the_golden_state_has_the_same_bytes_as_natively() {
    let (state, journal) = golden::state();
    assert_eq!(snapshot::encode_all(&state).concat(), include_bytes!("golden/snapshot-4-of-state-1.bin"));
    assert_eq!(journal.concat(), include_bytes!("golden/journal-5-of-state-1.bin"));
    let (state, journal) = golden::state_3();
    assert_eq!(snapshot::encode_all(&state).concat(), include_bytes!("golden/snapshot-4-of-state-3.bin"));
    assert_eq!(journal.concat(), include_bytes!("golden/journal-5-of-state-3.bin"));
    // Four weeks of which two are kept, and one more.
    let (mut state, _) = golden::state_2();
    golden::add_a_week(&mut state);
    let weeks: Vec<u64> = state.report().counters.first().unwrap().weeks.values().copied().collect();
    assert_eq!(weeks, [9, 7, 1], "what comes behind a closing counts in no week");
}

#[wasm_bindgen_test]
fn a_large_set_reloads_to_the_same_state() {
    let keys = Keys::new(&[9; 32]);
    let unlink = keys.unlink("n");
    let operations: Vec<Operation> = (0..50_000_u32)
        .map(|n| Operation::Record {
            event: n % 3,
            tag: unlink.tag(&(n % 3).to_string()),
            user: keys.user("n", &n.to_string()),
            value: Some(f64::from(n) / 8.0),
            week: None,
            time: None,
        })
        .collect();
    let mut state = Aggregator::default();
    let effects = state.apply(&operations, &unlink, &ShardLimits::NONE, Day::MAX).unwrap();
    let mut replayed = Aggregator::default();
    replayed.restore(&journal::decode(&journal::encode(&effects)).unwrap()).unwrap();
    let mut reloaded = Aggregator::default();
    for section in snapshot::encode_all(&state) {
        snapshot::decode(&mut reloaded, &section).unwrap();
    }
    assert_eq!(state.report(), replayed.report());
    assert_eq!(state.report(), reloaded.report());
    assert!(state.sets().len(SetKey::AllUsers) > 49_990);
}

#[wasm_bindgen_test]
fn requests_parse() {
    let limits = RequestLimits { body_bytes: 1_000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
    let body = br#"{"events": [{"event_name": "a", "user_id": 18446744073709551615, "value": 1e300}]}"#;
    assert_eq!(parse_events(body, &Keys::new(&[0; 32]), &limits).unwrap().namespaces.first().unwrap().items.len(), 1);
}
