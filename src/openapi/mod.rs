//! The OpenAPI 3.1 document, made from the table of routes and from the types that answer them.
//!
//! Every route has its operation, because `operations::docs` matches every [`crate::api::routes::Endpoint`]; every
//! schema has an example, because [`document`] has none without. What a body may hold is described by types of its own
//! (`bodies`): the real ones are read in one pass and never exist as a tree.

mod bodies;
mod errors;
mod examples;
mod operations;
mod retention;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::routes::{Endpoint, ROUTES, Route, Scope};
use crate::core::answers::analytics::Analytics;
use crate::core::answers::prediction::Nudges;
use crate::core::answers::retention::RetentionDefinition;
use crate::core::answers::series::KeptSeries;
use crate::core::answers::short::{
    Access, ErrorBody, Features, Goals, Health, NamespaceSettings, Namespaces, PostHogTaken, Recorded, SegmentTaken,
};
use crate::core::answers::status::ServiceStatus;
use crate::core::settings::limits::{BATCH_EVENTS, EVENT_ID_BYTES, FLAG_CONDITIONS, FLAG_VALUES, NAME_BYTES};

/// No control characters.
const PROPERTY_PATTERN: &str = r"^[^\u0000-\u001F\u007F-\u009F]+$";

/// No control characters, and one at least that is neither white space nor invisible: [`crate::core::requests::is_blank`], but
/// for what lies beyond U+FFFF, which validators take for one character or two.
const NAME_PATTERN: &str = concat!(
    r"^[^\u0000-\u001F\u007F-\u009F]*",
    r"[^\u0000-\u0020\u007F-\u00A0\u00AD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F\u2000-\u200F",
    r"\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB]",
    r"[^\u0000-\u001F\u007F-\u009F]*$",
);

