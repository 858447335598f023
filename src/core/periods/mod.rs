//! Calendar periods, in UTC.

pub mod day;
pub mod period;
pub mod week;
