//! The Durable Objects: the registry and the shards, with what they store.

pub mod deletions;
pub mod group;
pub mod loaded;
pub mod names;
pub mod registry;
pub mod shard;
pub mod store;
