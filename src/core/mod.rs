//! The state of a shard and everything that is computed from it.
//!
//! Nothing in here does I/O, reads a clock, draws random numbers or names a wasm or Worker crate, and nothing panics
//! on any input. State changes only through [`state::aggregator::Aggregator`].

pub mod answers;
pub mod flags;
pub mod format;
pub mod identity;
pub mod order;
pub mod periods;
pub mod pre_aggregation;
pub mod requests;
pub mod sets;
pub mod settings;
pub mod state;
