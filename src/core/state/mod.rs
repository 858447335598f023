//! The state of a shard: what it counts, how that changes, and how it is stored.

pub mod aggregator;
pub mod all_series;
pub mod combination;
pub mod counter;
pub mod counts;
#[cfg(not(feature = "browser"))]
pub mod definitions;
pub mod effect;
mod effect_older;
pub mod error;
mod fingerprint;
pub mod goal;
#[cfg(not(feature = "browser"))]
pub mod grid_report;
#[cfg(not(feature = "browser"))]
pub mod grids;
pub mod journal;
pub mod report;
pub mod series;
#[cfg(not(feature = "browser"))]
pub mod series_report;
pub mod set_key;
pub mod sets;
pub mod shard_limits;
pub mod snapshot;
pub mod snapshot_older;
pub mod sum;