const DESCRIPTION: &str = "Counts unique users per event, shows what users had done before they reached a goal, and \
    answers feature flags, without storing who did what.\n\nEvery write may be sent again after any failure: only a \
    user's first occurrence of an event counts. HEAD works wherever GET does, a slash at the end of a `/v0` path does \
    no harm, and bodies may be gzip (`Content-Encoding: gzip`; limits are on the inflated bytes). Limits in this document \
    are the defaults.";

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.name().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kimball Edge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "..", "description": "The server that this document is from, under whatever path it is."}],
        "tags": [
            {"name": "events", "description": "Recording and reading of numbers."},
            {"name": "flags", "description": "Feature flags."},
            {"name": "predictions", "description": "What leads to a goal."},
            {"name": "service", "description": "Health and documentation."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of API_TOKENS (`admin`, may do everything), READ_TOKENS (`read`) or \
                        INGEST_TOKENS (`ingest`). With API_AUTH=disable none is needed.",
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut docs = operations::docs(route.endpoint);
    let is_in_path = route.path.ends_with("{name}");
    if is_in_path || docs.is_by_name {
        docs.parameters.insert(0, operations::name(if is_in_path { "path" } else { "query" }));
    }
    let id = match route.endpoint {
        // A call has several paths.
        Endpoint::Sender(_) => format!("{}{}", docs.id, route.path.replace('/', "_")),
        _ if docs.is_by_name && !is_in_path => format!("{}ByQuery", docs.id),
        _ => docs.id.to_owned(),
    };
    let mut responses = docs.responses;
    responses.extend(errors::responses(route, &docs.codes));
    let mut operation = json!({
        "operationId": id,
        "tags": [docs.tag],
        "summary": docs.summary,
        "description": docs.description,
        "responses": responses,
        "security": [],
        "x-scope": route.scope.name().unwrap_or("anyone"),
    });
    if let Some(fields) = operation.as_object_mut() {
        if !docs.parameters.is_empty() {
            fields.insert("parameters".to_owned(), docs.parameters.into());
        }
        if let Some(body) = docs.body {
            fields.insert("requestBody".to_owned(), body);
        }
        if let (Some(scope), true) = (route.scope.name(), route.scope != Scope::Anyone) {
            fields.insert("security".to_owned(), json!([{"bearer": [scope]}]));
        }
    }
    operation
}

/// Every schema by its name, with its example.
fn schemas() -> Map<String, Value> {
    let mut found = Vec::new();
    add::<ErrorBody<'static>>(&mut found);
    add::<Analytics<'static>>(&mut found);
    add::<Recorded>(&mut found);
    add::<SegmentTaken<'static>>(&mut found);
    add::<PostHogTaken<'static>>(&mut found);
    add::<Goals<'static>>(&mut found);
    add::<Namespaces>(&mut found);
    add::<NamespaceSettings<'static>>(&mut found);
    add::<Features<'static>>(&mut found);
    add::<bodies::Predictions>(&mut found);
    add::<Nudges<'static>>(&mut found);
    add::<bodies::AnySeries>(&mut found);
    add::<bodies::NewSeries>(&mut found);
    add::<KeptSeries<'static>>(&mut found);
    add::<bodies::AnyRetention>(&mut found);
    add::<bodies::NewRetention>(&mut found);
    add::<RetentionDefinition>(&mut found);
    add::<Health>(&mut found);
    add::<Access>(&mut found);
    add::<ServiceStatus<'static>>(&mut found);
    add::<bodies::NewEvents>(&mut found);
    add::<bodies::NewGoal>(&mut found);
    add::<bodies::NewNamespace>(&mut found);
    add::<bodies::FeatureSpec>(&mut found);
    add::<bodies::FeatureSpecs>(&mut found);
    found
        .into_iter()
        .filter_map(|(name, schema)| {
            let example = examples::of(&name)?;
            let mut schema = adapted(json!(schema));
            let fields = schema.as_object_mut()?;
            fields.insert("examples".to_owned(), json!([example]));
            fields.extend(bounds(&name));
            Some((name, schema))
        })
        .collect()
}

fn add<T: ToSchema + PartialSchema>(found: &mut Vec<(String, RefOr<Schema>)>) {
    found.push((T::name().into_owned(), T::schema()));
    T::schemas(found);
}

/// What the derive makes of a type, made fit: it says that exactly one alternative fits, where several may, as lists of
/// texts and of numbers do for `[]`; and links in documentation lead nowhere here.
fn adapted(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let renamed = |name: String| if name == "oneOf" { "anyOf".to_owned() } else { name };
            fields.into_iter().map(|(name, value)| (renamed(name), adapted(value))).collect()
        }
        Value::Array(list) => list.into_iter().map(adapted).collect(),
        Value::String(text) => text.replace("[`", "`").replace("`]", "`").into(),
        other => other,
    }
}

/// What a schema has beyond its type, by default.
fn bounds(schema: &str) -> Map<String, Value> {
    let bounds = match schema {
        // Bytes are at least as many as characters: what is longer than this is refused in any case.
        "Name" => json!({"minLength": 1, "maxLength": NAME_BYTES.default, "pattern": NAME_PATTERN}),
        "PropertyName" => json!({"minLength": 1, "maxLength": NAME_BYTES.default, "pattern": PROPERTY_PATTERN}),
        "EventId" => json!({"minLength": 1, "maxLength": EVENT_ID_BYTES}),
        "UserText" => json!({"minLength": 1, "maxLength": NAME_BYTES.default}),
        "PropertyText" => json!({"maxLength": NAME_BYTES.default}),
        "Time" => json!({"format": "date-time"}),
        "WholeNumber" => json!({"type": "integer", "minimum": i64::MIN, "maximum": u64::MAX}),
        "EventList" => json!({"maxItems": BATCH_EVENTS.default}),
        "Conditions" => json!({"maxItems": FLAG_CONDITIONS.default}),
        "PropertyTexts" | "PropertyNumbers" => json!({"maxItems": FLAG_VALUES.default}),
        _ => return Map::new(),
    };
    bounds.as_object().cloned().unwrap_or_default()
}
