//! The way from a request to the Durable Objects: what they are asked, and what the isolate keeps of their answers.

pub mod ask;
pub mod definitions;
pub mod deletions;
pub mod directory;
pub mod flags;
pub mod ingest;
pub mod keys;
pub mod namespace;
pub mod older_state;
pub mod open;
pub mod reports;
