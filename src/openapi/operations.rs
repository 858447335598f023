//! What each endpoint does, takes and answers.

use serde_json::{Map, Value, json};

use super::{examples, retention};
use crate::api::code::Code;
use crate::api::routes::Endpoint;
use crate::core::requests::Dialect;

/// An operation, without what follows from its route.
pub struct Docs {
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    pub parameters: Vec<Value>,
    pub body: Option<Value>,
    pub responses: Map<String, Value>,
    pub codes: Vec<Code>,
    /// Whether it is about something that has a name, in the path or in the query.
    pub is_by_name: bool,
}

const STORAGE: [Code; 2] = [Code::StorageUnavailable, Code::HashKeyChanged];
const BODY: [Code; 11] = [
    Code::ContentTypeInvalid,
    Code::BodyEmpty,
    Code::BodyNotUtf8,
    Code::JsonInvalid,
    Code::FieldMissing,
    Code::FieldInvalid,
    Code::NameTooLong,
    Code::BodyTooSlow,
    Code::BodyTooLarge,
    Code::ContentEncodingInvalid,
    Code::BodiesBusy,
];

const RECORDING: [Code; 9] = [
    Code::BatchTooLarge,
    Code::EventUnknown,
    Code::NamespaceUnknown,
    Code::Replay,
    Code::Quota,
    Code::NamespacesFull,
    Code::EventsFull,
    Code::UsersFull,
    Code::ShardMemoryFull,
];

