//! /v0/predictions.

use crate::api::code::Code;
use crate::core::answers::gate::Gated;
use crate::core::answers::prediction::Model;
use crate::core::requests::{BadRequest, Fault, Given, parse_prediction};
use crate::core::state::report::Report;
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::reports;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// GET: how likely the goals of a namespace are, after each event alone, after some events, or for a user.
///
/// # Errors
/// When an event or the user is not known, or a shard cannot be read.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let keys = keys(call.env, call.config).await?;
    let asked = parse_prediction(&call.query, &keys, &call.config.request)?;
    let (namespace, gated) = match reports::fetch(call.env, call.config, &keys, asked.namespace).await? {
        Some((namespace, gated)) => (Some(namespace), gated),
        None => (None, Gated::new(Report::default(), reports::gate(call.config, None))),
    };
    let model = Model::of(&gated, namespace.as_ref().map_or(&[], |namespace| &namespace.names))?;
    let done = match asked.given {
        Given::Nothing => {
            return Reply::json(&model.each_event());
        }
        Given::Events(names) => model.numbers(&names).ok_or_else(unknown_event)?,
        Given::User(user) => {
            let events = match namespace.as_ref() {
                Some(namespace) => reports::events_of(call.env, namespace, user).await?,
                None => Vec::new(),
            };
            if events.is_empty() {
                return Err(ApiError::new(Code::UserUnknown, "this user has done nothing in the namespace"));
            }
            events.into_iter().collect()
        }
    };
    Reply::json(&model.after(&done))
}

fn unknown_event() -> BadRequest {
    let fault = Fault::Invalid("must be an event that somebody did in the namespace, or a goal");
    BadRequest::Parameter { parameter: "event", fault }
}
