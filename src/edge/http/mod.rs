//! Requests and responses: who calls, the body, errors, and the answer.

pub mod auth;
pub mod body;
pub mod call;
pub mod cors;
pub mod error;
pub mod incoming;
pub mod plain;
pub mod response;
