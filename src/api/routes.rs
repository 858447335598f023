//! The table of routes: what feeds dispatch, required scopes, the OpenAPI document and the list that tests walk.

use crate::core::requests::Dialect;

/// What a route asks of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nothing.
    Anyone,
    /// To send events and ask for flags.
    Ingest,
    /// To read numbers.
    Read,
    /// To change what is counted and how.
    Admin,
}

impl Scope {
    /// The name of the least token that has it; `None` where none is needed.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Anyone => None,
            Self::Ingest => Some("ingest"),
            Self::Read => Some("read"),
            Self::Admin => Some("admin"),
        }
    }
}

/// The method of a route; HEAD goes wherever GET does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// DELETE
    Delete,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What answers a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Endpoint {
    Record,
    Analytics,
    AddGoal,
    Goals,
    Namespaces,
    DeleteNamespace,
    DeleteEvent,
    DeleteGoal,
    Namespace,
    PutNamespace,
    Features,
    AddFeatureSpec,
    FeatureSpecs,
    RemoveFeatureSpec,
    Predictions,
    Nudges,
    Series,
    PutSeries,
    Retention,
    PutRetention,
    DeleteRetention,
    Access,
    Status,
    Metrics,
    CounterMetrics,
    PredictionMetrics,
    Alive,
    Ready,
    Health,
    Dashboard,
    ApiPage,
    OpenApi,
    Swagger,
    Sender(Dialect),
    SdkClient,
    SdkAggregator,
    SdkWasm,
    #[cfg(feature = "faults")]
    Inspect,
    #[cfg(feature = "faults")]
    Compact,
    #[cfg(feature = "faults")]
    SetClock,
    #[cfg(feature = "faults")]
    ShiftVersion,
}

/// One path with one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The path, without a trailing slash. A last segment in braces stands for any one that is not empty.
    pub path: &'static str,
    /// The method.
    pub method: Method,
    /// Who may call it.
    pub scope: Scope,
    /// What answers it.
    pub endpoint: Endpoint,
}

const fn get(path: &'static str, scope: Scope, endpoint: Endpoint) -> Route {
    Route { path, method: Method::Get, scope, endpoint }
}

const fn post(path: &'static str, scope: Scope, endpoint: Endpoint) -> Route {
    Route { path, method: Method::Post, scope, endpoint }
}

const fn delete(path: &'static str, endpoint: Endpoint) -> Route {
    Route { path, method: Method::Delete, scope: Scope::Admin, endpoint }
}

impl Route {
    /// Whether this is the route of a path.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::api::routes::ROUTES;
    /// let route = ROUTES.iter().find(|route| route.is_of("/v0/featureSpecs/dark%20mode")).unwrap();
    /// assert_eq!(route.path, "/v0/featureSpecs/{name}");
    /// assert!(!ROUTES.iter().any(|route| route.is_of("/v0/featureSpecs/dark/mode")));
    /// ```
    #[must_use]
    pub fn is_of(&self, path: &str) -> bool {
        match self.path.split_once('{') {
            None => self.path == path,
            Some((folder, _)) => {
                path.strip_prefix(folder).is_some_and(|segment| !segment.is_empty() && !segment.contains('/'))
            }
        }
    }
}

const SEGMENT: Endpoint = Endpoint::Sender(Dialect::Segment);
const POSTHOG: Endpoint = Endpoint::Sender(Dialect::PostHog);

