//! The state of a shard: what it counts, how that changes, and how it is stored.

pub mod aggregator;
pub mod cohort;
pub mod combination;
pub mod counter;
pub mod counts;
pub mod effect;
pub mod error;
pub mod goal;
pub mod report;
pub mod shard_limits;
pub mod snapshot;
pub mod sum;
