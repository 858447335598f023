//! /v0/goals.

use super::body::read_json;
use super::error::ApiError;
use super::keys::keys;
use super::response::Reply;
use super::routes::Call;
use super::{analytics, directory};
use crate::api::answer::Goals;
use crate::api::code::Code;
use crate::core::request::{namespace_of, parse_goal};

/// POST: makes an event a goal. The event need not exist yet.
///
/// # Errors
/// When the body is malformed, or the goal is refused or could not be stored.
pub async fn add(mut call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&mut call.request, call.config.request.body_bytes).await?;
    let goal = parse_goal(&body, &call.config.request)?;
    let keys = keys(call.env, call.config).await?;
    let names = [goal.goal_name];
    let namespaces = directory::resolve(call.env, &keys, &[(&goal.namespace, &names)]).await?;
    let ([namespace], [name]) = (&namespaces[..], &names) else {
        return Err(ApiError::new(Code::StorageUnavailable, "the registry did not name the namespace"));
    };
    analytics::add_goal(call.env, call.config, &keys, namespace, name).await?;
    Ok(Reply::no_content())
}

/// GET: the goals of a namespace, ascending by name.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = namespace_of(&call.query, &call.config.request)?;
    let keys = keys(call.env, call.config).await?;
    let namespace = directory::look_up(call.env, &keys, name).await?;
    let mut goals: Vec<&str> = namespace.iter().flat_map(|namespace| namespace.goals()).collect();
    goals.sort_unstable();
    Reply::json(&Goals { goals })
}