/// Every route there is.
pub const ROUTES: &[Route] = &[
    post("/v0/analytics", Scope::Ingest, Endpoint::Record),
    get("/v0/analytics", Scope::Read, Endpoint::Analytics),
    post("/v0/goals", Scope::Admin, Endpoint::AddGoal),
    get("/v0/goals", Scope::Read, Endpoint::Goals),
    get("/v0/namespaces", Scope::Read, Endpoint::Namespaces),
    delete("/v0/namespaces", Endpoint::DeleteNamespace),
    delete("/v0/namespaces/{name}", Endpoint::DeleteNamespace),
    delete("/v0/events", Endpoint::DeleteEvent),
    delete("/v0/events/{name}", Endpoint::DeleteEvent),
    delete("/v0/goals", Endpoint::DeleteGoal),
    delete("/v0/goals/{name}", Endpoint::DeleteGoal),
    post("/v0/namespaces", Scope::Admin, Endpoint::PutNamespace),
    get("/v0/namespaces/{name}", Scope::Read, Endpoint::Namespace),
    get("/v0/features", Scope::Ingest, Endpoint::Features),
    post("/v0/featureSpecs", Scope::Admin, Endpoint::AddFeatureSpec),
    get("/v0/featureSpecs", Scope::Read, Endpoint::FeatureSpecs),
    delete("/v0/featureSpecs/{name}", Endpoint::RemoveFeatureSpec),
    get("/v0/predictions", Scope::Read, Endpoint::Predictions),
    get("/v0/nudges", Scope::Read, Endpoint::Nudges),
    get("/v0/series", Scope::Read, Endpoint::Series),
    post("/v0/series", Scope::Admin, Endpoint::PutSeries),
    get("/v0/retention", Scope::Read, Endpoint::Retention),
    post("/v0/retention", Scope::Admin, Endpoint::PutRetention),
    delete("/v0/retention", Endpoint::DeleteRetention),
    get("/v0/access", Scope::Anyone, Endpoint::Access),
    get("/v0/status", Scope::Read, Endpoint::Status),
    post("/v1/batch", Scope::Ingest, SEGMENT),
    post("/v1/import", Scope::Ingest, SEGMENT),
    post("/v1/track", Scope::Ingest, SEGMENT),
    post("/v1/identify", Scope::Ingest, SEGMENT),
    post("/v1/page", Scope::Ingest, SEGMENT),
    post("/v1/screen", Scope::Ingest, SEGMENT),
    post("/v1/group", Scope::Ingest, SEGMENT),
    post("/v1/alias", Scope::Ingest, SEGMENT),
    post("/v1/t", Scope::Ingest, SEGMENT),
    post("/v1/i", Scope::Ingest, SEGMENT),
    post("/v1/p", Scope::Ingest, SEGMENT),
    post("/v1/s", Scope::Ingest, SEGMENT),
    post("/v1/g", Scope::Ingest, SEGMENT),
    post("/v1/a", Scope::Ingest, SEGMENT),
    post("/batch", Scope::Ingest, POSTHOG),
    post("/capture", Scope::Ingest, POSTHOG),
    post("/e", Scope::Ingest, POSTHOG),
    post("/i/v0/e", Scope::Ingest, POSTHOG),
    get("/metrics", Scope::Read, Endpoint::Metrics),
    get("/metrics/counters", Scope::Read, Endpoint::CounterMetrics),
    get("/metrics/predictions", Scope::Read, Endpoint::PredictionMetrics),
    get("/alive", Scope::Anyone, Endpoint::Alive),
    get("/ready", Scope::Anyone, Endpoint::Ready),
    get("/healthz", Scope::Anyone, Endpoint::Health),
    get("/", Scope::Anyone, Endpoint::Dashboard),
    get("/api-docs/index.html", Scope::Anyone, Endpoint::ApiPage),
    get("/api-docs/openapi.json", Scope::Anyone, Endpoint::OpenApi),
    get("/api-docs/swagger.json", Scope::Anyone, Endpoint::Swagger),
    get("/sdk/index.js", Scope::Anyone, Endpoint::SdkClient),
    get("/sdk/aggregator.js", Scope::Anyone, Endpoint::SdkAggregator),
    get("/sdk/aggregator.wasm", Scope::Anyone, Endpoint::SdkWasm),
    #[cfg(feature = "faults")]
    get("/faults/shard", Scope::Admin, Endpoint::Inspect),
    #[cfg(feature = "faults")]
    post("/faults/compact", Scope::Admin, Endpoint::Compact),
    #[cfg(feature = "faults")]
    post("/faults/clock", Scope::Admin, Endpoint::SetClock),
    #[cfg(feature = "faults")]
    post("/faults/version", Scope::Admin, Endpoint::ShiftVersion),
];

/// Whatever else lies in the folders of files: scripts and styles of pages, licences.
pub const FOLDERS: &[Route] = &[
    get("/api-docs/", Scope::Anyone, Endpoint::ApiPage),
    get("/dashboard/", Scope::Anyone, Endpoint::Dashboard),
    get("/sdk/", Scope::Anyone, Endpoint::SdkClient),
];
