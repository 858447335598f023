//! What a page has stored is refused, or goes on working: events are taken, drained and merged without a panic.
#![no_main]

use kimball_edge::core::periods::day::Day;
use kimball_edge::core::pre_aggregation::{Bounds, Event, News, PreAggregator};
use kimball_edge_fuzz::framed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(mut page) = PreAggregator::decode(&framed(b'P', 2, data), Bounds::default()) else { return };
    let stored = page.encode();
    let again = PreAggregator::decode(&stored, Bounds::default()).expect("what was encoded decodes");
    assert_eq!(again.encode(), stored);
    let _ = page.merge(&again);
    let now_s = 1_700_000_000;
    let arrived = Event::new("Arrived", "ann", Day::of_unix_s(now_s));
    let _ = page.record(&Event { ensure_goal: true, ..arrived }, now_s);
    if let Ok(news) = page.record(&arrived, now_s) {
        assert!(news == News::Repeat || page.passed_unseen() > 0);
    }
    let pending = page.pending_len();
    assert_eq!(page.pending().count(), pending);
    page.drain(pending + 1);
    assert_eq!(page.pending_len(), 0);
});
