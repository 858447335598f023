//! /v0/featureSpecs.

use super::body::read_json;
use super::error::ApiError;
use super::response::Reply;
use super::routes::Call;
use super::{clock, flags};
use crate::core::flag::{FeatureSpecs, FlagJson};
use crate::core::request::parse_flag_spec;

/// POST: adds a flag or replaces the one of its name.
///
/// # Errors
/// When the body is malformed, or the flag is refused or could not be stored.
pub async fn add(mut call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&mut call.request, call.config.request.body_bytes).await?;
    let now = clock::now_s();
    let flag = parse_flag_spec(&body, &call.config.request, &call.config.flags, now)?;
    flags::put(call.env, flag, now).await?;
    Ok(Reply::no_content())
}

/// GET: all flags, ascending by name.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let flags = flags::current(call.env).await?;
    Reply::json(&FeatureSpecs { feature_specs: flags.iter().map(FlagJson::shown).collect() })
}
