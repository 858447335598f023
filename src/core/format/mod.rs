//! What all stored bytes have in common: frames with checksums, what damage is called, and the seal of journal rows.

pub mod aside;
pub mod bytes;
pub mod corrupt;
pub mod seal;
