//! A stored row of counts is refused, or is the counts that it decodes to: encoded again, it is the same bytes.
#![no_main]

use kimball_edge::core::state::counts;
use kimball_edge_fuzz::framed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let row = framed(b'C', 1, data);
    if let Ok((generation, counts)) = counts::decode(&row) {
        assert_eq!(counts::encode_report(&counts, generation), row);
    }
});
