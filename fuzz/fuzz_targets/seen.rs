//! What the client has stored of what was seen is refused, or goes on working: it is encoded as it was, and takes events without a panic.
#![no_main]

use kimball_edge::core::periods::day::Day;
use kimball_edge::core::pre_aggregation::{Event, News, Seen};
use kimball_edge_fuzz::framed;
use libfuzzer_sys::fuzz_target;

const BYTES_MAX: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let mut blank = Seen::new([9; 16], BYTES_MAX, kimball_edge::core::pre_aggregation::Level::Order);
    let _ = blank.apply(data);
    let Ok(mut seen) = Seen::decode(&framed(b'N', 1, data), BYTES_MAX) else { return };
    let stored = seen.encode();
    let mut again = Seen::decode(&stored, BYTES_MAX).expect("what was encoded decodes");
    assert_eq!(again.encode(), stored);
    let now_min = 29_000_000;
    let arrived = Event::new("Arrived", "ann", Day::of_unix_s(i64::from(now_min) * 60));
    seen.record(&Event { ensure_goal: true, ..arrived }, now_min);
    assert_eq!(seen.record(&arrived, now_min), News::Repeat);
    again.apply(&seen.changes()).expect("changes are of their key");
    assert_eq!(again.encode(), seen.encode());
});
