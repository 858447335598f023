//! The state that the golden files of format version 1 hold, and the journal that leads to it.

use kimball_edge::core::aggregator::{Aggregator, Operation};
use kimball_edge::core::effect;
use kimball_edge::core::identity::Keys;
use kimball_edge::core::limits::ShardLimits;

/// Three events, one of them a goal with values and an overflow bucket.
pub fn state() -> (Aggregator, Vec<Vec<u8>>) {
    let keys = Keys::new(&[42; 32]);
    let unlink = keys.unlink("default");
    let limits = ShardLimits { combinations_per_goal: 3, ..ShardLimits::NONE };
    let names = ["Sign up", "Login", "Completed purchase"];
    let tag = |event: u32| unlink.tag(names.get(event as usize).unwrap_or(&""));
    let record = |event: u32, user: u32, value| Operation::Record {
        event,
        tag: tag(event),
        user: keys.user("default", &format!("user-{user}")),
        value,
    };
    let mut state = Aggregator::default();
    let goal = Operation::Goal { event: 2, tag: tag(2) };
    let batches = [
        vec![record(2, 1, None), goal],
        (0..40).map(|user| record(0, user, None)).collect(),
        (0..40).step_by(3).map(|user| record(1, user, Some(f64::from(user) * 0.1))).collect(),
        (0..60).step_by(2).map(|user| record(2, user, Some(-1.5))).collect(),
        (60..70).map(|user| record(1, user, None)).collect(),
        (60..70).map(|user| record(2, user, None)).collect(),
    ];
    let journal =
        batches.iter().map(|batch| effect::encode(&state.apply(batch, &unlink, &limits).unwrap_or_default())).collect();
    (state, journal)
}
