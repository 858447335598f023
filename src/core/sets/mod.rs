//! Sets of users.

pub mod user_set;
