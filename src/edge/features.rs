//! /v0/features: no flags yet, but what asking for one records.

use std::collections::BTreeMap;

use serde::Serialize;
use worker::{Context, Method, console_error};

use super::analytics;
use super::config::Config;
use super::error::ApiError;
use super::faults::Fault;
use super::keys::keys;
use super::response::Reply;
use super::routes::Call;
use crate::core::request::parse_feature_event;

#[derive(Serialize)]
struct Features {
    features: BTreeMap<String, bool>,
}

/// GET: the flags of a user. Where the parameters name a feature and a user, that is recorded as an event after the
/// response.
///
/// # Errors
/// When a parameter is malformed.
pub async fn read(call: Call<'_>, context: &Context) -> Result<Reply, ApiError> {
    let keys = keys(call.env, call.config).await?;
    let batch = parse_feature_event(&call.query, &keys, &call.config.request)?;
    if !batch.namespaces.is_empty() && call.request.method() != Method::Head {
        let env = call.env.clone();
        context.wait_until(async move {
            let applied = match Config::of(&env) {
                Ok(config) => analytics::apply(&env, &config, &keys, &batch, Fault::None).await,
                Err(error) => Err(error),
            };
            if let Err(error) = applied {
                console_error!("a feature's event was not recorded: {}", error.what());
            }
        });
    }
    Reply::json(&Features { features: BTreeMap::new() })
}
