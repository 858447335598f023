//! The Worker: HTTP in front, Durable Objects behind.
//!
//! A request flows one way: `routes` → `auth` → a handler, which reads the body, parses it (user ids end there),
//! resolves names through the `directory` and sends operations to `shard`s. Nothing calls upstream.
//!
//! All awaits of a request come before the first borrow of a shard's state; no borrow lives across an await.

mod gateway;
mod handlers;
mod host;
mod http;
mod objects;
mod routes;

pub use objects::registry::Registry;
pub use objects::shard::Shard;
use worker::{Context, Env, Request, Response, event};

/// The entry of every request.
///
/// # Errors
/// When the runtime refuses to make a response; everything else is answered as one.
#[event(fetch)]
pub async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    routes::serve(request, env, context).await
}
