//! The state of a shard and everything that is computed from it.
//!
//! Nothing in here does I/O, reads a clock, draws random numbers or names a wasm or Worker crate, and nothing panics
//! on any input. State changes only through [`aggregator::Aggregator`].

pub mod aggregator;
pub mod answer;
pub mod bodies;
pub mod budget;
pub mod bytes;
pub mod ceilings;
pub mod cohort;
pub mod combination;
pub mod corrupt;
pub mod counter;
pub mod counter_settings;
pub mod counts;
pub mod effect;
pub mod error;
pub mod flag;
pub mod goal;
pub mod identity;
pub mod limits;
pub mod older_state;
pub mod open_shards;
pub mod pre_aggregation;
pub mod prediction;
pub mod report;
pub mod request;
pub mod seal;
pub mod snapshot;
pub mod sum;
pub mod user_set;
