//! What an isolate has to share out: the memory of loaded shards, the bytes of bodies in flight, and open shards.
//!
//! Accounts only. Nothing in here does I/O or reads a clock; `edge` acts on what they say.

pub mod bodies;
pub mod budget;
pub mod ceilings;
pub mod open_shards;
