//! The Durable Objects: the registry and the shards, with what they store.

pub mod alarm;
pub mod definitions;
pub mod deletions;
pub mod failure;
pub mod group;
pub mod loaded;
pub mod marks;
pub mod names;
pub mod registry;
pub mod series;
pub mod shard;
pub mod store;