/// The operation of an endpoint.
pub fn docs(endpoint: Endpoint) -> Docs {
    match endpoint {
        Endpoint::Record => write("recordEvents", "events", "Record events", RECORD, "NewEvents", &RECORDING)
            .answering("200", &some_refused()),
        Endpoint::Analytics => {
            read("getAnalytics", "events", "All numbers of a namespace", ANALYTICS, "Analytics").taking(namespace())
        }
        Endpoint::Sender(dialect) => sender(dialect),
        Endpoint::AddGoal => write(
            "addGoal",
            "events",
            "Make an event a goal",
            ADD_GOAL,
            "NewGoal",
            &[Code::NamespacesFull, Code::EventsFull, Code::ShardMemoryFull],
        ),
        Endpoint::Goals => {
            read("getGoals", "events", "The goals of a namespace", "Ascending by name.", "Goals").taking(namespace())
        }
        Endpoint::Namespaces => read("getNamespaces", "events", "All namespaces", NAMESPACES, "Namespaces"),
        Endpoint::DeleteNamespace => deletion("deleteNamespace", "Delete a namespace", DELETE_NAMESPACE),
        Endpoint::DeleteEvent => delete_event(),
        Endpoint::DeleteGoal => deletion("deleteGoal", "Delete a goal", DELETE_GOAL).taking(namespace()),
        Endpoint::Namespace => {
            let docs = read("getNamespace", "events", "A namespace", NAMESPACE, "Namespace");
            docs.refusing(&[Code::NoNamespace])
        }
        Endpoint::PutNamespace => put_namespace(),
        Endpoint::Features => read("getFeatures", "flags", "The flags of a user", FEATURES, "Features")
            .taking(encoded("user_obj", USER_OBJ, "eyJ1c2VyX2lkIjoiYW5uIiwicGxhbiI6InBybyJ9"))
            .taking(encoded("context_obj", CONTEXT_OBJ, "eyJmZWF0dXJlIjoibmV3LWNoZWNrb3V0In0=")),
        Endpoint::AddFeatureSpec => {
            write("addFeatureSpec", "flags", "Add or replace a flag", ADD_SPEC, "FeatureSpec", &[Code::FlagsFull])
        }
        Endpoint::FeatureSpecs => read(
            "getFeatureSpecs",
            "flags",
            "All flags",
            "Ascending by name; absent parts are left out.",
            "FeatureSpecs",
        ),
        Endpoint::RemoveFeatureSpec => Docs {
            id: "removeFeatureSpec",
            tag: "flags",
            summary: "Remove a flag",
            description: REMOVE_SPEC,
            parameters: Vec::new(),
            body: None,
            responses: Map::new(),
            codes: STORAGE.into_iter().chain([Code::FlagUnknown, Code::NameTooLong]).collect(),
            is_by_name: false,
        }
        .answering("204", &json!({"description": "It is removed durably."})),
        Endpoint::Predictions => {
            read("getPredictions", "predictions", "How likely are goals?", PREDICTIONS, "Predictions")
                .taking(events())
                .taking(user_id(false))
                .taking(namespace())
                .refusing(&[Code::UserUnknown])
        }
        Endpoint::Nudges => read("getNudges", "predictions", "What leads a user to a goal?", NUDGES, "Nudges")
            .taking(goal())
            .taking(user_id(true))
            .taking(namespace())
            .refusing(&[Code::FieldMissing]),
        Endpoint::Series => series(),
        Endpoint::PutSeries => put_series(),
        Endpoint::Retention | Endpoint::PutRetention | Endpoint::DeleteRetention => retention::docs(endpoint),
        Endpoint::Access => read("getAccess", "service", "What may I do?", ACCESS, "Access"),
        Endpoint::Status => {
            read("getStatus", "service", "How is the service?", STATUS, "ServiceStatus").taking(namespace())
        }
        Endpoint::Metrics => metrics("getMetrics", "The state of the service", METRICS, "kimball_counters 12"),
        Endpoint::CounterMetrics => metrics(
            "getCounterMetrics",
            "All counters",
            "Unique users per event, of every namespace or of one.",
            "kimball_counter{kimball_namespace=\"default\",name=\"Login\"} 3",
        ),
        Endpoint::PredictionMetrics => metrics(
            "getPredictionMetrics",
            "All predictions",
            "The `bayes` of GET /v0/predictions, of every namespace or of one.",
            "kimball_bayes_prediction{kimball_namespace=\"default\",event=\"Login\",goal=\"Completed purchase\"} 0.5",
        ),
        Endpoint::Alive => text("getAlive", "Is the process alive?", "Liveness, for supervisors.", "ok"),
        Endpoint::Ready => text("getReady", "Is the process ready?", "Readiness, for supervisors.", "ok"),
        Endpoint::Health => {
            let docs = read("getHealth", "service", "Is the service in order?", HEALTH, "Health");
            Docs { parameters: Vec::new(), responses: Map::new(), ..docs }.answering("200", &json_ok("Health", false))
        }
        Endpoint::Dashboard => file("getDashboard", "The dashboard", DASHBOARD, "text/html"),
        Endpoint::ApiPage => file("getApiPage", "This document for people", "A page that shows it.", "text/html"),
        Endpoint::OpenApi => document("getOpenApi"),
        Endpoint::Swagger => document("getSwagger"),
        Endpoint::SdkClient => file("getSdkClient", "The client for pages", SDK, "text/javascript"),
        Endpoint::SdkAggregator => file("getSdkAggregator", "The aggregator for pages", SDK, "text/javascript"),
        Endpoint::SdkWasm => file("getSdkWasm", "The aggregator's WebAssembly", SDK, "application/wasm"),
        #[cfg(feature = "faults")]
        Endpoint::Inspect | Endpoint::Compact => text("faults", "Fault injection", "For tests.", ""),
    }
}

/// What an SDK of others sends, of whatever type it says to be.
fn sender(dialect: Dialect) -> Docs {
    let (id, summary, schema, example) = match dialect {
        Dialect::Segment => (
            "segment",
            "What Segment's SDKs send",
            "SegmentTaken",
            json!({"type": "track", "event": "Login", "userId": "ann", "writeKey": "an ingest token"}),
        ),
        Dialect::PostHog => (
            "postHog",
            "What PostHog's SDKs send",
            "PostHogTaken",
            json!({"event": "Login", "distinct_id": "ann", "api_key": "an ingest token"}),
        ),
    };
    let body = json!({"required": true, "content": {"application/json": {
        "schema": {"type": ["object", "array"]}, "examples": {"example": {"value": example}},
    }}});
    let docs = write(id, "events", summary, SENDER, schema, &RECORDING);
    let docs = Docs { body: Some(body), responses: Map::new(), ..docs };
    docs.taking(namespace()).answering("200", &json_ok(schema, false))
}

