//! Calendar periods, in UTC.

pub mod day;
pub mod week;
