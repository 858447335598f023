//! A journal row is refused, or is exactly the effects that it decodes to, which a state takes or refuses whole.
#![no_main]

use kimball_edge::core::state::aggregator::Aggregator;
use kimball_edge::core::state::{journal, snapshot};
use kimball_edge_fuzz::framed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(effects) = journal::decode(&framed(b'J', 5, data)) else { return };
    assert_eq!(journal::decode(&journal::encode(&effects)).as_ref(), Ok(&effects));
    let mut state = Aggregator::default();
    if state.restore(&effects).is_ok() {
        let once = snapshot::encode_all(&state);
        state.restore(&effects).expect("a row that was taken is taken again");
        assert_eq!(snapshot::encode_all(&state), once, "a row that is replayed twice changes nothing");
    }
});