fn put_namespace() -> Docs {
    let full = [Code::NamespacesFull, Code::HasEvents, Code::Exists];
    let mut docs = write("putNamespace", "events", "Make or set a namespace", PUT_NAMESPACE, "NewNamespace", &full);
    docs.responses.clear();
    docs.answering("200", &json_ok("Namespace", false))
        .answering("201", &json_ok("Namespace", false))
        .answering("204", &json!({"description": "Its replay has ended."}))
}

fn delete_event() -> Docs {
    let docs = deletion("deleteEvent", "Delete an event", DELETE_EVENT).taking(namespace());
    docs.refusing(&[Code::EventInUse])
}

fn put_series() -> Docs {
    let codes = [Code::NoNamespace, Code::NoEvent, Code::SeriesFull];
    let mut docs = write("putSeries", "events", "Choose the series of an event", PUT_SERIES, "NewSeries", &codes);
    docs.responses.clear();
    docs.answering("200", &json_ok("KeptSeries", false)).answering("201", &json_ok("KeptSeries", false))
}

fn series() -> Docs {
    let choice = |name: &str, description: &str, choices: &[&str]| {
        json!({
            "name": name, "in": "query", "description": description, "schema": {"type": "string", "enum": choices},
            "example": choices.first(),
        })
    };
    let day = |name: &str, description: &str| json!({"name": name, "in": "query", "description": description, "schema": {"type": "string", "format": "date"}});
    let event = json!({
        "name": "event", "in": "query", "schema": {"$ref": "#/components/schemas/Name"},
        "description": "The event, or `*` for every one; anybody where absent.",
    });
    read("getSeries", "events", "Users by day, week or month", SERIES, "AnySeries")
        .taking(event)
        .taking(choice("unit", "What to count by; `day` where absent.", &["day", "week", "month"]))
        .taking(day("from", "A day of the first period; where absent, 30 days, 12 weeks or 12 months are listed."))
        .taking(day("to", "A day of the last period; today where absent."))
        .taking(choice("compare", "Asks for as many periods before them too.", &["previous"]))
        .taking(namespace())
        .refusing(&[Code::NoNamespace, Code::NoEvent])
}

/// DELETE of something by its name, which stands in the path or in the query.
pub(super) fn deletion(id: &'static str, summary: &'static str, description: &'static str) -> Docs {
    Docs {
        id,
        tag: "events",
        summary,
        description,
        parameters: Vec::new(),
        body: None,
        responses: Map::new(),
        codes: STORAGE.into_iter().chain([Code::ParameterInvalid, Code::NameTooLong, Code::FieldMissing]).collect(),
        is_by_name: true,
    }
    .answering(
        "204",
        &json!({"description": "It is gone from every answer and every shard, also where it was gone before."}),
    )
}

const DELETE_NAMESPACE: &str = "All of it: events, goals, users, weeks. Its name may come back as a new namespace.";
const DELETE_EVENT: &str = "The event with all that was counted of it, also where users had done it before a goal. Its name \
    may come back as a new event. Whoever did it stays among the unique users of the namespace. An event that a \
    definition is about stays (409).";
const DELETE_GOAL: &str = "What was recorded about the goal. Its event stays, and is none any more.";
const RECORD: &str = "One event, `{\"events\": […]}`, or a bare list, applied in their order. Only a user's first \
    occurrence of an event changes anything. A batch that is malformed, too large or not allowed changes nothing. New names \
    that an ingest token may not register are refused event by event: 200 and the list where others were recorded, else 403 \
    or 429 with the same list.";
const SENDER: &str = "One call, or a batch of them, in the words of that SDK, of any content type. Who, what, when and how much of it is \
    counted; everything else is skipped. The write key is an ingest token: in the body, as `X-API-Key`, or as the user of \
    `Authorization: Basic`. Calls that cannot be counted are left out by themselves. What no repetition mends is 400, because \
    these SDKs send again what is answered with 429 or 5xx.";
const ANALYTICS: &str = "Unique users per event; for goals also what users had done before. A namespace without events \
    has no counts. Numbers of fewer users than the namespace shows are `null`.";
