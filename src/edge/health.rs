//! Liveness and health.

use super::directory;
use super::error::ApiError;
use super::keys::keys;
use super::response::Reply;
use super::routes::Call;
use crate::api::answer::Health;

/// GET /healthz: whether configuration, key and storage are in order.
///
/// # Errors
/// What is not.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    keys(call.env, call.config).await?;
    directory::namespaces(call.env).await?;
    Reply::json(&Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[cfg(feature = "faults")]
pub use injected::{compact, inspect};

#[cfg(feature = "faults")]
mod injected {
    use super::super::message::{ShardReply, ShardRequest, ask};
    use super::{ApiError, Call, Reply};

    async fn ask_shard(call: &Call<'_>, request: ShardRequest) -> Result<ShardReply, ApiError> {
        let namespace = call.query.get("namespace")?.unwrap_or("default");
        let name = format!("{namespace}/{}", call.query.get("index")?.unwrap_or("0"));
        ask(call.env, "SHARD", &name, &request).await
    }

    /// GET /faults/shard: the state of a shard's storage.
    pub async fn inspect(call: Call<'_>) -> Result<Reply, ApiError> {
        match ask_shard(&call, ShardRequest::Inspect).await? {
            ShardReply::Inspection(inspection) => Reply::json(&inspection),
            _ => Ok(Reply::no_content()),
        }
    }

    /// POST /faults/compact: compacts a shard.
    pub async fn compact(call: Call<'_>) -> Result<Reply, ApiError> {
        ask_shard(&call, ShardRequest::Compact).await.map(|_| Reply::no_content())
    }
}
