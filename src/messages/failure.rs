//! Why an object did not do what it was asked.

use serde::{Deserialize, Serialize};

use crate::core::state::error;

/// Why an object did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// No further flag fits.
    FlagsFull {
        /// Which limit that is.
        limit: FlagLimit,
    },
    /// A limit of the shard.
    Refused {
        /// Which one.
        refusal: Refusal,
        /// Its configured value.
        limit: u64,
    },
    /// The numbers of events are of an incarnation of the namespace before the last deletion.
    OtherIncarnation,
    /// The state was made with another key.
    KeyChanged,
    /// A configuration variable is wrong.
    Configuration(String),
    /// Storage failed.
    Storage,
    /// Storage holds what cannot be read, or less than was acknowledged: which shard, where, and what is wrong.
    Unreadable(String),
}

/// A limit on all flags together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlagLimit {
    /// The number of flags.
    Flags(u64),
    /// Their bytes.
    Bytes(u64),
}

/// Which limit of a shard it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Unique users of an event.
    Users,
    /// Unique users of an event that has a counter setting.
    CounterSize,
    /// Memory of the state.
    Memory,
    /// Event numbers and tags do not belong together.
    Tag,
}

impl From<error::Refusal> for Refusal {
    fn from(refusal: error::Refusal) -> Self {
        match refusal {
            error::Refusal::Users => Self::Users,
            error::Refusal::CounterSize { .. } => Self::CounterSize,
            error::Refusal::Memory => Self::Memory,
            error::Refusal::Tag => Self::Tag,
        }
    }
}
