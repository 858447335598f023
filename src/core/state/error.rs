//! Errors of the core, in tiers: what the caller sent ([`Invalid`]), what the state has no room for ([`Refusal`]) and
//! what storage holds ([`crate::core::format::corrupt::Corrupt`]).

use std::fmt;

/// Something given from outside is malformed. `what` is for people and never repeats what was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Invalid {}

/// A capacity limit of a shard would be passed. The state is as it was before the refused batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The event has its maximum of unique users in this shard.
    Users,
    /// The event has as many unique users in this shard as its counter setting lets it have.
    CounterSize {
        /// How many that is.
        users_max: u64,
    },
    /// The shard's state has reached its maximum of memory.
    Memory,
    /// An event's number and its tag do not belong together: the caller's names are not those of this shard's past.
    Tag,
}
