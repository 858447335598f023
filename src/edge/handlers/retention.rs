//! /v0/retention.

use crate::api::code::Code;
use crate::core::answers::retention::{Asking, Lapsed, RetentionDefinition, RetentionGrid, Retentions};
use crate::core::periods::period::{Period, Unit};
use crate::core::requests::{
    BadRequest, DEFAULT_NAMESPACE, Fault, NewRetention, namespace_of, parse_name_of, parse_new_retention,
    parse_retention, parse_stored_retention,
};
use crate::core::settings::limits::RETENTIONS;
use crate::core::state::definitions::Kind;
use crate::edge::gateway::definitions::{self, Made};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::namespace::{self, Namespace};
use crate::edge::gateway::{deletions, directory, reports};
use crate::edge::http::body::read_json;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::definitions::{DefinitionRecord, PutDefinition};
use crate::messages::registry::Deletable;

const KIND: Kind = Kind::Retention;

/// POST: makes a retention grid, which counts from the next day on.
///
/// # Errors
/// When the body is malformed, there is another grid of its name or no room for it, or the registry or a shard cannot be reached.
pub async fn put(call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&call.request, call.config).await?;
    let (asked, _lease) = body.parse(async |body| parse_new_retention(body, &call.config.request), |_| 0).await?;
    let NewRetention { namespace, name, spec } = asked;
    let events = vec![spec.start.clone(), spec.r#return.clone()];
    let spec = serde_json::to_string(&spec).map_err(|error| ApiError::storage(&error.to_string().into()))?;
    let max = call.config.retentions_max;
    let question = PutDefinition { namespace, kind: KIND.number(), name, spec, events, max };
    let full = (Code::RetentionsFull, "the namespace has as many retention grids as it may have", RETENTIONS.name);
    let made = definitions::put(call.env, call.config, &question, full).await;
    // What the isolate knows of the namespace is of an incarnation before.
    directory::forget(&question.namespace);
    let Made { is_new, definition } = made?;
    let reply = Reply::json(&shown(&definition)?)?;
    Ok(if is_new { reply.with_status(201) } else { reply })
}

/// GET: all retention grids, one of them with its numbers, or the users of it who have not been seen for some time.
///
/// # Errors
/// When there is no such namespace or grid, or a shard cannot be read: never a part of the numbers.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let asked = parse_retention(&call.query, &call.config.request)?;
    let keys = keys(call.env, call.config).await?;
    let found = namespace::look_up(call.env, &keys, asked.namespace).await?;
    if found.is_none() && asked.namespace != DEFAULT_NAMESPACE {
        return Err(ApiError::no_namespace());
    }
    let Some(name) = asked.name else {
        let all = found.iter().flat_map(|namespace| &namespace.definitions);
        let grids = all.filter(|definition| definition.kind == KIND.number());
        return Reply::json(&Retentions { retention: grids.map(shown).collect::<Result<_, _>>()? });
    };
    let grid = found.as_ref().and_then(|namespace| Some((namespace, namespace.definition(KIND, name)?)));
    let Some((namespace, definition)) = grid else {
        return Err(ApiError::new(Code::RetentionUnknown, "there is no retention grid of this name in the namespace"));
    };
    let shown = shown(definition)?;
    let asking = asking(&call, namespace, definition, &shown);
    if asked.lapsed.is_some_and(|lapsed| lapsed > shown.periods) {
        let fault = Fault::Invalid("must not be more than the periods of the grid");
        return Err(BadRequest::Parameter { parameter: "lapsed", fault }.into());
    }
    let gated = reports::grid(call.env, call.config, namespace, definition.number).await?;
    if let Some(lapsed) = asked.lapsed {
        return Reply::json(&Lapsed { name: shown.name, lapsed, rows: asking.lapsed(&gated, lapsed) });
    }
    let RetentionDefinition { name, start, r#return, unit, since, .. } = shown;
    let (rows, average) = (asking.rows(&gated), asking.average(&gated));
    Reply::json(&RetentionGrid { name, start, r#return, unit, since, rows, average })
}

/// DELETE: a retention grid, with all that was counted for it.
///
/// # Errors
/// When the name is no name, or the registry or a shard cannot be reached.
pub async fn delete(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = parse_name_of(None, &call.query, &call.config.request)?;
    let namespace = namespace_of(&call.query, &call.config.request)?;
    let what = Deletable::Definition { kind: KIND.number(), name };
    let deleted = deletions::delete(call.env, namespace, what, call.fault).await;
    // Also where a shard could not be reached: it is gone from the registry.
    directory::forget(namespace);
    deleted.map(|()| Reply::no_content())
}

/// A definition as it was made.
fn shown(definition: &DefinitionRecord) -> Result<RetentionDefinition, ApiError> {
    let spec = parse_stored_retention(&definition.spec)
        .ok_or_else(|| ApiError::storage(&"a stored retention grid cannot be read".into()))?;
    Ok(RetentionDefinition::of(&definition.name, spec, definitions::since(definition)))
}

fn asking(
    call: &Call<'_>,
    namespace: &Namespace,
    definition: &DefinitionRecord,
    shown: &RetentionDefinition,
) -> Asking {
    let today = namespace.today();
    let unit = Unit::of_name(&shown.unit).unwrap_or(Unit::Week);
    Asking {
        today,
        lateness_days: call.config.lateness_days.into(),
        since: definitions::since(definition),
        now: Period::of(unit, today),
        periods: shown.periods,
    }
}
