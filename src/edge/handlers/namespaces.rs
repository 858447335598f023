//! /v0/namespaces.

use crate::api::code::Code;
use crate::core::answers::short::{NamespaceSettings, Namespaces};
use crate::core::periods::day::Day;
use crate::core::requests::{
    BadRequest, DEFAULT_NAMESPACE, NewNamespace, check_name, parse_namespace, parse_path_name,
};
use crate::edge::gateway::ask::ask_registry;
use crate::edge::gateway::{namespace, reports};
use crate::edge::host::clock;
use crate::edge::http::body::read_json;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::registry::{Lookup, NameRefusal, NamespacePut, NamespaceRecord, PutNamespace, Since};

/// GET: the names of all namespaces, ascending; `default` is always one of them. With `?name=` as [`read_one`].
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    if let Some(name) = call.query.get("name")? {
        let name = namespace_name(&call, name)?;
        return one(&call, name).await;
    }
    Reply::json(&Namespaces { namespaces: namespace::list(call.env).await? })
}

/// GET: the namespace that the last segment of the path names.
///
/// # Errors
/// When the name is no name, there is no such namespace, or the registry cannot be reached.
pub async fn read_one(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = parse_path_name(&call.segment().unwrap_or_default(), &call.config.request)?;
    one(&call, name).await
}

/// POST: makes a namespace, and changes its settings.
///
/// # Errors
/// When the body is malformed, there is no room for the namespace, or the registry cannot be reached.
pub async fn put(call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&call.request, call.config).await?;
    let (asked, _lease) = body.parse(async |body| parse_namespace(body, &call.config.request), |_| 0).await?;
    let NewNamespace { namespace, group_users_min, shards, is_replay } = asked;
    let question = PutNamespace { namespace, group_users_min, shards, is_replay };
    match ask_registry(call.env, &question).await? {
        NamespacePut::Made(record) => Ok(answer(&record)?.with_status(201)),
        // A replay that has ended may not have ended in all shards.
        NamespacePut::Changed(record) if is_replay == Some(false) => {
            reports::end_replay(call.env, call.config, &record.namespace, record.shards).await?;
            answer(&record)
        }
        NamespacePut::Live(record) => {
            reports::end_replay(call.env, call.config, &record.namespace, record.shards).await?;
            Ok(Reply::no_content())
        }
        NamespacePut::Changed(record) => answer(&record),
        NamespacePut::Full => {
            let (namespaces, events) = (call.config.namespaces_max, call.config.events_per_namespace_max);
            Err(ApiError::full(NameRefusal::NamespacesFull, namespaces, events))
        }
        NamespacePut::HasEvents => {
            Err(ApiError::new(Code::HasEvents, "the namespace has events; a replay clock begins before the first"))
        }
        NamespacePut::OtherShards => {
            Err(ApiError::new(Code::Exists, "the namespace has another number of shards, which never changes"))
        }
    }
}

fn namespace_name(call: &Call<'_>, name: &str) -> Result<String, ApiError> {
    let checked = check_name(name, call.config.request.name_bytes);
    Ok(checked.map_err(|fault| BadRequest::Parameter { parameter: "name", fault })?.to_owned())
}

async fn one(call: &Call<'_>, namespace: String) -> Result<Reply, ApiError> {
    match ask_registry(call.env, &Lookup { namespace: namespace.clone() }).await? {
        Some(record) => answer(&record),
        // It is listed before its first event.
        None if namespace == DEFAULT_NAMESPACE => {
            let (shards, names, goals) = (call.config.shards, Vec::new(), Vec::new());
            let since = Some(Since { day: clock::today().number(), has_earlier: false });
            answer(&NamespaceRecord {
                namespace,
                shards,
                names,
                goals,
                group_users_min: 0,
                since,
                replay: None,
                series: Vec::new(),
                definitions: Vec::new(),
            })
        }
        None => Err(ApiError::no_namespace()),
    }
}

fn answer(record: &NamespaceRecord) -> Result<Reply, ApiError> {
    let day = |number: u32| Day::of_number(number.into());
    let today = record.replay.and_then(|replay| day(replay.today?));
    Reply::json(&NamespaceSettings {
        namespace: &record.namespace,
        clock: if record.replay.is_some() { "replay" } else { "live" },
        today: today.unwrap_or_else(clock::today).date_text(),
        shards: record.shards,
        since: record.since.and_then(|since| day(since.day)).map(Day::date_text),
        // Those that were deleted have no name.
        events: record.names.iter().filter(|name| !name.is_empty()).count() as u64,
        group_users_min: record.group_users_min,
    })
}
