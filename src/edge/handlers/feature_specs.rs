//! /v0/featureSpecs.

use crate::api::code::Code;
use crate::core::flags::{FeatureSpecs, FlagJson};
use crate::core::requests::{BLANK, BadRequest, is_blank, parse_flag_spec, parse_path_name};
use crate::core::settings::limits::FLAG_COPIES;
use crate::edge::gateway::flags;
use crate::edge::host::clock;
use crate::edge::http::body::read_json;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// POST: adds a flag or replaces the one of its name.
///
/// # Errors
/// When the body is malformed, or the flag is refused or could not be stored.
pub async fn add(call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&call.request, call.config).await?;
    let now = clock::now_s();
    let parse = async |body: &[u8]| {
        let flag = parse_flag_spec(body, &call.config.request, &call.config.flags, now)?;
        Ok::<_, ApiError>((flag, FLAG_COPIES * body.len() as u64))
    };
    let ((flag, _), _lease) = body.parse(parse, |&(_, bytes)| bytes).await?;
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

/// DELETE: removes the flag that the last segment of the path names.
///
/// # Errors
/// When the name is no name, there is no such flag, or the registry cannot be reached.
pub async fn remove(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = parse_path_name(&call.segment().unwrap_or_default(), &call.config.request)?;
    let is_blank = is_blank(&name);
    match flags::remove(call.env, name).await? {
        true => Ok(Reply::no_content()),
        false if is_blank => Err(BadRequest::Parameter { parameter: "name", fault: BLANK }.into()),
        false => Err(ApiError::new(Code::FlagUnknown, "there is no flag of this name")),
    }
}
