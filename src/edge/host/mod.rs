//! What the host gives: the clock, storage, the configuration; and what the isolate counts about itself.

pub mod clock;
pub mod config;
pub mod faults;
pub mod record;
pub mod sql;
pub mod wire;
