//! Kimball Edge: unique users per event, funnels of what users did before a goal, and feature flags, without storing
//! who did what.
//!
//! - [`core`]: the sketches, the aggregator and the byte formats. Pure Rust: no I/O, no clock, no randomness.
//! - [`isolate`]: what an isolate has to share out, as accounts.
//! - [`api`]: routes, scopes and error codes, as data.
//! - `openapi` (feature `openapi`, never in WebAssembly): the document of the API.
//! - `edge` (feature `edge`): the Cloudflare Worker and its Durable Objects.
//! - `browser` (features `browser` and `news`): the same aggregator behind `wasm-bindgen`, for a page, and what of it the client needs.
//!
//! `edge` and `browser` depend on `core` and never on each other.

#[cfg(all(feature = "edge", any(feature = "browser", feature = "news")))]
compile_error!("features `edge`, and `browser` and `news`, build different artefacts: choose one");

pub mod api;
pub mod core;
pub mod isolate;
#[cfg(all(feature = "openapi", not(target_arch = "wasm32")))]
pub mod openapi;

#[cfg(any(feature = "edge", all(test, not(feature = "browser"))))]
#[cfg_attr(not(feature = "edge"), allow(dead_code, reason = "the tests without the Worker use a part of it"))]
mod messages;

#[cfg(any(feature = "browser", feature = "news"))]
pub mod browser;
#[cfg(feature = "edge")]
pub mod edge;
