//! The Worker: HTTP in front, Durable Objects behind.
//!
//! A request flows one way: `routes` → `auth` → a handler, which reads the body, parses it (user ids end there),
//! resolves names through the `directory` and sends operations to `shard`s. Nothing calls upstream.
//!
//! All awaits of a request come before the first borrow of a shard's state; no borrow lives across an await.

mod access;
mod analytics;
mod assets;
mod auth;
mod body;
mod clock;
mod config;
mod cors;
mod directory;
mod error;
mod faults;
mod feature_specs;
mod features;
mod flags;
mod goals;
mod group;
mod health;
mod incoming;
mod keys;
mod message;
mod metrics;
mod names;
mod namespaces;
mod nudges;
mod older_state;
mod open;
mod predictions;
mod registry;
mod reports;
mod response;
mod routes;
mod shard;
mod sql;
mod status;
mod store;

pub use registry::Registry;
pub use shard::Shard;
use worker::{Context, Env, Request, Response, event};

/// The entry of every request.
///
/// # Errors
/// When the runtime refuses to make a response; everything else is answered as one.
#[event(fetch)]
pub async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    routes::serve(request, env, context).await
}
