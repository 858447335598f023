//! The surface of the service as data: routes, scopes and error codes. What the Worker dispatches by and what its
//! OpenAPI document is made from; no runtime, no I/O.

pub mod code;
pub mod routes;