const SERIES: &str = "Unique users of every day, ISO week or month (UTC) of a range, by the `datetime` of their events, else by when     they came. A period is `open` until it ends, `late` as long as it takes late events, then `closed`: a number, of which no     server knows any more who was in it. An event beyond `SERIES_EVENTS_MAX`, and one by month, has no series.";
const PUT_SERIES: &str = "Which of days, weeks and months the event has series of, from the next day on; none with an empty list. 200 where \
    it has them already. At most `SERIES_EVENTS_MAX` events of a namespace have series.";
const ADD_GOAL: &str = "From now on, a user's first occurrence of the event records which other events the user had \
    done before. Idempotent; the event need not exist yet.";
const NAMESPACES: &str =
    "Ascending by name. A namespace appears with its first event or goal; `default` is always there.";
const NAMESPACE: &str = "Its shards, how many event names it has, and its settings. A name that is `.` or `..` cannot stand \
    in a path: GET /v0/namespaces takes it as `?name=`.";
const PUT_NAMESPACE: &str = "Makes the namespace where there is none (201), and changes its settings. Numbers of fewer users \
    than `group_users_min` are then `null` in every answer, and the object that holds one has `\"suppressed\": true`. \
    `GROUP_USERS_MIN` holds where it is greater. With `clock: replay`, before its first event, its present day is the greatest day of \
    the events that admins send, so that history counts in its periods; `clock: live` ends that for good (204).";
const FEATURES: &str = "Whether each flag is on for the user. Where `user_obj.user_id` and `context_obj.feature` are both \
    given, that is recorded as an event of this user after the response.";
const USER_OBJ: &str = "The base64 of a JSON object with the user's properties; `user_id` (string or integer) says who it \
    is. Both alphabets, padded or not.";
const CONTEXT_OBJ: &str = "The base64 of a JSON object: `feature`, the event to record, and `namespace`, `default` where \
    absent.";
const ADD_SPEC: &str = "Replaces the flag of that name. Where a rollout is running and only its end changes, the share of \
    users that it has reached keeps the flag.";
const PREDICTIONS: &str = "Without `event` and `user_id`: per goal and prior event, the probability of the goal after the \
    event. With `event`s: per goal, that for a user who did these and no others. With `user_id`: that for what the user \
    has done. Not with both.";
const NUDGES: &str = "The events that led others to the goal and that the user has not done, best first.";
const METRICS: &str = "Requests, events, shards and storage in Prometheus text format, of every namespace or of one.";
const REMOVE_SPEC: &str = "From then on the flag is in no answer. A name that is `.` or `..` cannot stand in a path; such a \
    flag can be replaced, not removed.";
const ACCESS: &str = "Whether the service asks for tokens, and what the caller's may do. Answered for every caller, also \
    without a token.";
const STATUS: &str = "Versions, settings without secrets, and how near the shards of a namespace are to their limits. Every \
    shard is loaded for it; one that cannot be read is told as such. What was done with events is counted since the \
    isolates at hand began.";
const DASHBOARD: &str = "A page that shows all numbers, flags and the status.";
const SDK: &str = "A file of the npm package `kimball-edge`, for pages of all origins.";
const HEALTH: &str = "Whether configuration, key and storage are in order.";

