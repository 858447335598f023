//! /v0/goals.

use crate::core::answers::short::Goals;
use crate::core::requests::{namespace_of, parse_goal};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::{ingest, namespace};
use crate::edge::http::body::read_json;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// POST: makes an event a goal. The event need not exist yet.
///
/// # Errors
/// When the body is malformed, or the goal is refused or could not be stored.
pub async fn add(call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&call.request, call.config).await?;
    let (goal, _lease) = body.parse(async |body| parse_goal(body, &call.config.request), |_| 0).await?;
    let keys = keys(call.env, call.config).await?;
    let registrant = call.principal.registrant();
    ingest::add_goal(call.env, call.config, &keys, &goal.namespace, &goal.goal_name, registrant).await?;
    Ok(Reply::no_content())
}

/// GET: the goals of a namespace, ascending by name.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = namespace_of(&call.query, &call.config.request)?;
    let keys = keys(call.env, call.config).await?;
    let namespace = namespace::look_up(call.env, &keys, name).await?;
    let mut goals: Vec<&str> = namespace.iter().flat_map(|namespace| namespace.goals()).collect();
    goals.sort_unstable();
    Reply::json(&Goals { goals })
}
