//! What answers each route, a file a subject.

pub mod access;
pub mod analytics;
pub mod assets;
pub mod deletions;
pub mod feature_specs;
pub mod features;
pub mod goals;
pub mod health;
pub mod metrics;
pub mod namespaces;
pub mod nudges;
pub mod predictions;
pub mod retention;
pub mod senders;
pub mod series;
pub mod status;
