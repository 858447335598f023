//! /v0/features: which flags are on for a user, and what asking for one records.

use worker::{Context, Method, console_error};

use crate::core::answers::short::Features;
use crate::core::order::map_of;
use crate::core::requests::parse_features;
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::{flags, ingest};
use crate::edge::host::config::Config;
use crate::edge::host::{clock, record};
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::shard::Injection;

/// GET: every flag, on or off; the event is recorded behind the response.
///
/// # Errors
/// When a parameter is malformed, or the registry cannot be reached.
pub async fn read(call: Call<'_>, context: &Context) -> Result<Reply, ApiError> {
    let keys = keys(call.env, call.config).await?;
    let asked = parse_features(&call.query, &keys, &call.config.request)?;
    let flags = flags::cached(call.env).await?;
    let now = clock::now_s();
    // Without randomness a user without an id has none of what is being rolled out.
    let mut chance = || getrandom::u32().unwrap_or(u32::MAX);
    let features = map_of(flags.iter().map(|flag| (flag.name.as_str(), flag.evaluate(&asked.user, now, &mut chance))));
    let reply = Reply::json(&Features { features })?;
    let batch = asked.batch;
    if !batch.namespaces.is_empty() && call.request.method() != Method::Head {
        let env = call.env.clone();
        let registrant = call.principal.registrant();
        context.wait_until(async move {
            let applied = match Config::of(&env) {
                Ok(config) => ingest::apply(&env, &config, &keys, &batch, registrant, Injection::None).await,
                Err(invalid) => Err(invalid.into()),
            };
            match applied {
                Ok(applied) => applied.refused.iter().for_each(|refused| {
                    let (code, what) = refused.refusal.parts();
                    record::refused(1, code);
                    console_error!("a feature's event was not recorded: {what}");
                }),
                Err(error) => console_error!("a feature's event was not recorded: {}", error.what()),
            }
        });
    }
    Ok(reply)
}
