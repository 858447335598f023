//! What came of work on a shard.

use crate::messages::Failure;

/// What came of work on a shard.
pub type Outcome<T> = std::result::Result<T, Failure>;

/// Tells the log that storage failed.
pub fn storage(error: &worker::Error) -> Failure {
    worker::console_error!("shard storage: {error}");
    Failure::Storage
}
