//! /v0/goals.

use crate::api::code::Code;
use crate::core::answers::short::Goals;
use crate::core::requests::{namespace_of, parse_goal};
use crate::core::settings::limits::INCARNATION_TRIES;
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::{directory, ingest};
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
    let names = [goal.goal_name.clone()];
    let registrant = call.principal.registrant();
    let wanted = [(goal.namespace.as_str(), &names[..])];
    for _ in 0..INCARNATION_TRIES {
        let resolved = directory::resolve(call.env, call.config, &keys, &wanted, registrant).await?;
        let Some((Some(target), Some(Ok(event)))) =
            resolved.first().map(|resolved| (&resolved.target, resolved.events.first()))
        else {
            return Err(ApiError::new(Code::StorageUnavailable, "the registry did not name the goal"));
        };
        if ingest::add_goal(call.env, call.config, target, event).await? {
            return Ok(Reply::no_content());
        }
        directory::forget(&goal.namespace);
    }
    Err(ApiError::new(Code::StorageUnavailable, "the namespace is being deleted from all the time; try again"))
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
