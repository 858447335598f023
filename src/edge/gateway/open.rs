//! Keeps the shards that are open within `OPEN_SHARDS_MAX`, because each holds descriptors of the process.
//!
//! Whoever asks a shard enters here first. Where the bound is met, the least recently used shard that is idle is closed:
//! it compacts or marks, so that no alarm opens it again, and `guard.js` aborts it, upon which the runtime closes its database.
//! Where every open shard is in use, the call waits for a while and is refused then. On Cloudflare, which bounds this
//! itself, there is no bound, and nothing is counted.

use std::cell::RefCell;
use std::time::Duration;

use worker::{Delay, Env};

use crate::api::code::Code;
use crate::core::settings::limits::{OPEN_SHARD_IDLE_MS, OPEN_SHARD_POLL_MS, OPEN_SHARD_WAIT_MS, OPEN_SHARDS};
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::wire::{encode, exchange};
use crate::edge::http::error::ApiError;
use crate::isolate::open_shards::{Entry, OpenShards};
use crate::messages::shard::{Close, SHARD};

thread_local! {
    static OPEN: RefCell<OpenShards> = RefCell::default();
}

/// A call of a shard that is under way; dropped, it is over.
pub struct Call(Option<String>);

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(id) = &self.0 {
            OPEN.with_borrow_mut(|open| open.leave(id, clock::now_ms()));
        }
    }
}

/// Waits until the shard of this name may be called.
///
/// # Errors
/// When as many shards as may be open are in use, and stay so.
pub async fn enter(env: &Env, name: &str) -> Result<Call, ApiError> {
    let config = Config::of(env)?;
    let Some(max) = bound(&config) else {
        return Ok(Call(None));
    };
    let id = id_of(env, name).map_err(|error| ApiError::storage(&error))?;
    let window_ms = OPEN_SHARD_IDLE_MS.saturating_add_signed(config.compaction_delay_ms);
    let deadline_ms = clock::now_ms() + OPEN_SHARD_WAIT_MS;
    let ask = || OPEN.with_borrow_mut(|open| open.enter(&id, max, window_ms, clock::now_ms()));
    let mut entry = ask();
    loop {
        entry = match entry {
            Entry::Entered => return Ok(Call(Some(id))),
            Entry::Close(victim) if is_closed(env, &victim).await => {
                OPEN.with_borrow_mut(|open| open.replaced(&victim, &id, max, clock::now_ms()))
            }
            Entry::Close(victim) => {
                OPEN.with_borrow_mut(|open| open.kept(&victim, clock::now_ms()));
                pause(deadline_ms, max).await?;
                ask()
            }
            Entry::Wait => {
                pause(deadline_ms, max).await?;
                ask()
            }
        };
    }
}

/// Waits for a moment, until the deadline.
async fn pause(deadline_ms: u64, max: u64) -> Result<(), ApiError> {
    if clock::now_ms() > deadline_ms {
        let what = "all shards that may be open are in use; nothing of this was acknowledged, send it again";
        return Err(ApiError::limit(Code::StorageUnavailable, what, OPEN_SHARDS.name, max));
    }
    Delay::from(Duration::from_millis(OPEN_SHARD_POLL_MS)).await;
    Ok(())
}

/// Notes a shard that its alarm has opened.
pub fn note(env: &Env, id: String) -> Call {
    if Config::of(env).ok().and_then(|config| bound(&config)).is_none() {
        return Call(None);
    }
    OPEN.with_borrow_mut(|open| open.note(&id, clock::now_ms()));
    Call(Some(id))
}

/// How many may be open, where that is bounded.
fn bound(config: &Config) -> Option<u64> {
    (config.open_shards_max < OPEN_SHARDS.default).then_some(config.open_shards_max)
}

fn id_of(env: &Env, name: &str) -> worker::Result<String> {
    Ok(env.durable_object(SHARD)?.id_from_name(name)?.to_string())
}

/// Closes a shard, and answers whether it is: being closed breaks the call off, so one that answers was not.
async fn is_closed(env: &Env, id: &str) -> bool {
    let ask = async {
        let stub = env.durable_object(SHARD)?.id_from_string(id)?.get_stub()?;
        exchange(stub, encode(&Close)).await
    };
    ask.await.is_err()
}
