//! Liveness and health.

use std::cell::Cell;

use crate::core::answers::short::Health;
use crate::core::settings::limits::HEALTH_CACHE_MS;
use crate::edge::gateway::ask::ask_registry;
use crate::edge::gateway::keys::keys;
use crate::edge::host::clock;
use crate::edge::host::record;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::registry::Unreadable;

/// GET /healthz: whether configuration, key and storage are in order. A shard that cannot be read fails no other, so it
/// is told and no error.
///
/// # Errors
/// What is not.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    keys(call.env, call.config).await?;
    let now_ms = clock::now_ms();
    let last = LAST.get().filter(|(asked_ms, _)| now_ms.abs_diff(*asked_ms) < HEALTH_CACHE_MS);
    let unreadable =
        if let Some((_, unreadable)) = last { unreadable } else { ask_registry(call.env, &Unreadable).await? };
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
pub use injected::{compact, inspect, set_clock, shift_version};

#[cfg(feature = "faults")]
mod injected {
    use super::{ApiError, Call, Reply};
    use crate::edge::gateway::ask::ask_shard;
    use crate::edge::host::{clock, wire};
    use crate::messages::Question;
    use crate::messages::shard::{Compact, Inspect};

    async fn ask<Q: Question>(call: &Call<'_>, question: &Q) -> Result<Q::Answer, ApiError> {
        let namespace = call.query.get("namespace")?.unwrap_or("default");
        let name = format!("{namespace}/{}", call.query.get("index")?.unwrap_or("0"));
        ask_shard(call.env, &name, question).await
    }

    /// GET /faults/shard: the state of a shard's storage.
    pub async fn inspect(call: Call<'_>) -> Result<Reply, ApiError> {
        Reply::json(&ask(&call, &Inspect).await?)
    }

    /// POST /faults/clock: sets this isolate's clock so many milliseconds ahead, or back, and to a speed.
    pub fn set_clock(call: &Call<'_>) -> Result<Reply, ApiError> {
        let offset_ms = call.query.get("offset_ms")?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let speed = call.query.get("speed")?.and_then(|text| text.parse().ok()).unwrap_or(1);
        clock::set(offset_ms, speed);
        Ok(Reply::no_content())
    }

    /// POST /faults/version: has this isolate ask objects as one that is so many versions ahead.
    pub fn shift_version(call: &Call<'_>) -> Result<Reply, ApiError> {
        wire::shift_version(call.query.get("ahead")?.and_then(|text| text.parse().ok()).unwrap_or(0));
        Ok(Reply::no_content())
    }

    /// POST /faults/compact: compacts a shard.
    pub async fn compact(call: Call<'_>) -> Result<Reply, ApiError> {
        ask(&call, &Compact).await.map(|()| Reply::no_content())
    }
}
