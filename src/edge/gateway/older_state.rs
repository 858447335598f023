//! `ACCEPT_OLDER_STATE`: every shard that it names is asked to take what it has, whether anybody reads it or not.
//!
//! A shard that is read or written to does so by itself ([`crate::edge::objects::store`]). Those that nobody touches while the variable
//! is set are reached from here, once an isolate, behind its first request.

use std::cell::Cell;

use futures_util::{StreamExt, stream};
use worker::{Context, Env};

use super::ask::{ask_registry, ask_shard, shard_name};
use crate::core::settings::limits::FAN_OUT;
use crate::core::settings::older_state::OlderState;
use crate::edge::host::config::Config;
use crate::edge::http::error::ApiError;
use crate::messages::registry::Overview;
use crate::messages::shard::AcceptOlder;

thread_local! {
    static IS_DONE: Cell<bool> = const { Cell::new(false) };
}

/// Asks the shards, in the background, if that was not done yet.
pub fn accept(config: &Config, env: &Env, context: &Context) {
    if config.older_state == OlderState::Refused || IS_DONE.replace(true) {
        return;
    }
    let (older_state, env) = (config.older_state.clone(), env.clone());
    context.wait_until(async move {
        let shards = match older_state {
            OlderState::Refused => Ok(Vec::new()),
            // The registry may be what is older, and not know them.
            OlderState::Of(shards) => Ok(shards.into_iter().collect()),
            OlderState::Accepted => all(&env).await,
        };
        match shards {
            Ok(shards) => stream::iter(shards).for_each_concurrent(FAN_OUT, |shard| ask_one(&env, shard)).await,
            // The next request tries again.
            Err(_) => IS_DONE.set(false),
        }
    });
}

async fn ask_one(env: &Env, shard: String) {
    match ask_shard(env, &shard, &AcceptOlder).await {
        // It has told the log itself.
        Ok(true) => {}
        Ok(false) => worker::console_log!("ACCEPT_OLDER_STATE: shard {shard} is not older: nothing to accept"),
        Err(error) => {
            let what = error.what();
            worker::console_error!("ACCEPT_OLDER_STATE: shard {shard} accepts once it is read or written to: {what}");
        }
    }
}

/// The names of all shards that the registry knows.
async fn all(env: &Env) -> Result<Vec<String>, ApiError> {
    let of = |(name, shards): (String, u32)| (0..shards).map(move |index| shard_name(&name, index));
    Ok(ask_registry(env, &Overview).await?.namespaces.into_iter().flat_map(of).collect())
}
