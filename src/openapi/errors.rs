//! The error responses of an operation, by status, each with its codes and an example of each.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::code::Code;
use crate::api::routes::{Endpoint, Route, Scope};

/// What any request can meet.
const ALWAYS: [Code; 3] = [Code::ParameterInvalid, Code::HostNotAllowed, Code::ConfigurationInvalid];
/// What `guard.js` answers with, which no Rust code is left to do then.
const WORKER_RESET: (&str, &str) = ("worker_reset", "the service was reset while it worked on this; send it again");

/// The responses for these codes, and for those that every route of this scope has.
pub fn responses(route: &Route, codes: &[Code]) -> Map<String, Value> {
    let scoped = if route.scope == Scope::Anyone { &[][..] } else { &[Code::Unauthorized, Code::Forbidden] };
    let mut by_status: BTreeMap<u16, BTreeMap<&str, &str>> = BTreeMap::new();
    for &code in codes.iter().chain(&ALWAYS).chain(scoped) {
        let (status, name) = code.parts();
        let status = if matches!(route.endpoint, Endpoint::Sender(_)) { code.sender_status() } else { status };
        by_status.entry(status).or_default().insert(name, meaning(code));
    }
    by_status.entry(503).or_default().insert(WORKER_RESET.0, WORKER_RESET.1);
    by_status.into_iter().map(|(status, codes)| (status.to_string(), response(status, &codes))).collect()
}

fn response(status: u16, codes: &BTreeMap<&str, &str>) -> Value {
    let sentences: Vec<String> = codes.iter().map(|(code, meaning)| format!("`{code}`: {meaning}.")).collect();
    let examples: Map<String, Value> = codes
        .iter()
        .map(|(code, meaning)| ((*code).to_owned(), json!({"value": {"error": {"what": meaning, "code": code}}})))
        .collect();
    let names: Vec<&str> = codes.keys().copied().collect();
    let mut response = json!({
        "description": sentences.join(" "),
        "content": {"application/json": {
            "schema": {"allOf": [
                {"$ref": "#/components/schemas/Error"},
                {"type": "object", "properties": {"error": {"type": "object", "properties": {"code": {"enum": names}}}}},
            ]},
            "examples": examples,
        }},
    });
    let header = match status {
        401 => Some(("WWW-Authenticate", json!({"schema": {"const": "Bearer"}, "required": true}))),
        429 | 503 => {
            let description = "Seconds to wait before sending it again.";
            let schema = json!({"type": "integer", "minimum": 0});
            Some(("Retry-After", json!({"description": description, "schema": schema, "required": true})))
        }
        _ => None,
    };
    if let (Some((name, header)), Some(fields)) = (header, response.as_object_mut()) {
        fields.insert("headers".to_owned(), json!({name: header}));
    }
    response
}

const fn meaning(code: Code) -> &'static str {
    match code {
        Code::ContentTypeInvalid => "the content type is not application/json",
        Code::BodyEmpty => "there is no body",
        Code::BodyNotUtf8 => "the body is not UTF-8",
        Code::JsonInvalid => "the body is not valid JSON",
        Code::FieldMissing => "a required field is absent",
        Code::FieldInvalid => "a field has the wrong type, form or range",
        Code::ParameterInvalid => "a query parameter is wrong",
        Code::NameTooLong => "a name or user id is longer than NAME_BYTES_MAX",
        Code::Unauthorized => "there is no token, or it is not known",
        Code::Forbidden => "the token is not for this",
        Code::EventUnknown => "EVENT_NAMES=known, and no event of the batch is registered",
        Code::NamespaceUnknown => "NAMESPACES=known, and no namespace of the batch is registered",
        Code::Replay => "the namespace is on a replay clock, and the token is not an admin's",
        Code::HasEvents => "the namespace has events, and a replay clock begins before the first",
        Code::Exists => "it is there already, and not as it is asked for",
        Code::EventInUse => "a definition is about the event; delete that first",
        Code::Quota => "all events of the batch are new, and ingest tokens have registered what they may in a day",
        Code::NotFound => "there is nothing at this path",
        Code::NoNamespace => "there is no namespace of this name",
        Code::NoEvent => "the namespace has no event of this name",
        Code::UserUnknown => "the user has done no event of the namespace",
        Code::FlagUnknown => "there is no flag of this name",
        Code::RetentionUnknown => "the namespace has no retention grid of this name",
        Code::MethodNotAllowed => "the path does not take this method; `Allow` says which",
        Code::HostNotAllowed => "authentication is off, and the host is neither local nor in ALLOWED_HOSTS",
        Code::BodyTooLarge => "the body has more than BODY_BYTES_MAX bytes, inflated",
        Code::BodyTooSlow => "less than 40 KiB of the body came within 5 s",
        Code::BatchTooLarge => {
            "the batch has more than BATCH_EVENTS_MAX events, or events of more than NAMESPACES_PER_BATCH_MAX namespaces"
        }
        Code::ContentEncodingInvalid => "the body is not the gzip that it is said to be",
        Code::ContentEncodingUnsupported => "the content encoding is not gzip",
        Code::ConfigurationInvalid => "a variable of the service is not valid",
        Code::HashKeyChanged => "HASH_KEY is not the key of the stored state",
        Code::StorageUnavailable => "storage cannot be reached; nothing was acknowledged, send it again",
        Code::NamespacesFull => "there is no room for a further namespace",
        Code::BodiesBusy => "the bodies in flight take BODIES_BYTES_MAX already; send it again",
        Code::EventsFull => "the namespace has no room for a further event name",
        Code::FlagsFull => "there is no room for a further flag",
        Code::MetricsTooLarge => "there are too many metrics for one answer; ask for one namespace",
        Code::SeriesFull => "as many events as may have series have some",
        Code::RetentionsFull => "the namespace has as many retention grids as it may have",
        Code::DefinitionsFull => "the namespace has had as many definitions as it can have",
        Code::UsersFull => "an event has its maximum of unique users",
        Code::ShardMemoryFull => "a shard has no memory left for something new",
    }
}
