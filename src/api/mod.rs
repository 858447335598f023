//! The surface of the service as data: routes, scopes, error codes and short answers. What the Worker dispatches by and what its
//! OpenAPI document is made from; no runtime, no I/O.

pub mod answer;
pub mod code;
pub mod routes;
pub mod status;
