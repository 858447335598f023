//! The JSON of answers, and what is computed for them from the numbers of a namespace.

pub mod analytics;
pub mod gate;
pub mod prediction;
#[cfg(not(feature = "browser"))]
pub mod retention;
#[cfg(not(feature = "browser"))]
pub mod series;
pub mod short;
pub mod status;
