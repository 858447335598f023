//! Liveness and health.

use std::cell::Cell;

use super::clock;
use super::error::ApiError;
use super::exchange::ask;
use super::keys::keys;
use super::message::{REGISTRY_NAME, RegistryReply, RegistryRequest};
use super::metrics::record;
use super::response::Reply;
use super::routes::Call;
use crate::api::answer::Health;
use crate::core::limits::HEALTH_CACHE_MS;

/// GET /healthz: whether configuration, key and storage are in order. A shard that cannot be read fails no other, so it
/// is told and no error.
///
/// # Errors
/// What is not.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    keys(call.env, call.config).await?;
    let now_ms = clock::now_ms();
    let last = LAST.get().filter(|(asked_ms, _)| now_ms.abs_diff(*asked_ms) < HEALTH_CACHE_MS);
    let unreadable = if let Some((_, unreadable)) = last {
        unreadable
    } else {
        match ask(call.env, "REGISTRY", REGISTRY_NAME, &RegistryRequest::Unreadable).await? {
            RegistryReply::Unreadable(unreadable) => unreadable,
            _ => return Err(ApiError::unexpected("the registry")),
        }
    };
    if last.is_none() {
        LAST.set(Some((now_ms, unreadable)));
    }
    // A database that is so damaged that its object cannot be made tells nothing itself.
    let unreadable_shards = unreadable + record::unreachable();
    Reply::json(&Health {
        status: if unreadable_shards == 0 { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        unreadable_shards,
    })
}

thread_local! {
    /// When the registry was last asked for the number of unreadable shards, in Unix milliseconds, and what it answered.
    static LAST: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

#[cfg(feature = "faults")]
pub use injected::{compact, inspect, shift_clock, shift_version};

#[cfg(feature = "faults")]
mod injected {
    use super::super::clock;
    use super::super::exchange;
    use super::super::message::{ShardReply, ShardRequest};
    use super::{ApiError, Call, Reply, ask};

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

    /// POST /faults/clock: sets this isolate's clock so many milliseconds ahead, or back.
    pub fn shift_clock(call: &Call<'_>) -> Result<Reply, ApiError> {
        clock::shift(call.query.get("offset_ms")?.and_then(|text| text.parse().ok()).unwrap_or(0));
        Ok(Reply::no_content())
    }

    /// POST /faults/version: has this isolate ask objects as one that is so many versions ahead.
    pub fn shift_version(call: &Call<'_>) -> Result<Reply, ApiError> {
        exchange::shift_version(call.query.get("ahead")?.and_then(|text| text.parse().ok()).unwrap_or(0));
        Ok(Reply::no_content())
    }

    /// POST /faults/compact: compacts a shard.
    pub async fn compact(call: Call<'_>) -> Result<Reply, ApiError> {
        ask_shard(&call, ShardRequest::Compact).await.map(|_| Reply::no_content())
    }
}
