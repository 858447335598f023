//! /v0/nudges.

use crate::core::answers::prediction::{Model, Nudges};
use crate::core::requests::{BLANK, BadRequest, Fault, is_blank, parse_nudge};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::reports;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// GET: the events that led others to a goal and that a user has not done. A user that is not known has done nothing.
///
/// # Errors
/// When the goal is none of the namespace, or a shard cannot be read.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let keys = keys(call.env, call.config).await?;
    let asked = parse_nudge(&call.query, &keys, &call.config.request)?;
    let (goal, user_id) = (asked.goal, asked.user_id);
    let nothing = || {
        if is_blank(goal) {
            return Err(BadRequest::Parameter { parameter: "goal", fault: BLANK }.into());
        }
        Reply::json(&Nudges { nudges: Vec::new(), goal, user_id })
    };
    let Some((namespace, gated)) = reports::fetch(call.env, call.config, &keys, asked.namespace).await? else {
        return nothing();
    };
    let model = Model::of(&gated, &namespace.names)?;
    if model.is_empty() {
        return nothing();
    }
    let done = reports::events_of(call.env, &namespace, asked.user).await?.into_iter().collect();
    let nudges = model
        .nudges(goal, &done)
        .ok_or(BadRequest::Parameter { parameter: "goal", fault: Fault::Invalid("must be a goal of the namespace") })?;
    Reply::json(&Nudges { nudges, goal, user_id })
}