impl Docs {
    pub(super) fn taking(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(super) fn refusing(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// A file may not be there, and need not be sent again.
    fn missing(mut self) -> Self {
        self.codes.extend([Code::NotFound, Code::StorageUnavailable]);
        self.answering("304", &json!({"description": "It is the one that the client has."}))
    }

    pub(super) fn answering(mut self, status: &str, response: &Value) -> Self {
        self.responses.insert(status.to_owned(), response.clone());
        self
    }
}

pub(super) fn read(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    schema: &'static str,
) -> Docs {
    let if_none_match = json!({
        "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
        "description": "Entity tags of answers that the client has; 304 if one of them is still right.",
        "example": "\"00000000000000000000000000000000\"",
    });
    let unchanged = json!({"description": "The answer is the one that the client has.", "headers": {"ETag": etag()}});
    let codes = STORAGE.into_iter().chain([Code::NameTooLong]).collect();
    let (parameters, responses) = (vec![if_none_match], Map::new());
    Docs { id, tag, summary, description, parameters, body: None, responses, codes, is_by_name: false }
        .answering("200", &json_ok(schema, true))
        .answering("304", &unchanged)
}

pub(super) fn write(
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    schema: &'static str,
    codes: &[Code],
) -> Docs {
    let body = json!({"required": true, "content": {"application/json": content(schema)}});
    let codes = BODY.iter().chain(&STORAGE).chain(&[Code::ContentEncodingUnsupported]).chain(codes).copied().collect();
    let (parameters, responses) = (Vec::new(), Map::new());
    Docs { id, tag, summary, description, parameters, body: Some(body), responses, codes, is_by_name: false }
        .answering("204", &json!({"description": "It is stored durably, or was there already."}))
}

fn text(id: &'static str, summary: &'static str, description: &'static str, example: &str) -> Docs {
    let content = json!({"text/plain": {"schema": {"type": "string", "examples": [example]}, "example": example}});
    let (parameters, responses, codes) = (Vec::new(), Map::new(), Vec::new());
    Docs { id, tag: "service", summary, description, parameters, body: None, responses, codes, is_by_name: false }
        .answering("200", &json!({"description": "It is.", "content": content}))
}

fn metrics(id: &'static str, summary: &'static str, description: &'static str, example: &str) -> Docs {
    text(id, summary, description, example)
        .taking(namespace())
        .refusing(&STORAGE)
        .refusing(&[Code::NameTooLong, Code::MetricsTooLarge])
}

fn file(id: &'static str, summary: &'static str, description: &'static str, media_type: &str) -> Docs {
    let schema = if media_type == "application/wasm" { json!({}) } else { json!({"type": "string"}) };
    text(id, summary, description, "")
        .answering("200", &json!({"description": "The file.", "content": {media_type: {"schema": schema}}}))
        .missing()
}

fn document(id: &'static str) -> Docs {
    let content = json!({"application/json": {"schema": {"type": "object"}}});
    text(id, "This document", "OpenAPI 3.1, the same under both names.", "")
        .answering("200", &json!({"description": "The document.", "content": content}))
        .missing()
}

fn content(schema: &str) -> Value {
    json!({
        "schema": {"$ref": format!("#/components/schemas/{schema}")},
        "examples": {"example": {"value": examples::of(schema)}},
    })
}

pub(super) fn json_ok(schema: &str, has_etag: bool) -> Value {
    let headers = if has_etag { json!({"ETag": etag()}) } else { json!({}) };
    json!({"description": "The answer.", "headers": headers, "content": {"application/json": content(schema)}})
}

fn some_refused() -> Value {
    json!({"description": "Some were refused one by one, the others are stored.", "content": {"application/json": content("Recorded")}})
}

fn etag() -> Value {
    json!({"description": "The answer's entity tag.", "required": true, "schema": {"type": "string"}})
}

pub(super) fn namespace() -> Value {
    json!({
        "name": "namespace", "in": "query", "description": "The namespace; `default` where absent.",
        "schema": {"$ref": "#/components/schemas/Name"}, "example": "shop",
    })
}

fn events() -> Value {
    json!({
        "name": "event", "in": "query", "explode": true, "example": ["Login"],
        "description": "An event that the namespace has; may come several times.",
        "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Name"}},
    })
}

fn user_id(is_required: bool) -> Value {
    let mut parameter = json!({
        "name": "user_id", "in": "query", "description": "The user; an integer means its decimal string.",
        "schema": {"$ref": "#/components/schemas/UserText"}, "required": is_required,
    });
    // Where it is optional it excludes another parameter, which has the example.
    if let (true, Some(fields)) = (is_required, parameter.as_object_mut()) {
        fields.insert("example".to_owned(), "ann".into());
    }
    parameter
}

fn goal() -> Value {
    json!({
        "name": "goal", "in": "query", "description": "A goal of the namespace.", "required": true,
        "schema": {"$ref": "#/components/schemas/Name"}, "example": "Completed purchase",
    })
}

/// The name of what a request is about, in the path or in the query.
pub fn name(place: &str) -> Value {
    json!({
        "name": "name", "in": place, "description": "Its name, percent-encoded.", "required": true,
        "schema": {"$ref": "#/components/schemas/Name"}, "example": "new-checkout",
    })
}

fn encoded(name: &str, description: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "query", "description": description, "example": example,
        "schema": {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/json"},
    })
}
