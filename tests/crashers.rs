//! Inputs on which a fuzz target once failed, `tests/crashers/TARGET-WHAT`, in the form that the target takes (`fuzz/lib.rs`).
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::format::bytes::frame;
use kimball_edge::core::pre_aggregation::{Bounds, PreAggregator};

/// The input as a target frames it: its first byte is even.
fn framed(kind: u8, input: &[u8]) -> Vec<u8> {
    assert_eq!(input[0] & 1, 0);
    frame(kind, 1, &input[1..])
}

#[test]
fn counts_of_two_pages_that_add_up_to_too_much_stay_at_the_most() {
    let stored = framed(b'P', include_bytes!("crashers/page-passed-unseen-overflow"));
    let mut page = PreAggregator::decode(&stored, Bounds::default()).unwrap();
    assert!(page.passed_unseen() > u64::MAX / 2);
    let other = PreAggregator::decode(&stored, Bounds::default()).unwrap();
    page.merge(&other).unwrap();
    assert_eq!(page.passed_unseen(), u64::MAX);
}
