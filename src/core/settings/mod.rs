//! What operators set: limits, counters, and which older state is accepted.

pub mod counters;
pub mod limits;
pub mod older_state;
