//! Dispatch: from a request to the route of [`crate::api::routes`] that answers it.

use worker::{Context, Env, Request, Response};

use crate::api::code::Code;
use crate::api::routes::{Endpoint, FOLDERS, Method, ROUTES, Route};
use crate::core::requests::Query;
use crate::edge::gateway::{self, older_state};
use crate::edge::handlers::{
    access, analytics, assets, deletions, feature_specs, features, goals, health, metrics, namespaces, nudges,
    predictions, retention, senders, series, status,
};
use crate::edge::host::config::Config;
use crate::edge::host::record;
use crate::edge::http::auth::Principal;
use crate::edge::http::call::Call;
use crate::edge::http::cors;
use crate::edge::http::error::ApiError;
use crate::edge::http::plain;
use crate::edge::http::response::{Reply, without_body};
use crate::messages::shard::Injection;

/// Answers a request, whatever it is.
///
/// # Errors
/// When the runtime refuses to make a response.
pub async fn serve(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let config = match Config::of(&env) {
        Ok(config) => config,
        Err(invalid) => return Reply::error(&invalid.into()).into_response(),
    };
    older_state::accept(&config, &env, &context);
    gateway::deletions::resume(&env, &context);
    let origin = if config.allowed_origins.is_empty() { None } else { request.headers().get("origin")? };
    let is_head = request.method() == worker::Method::Head;
    let mut counted = ("other", "other");
    let found = if is_answered(&request, &config)? { find(&request) } else { Err(Reply::error(&host_not_allowed())) };
    let reply = match found {
        Ok(Found::Route(route)) => {
            counted = (route.path, if is_head { "HEAD" } else { route.method.name() });
            let is_conditional = route.method == Method::Get && route.path.starts_with("/v0/");
            let if_none_match = if is_conditional { request.headers().get("if-none-match")? } else { None };
            let reply = dispatch(route, request, &config, &env, &context).await;
            let reply = reply.unwrap_or_else(|error| Reply::error(&error));
            if is_conditional { reply.conditional(if_none_match.as_deref()) } else { reply }
        }
        Ok(Found::Options(allow)) => Reply::options(&allow),
        Err(reply) => reply,
    };
    record::answered(counted.0, counted.1, reply.status());
    let response = cors::allow(reply.into_response()?, &config, origin.as_deref())?;
    Ok(if is_head { without_body(&response) } else { response })
}

/// Whether a request to this host is answered. Tokens keep out whoever has none, a page that has taken a name for this
/// server's address included; without authentication the name has to.
fn is_answered(request: &Request, config: &Config) -> worker::Result<bool> {
    if !config.auth_disabled {
        return Ok(true);
    }
    let url = request.inner().url();
    let authority =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let header = request.headers().get("host")?;
    Ok([Some(authority), header.as_deref()].into_iter().flatten().all(|host| config.allowed_hosts.answers(host)))
}

fn host_not_allowed() -> ApiError {
    let what = "authentication is off, so only localhost, IP addresses and the host names in ALLOWED_HOSTS are answered; \
        add this host's name to it, or turn authentication on";
    ApiError::new(Code::HostNotAllowed, what)
}

enum Found {
    Route(&'static Route),
    Options(String),
}

/// The route of a request, or the answer that there is none.
fn find(request: &Request) -> Result<Found, Reply> {
    let path = request.path();
    let path = path.strip_suffix('/').filter(|path| takes_slash(path)).unwrap_or(&path);
    let is_listed = ROUTES.iter().any(|route| route.is_of(path));
    let folder = FOLDERS.iter().find(|folder| !is_listed && path.starts_with(folder.path));
    let same_path = || ROUTES.iter().filter(|route| route.is_of(path)).chain(folder);
    if same_path().next().is_none() {
        return Err(Reply::error(&ApiError::new(Code::NotFound, "there is nothing at this path")));
    }
    // `Request::method` takes every method that it does not know for GET.
    let given = request.inner().method();
    let method = if given == "HEAD" { "GET" } else { given.as_str() };
    if let Some(route) = same_path().find(|route| route.method.name() == method) {
        return Ok(Found::Route(route));
    }
    let mut allowed: Vec<&str> = same_path().map(|route| route.method.name()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.push("OPTIONS");
    let allow = allowed.join(", ");
    if method == "OPTIONS" {
        return Ok(Found::Options(allow));
    }
    let what = format!("this path takes {allow}");
    Err(Reply::error(&ApiError::new(Code::MethodNotAllowed, what)).header("allow", &allow))
}

/// Whether a slash behind a path does no harm.
fn takes_slash(path: &str) -> bool {
    let is_sender = |route: &Route| matches!(route.endpoint, Endpoint::Sender(_)) && route.path == path;
    path.starts_with("/v0/") || ROUTES.iter().any(is_sender)
}

async fn dispatch(
    route: &Route,
    request: Request,
    config: &Config,
    env: &Env,
    context: &Context,
) -> Result<Reply, ApiError> {
    let principal = Principal::of(&request, config);
    let is_plain = route.endpoint == Endpoint::Record && plain::is_plain(&request, config);
    let admit = || {
        // Of some the body says who sends them.
        if !is_plain && !matches!(route.endpoint, Endpoint::Sender(_)) {
            principal.require(route.scope)?;
        }
        Ok(Query::parse(query_of(&request.inner().url()))?)
    };
    let query = admit().inspect_err(|error: &ApiError| {
        if route.endpoint == Endpoint::Record {
            record::refused(1, error.code);
        }
    })?;
    let fault = Injection::of(&request);
    let call = Call { request, query, principal, is_plain, config, env, fault };
    match route.endpoint {
        Endpoint::Record => analytics::record(call).await,
        Endpoint::Sender(dialect) => senders::record(call, dialect).await,
        Endpoint::Analytics => analytics::read(call).await,
        Endpoint::AddGoal => goals::add(call).await,
        Endpoint::Goals => goals::read(call).await,
        Endpoint::Namespaces => namespaces::read(call).await,
        Endpoint::DeleteNamespace => deletions::namespace(call).await,
        Endpoint::DeleteEvent => deletions::event(call).await,
        Endpoint::DeleteGoal => deletions::goal(call).await,
        Endpoint::Namespace => namespaces::read_one(call).await,
        Endpoint::PutNamespace => namespaces::put(call).await,
        Endpoint::Features => features::read(call, context).await,
        Endpoint::AddFeatureSpec => feature_specs::add(call).await,
        Endpoint::FeatureSpecs => feature_specs::read(call).await,
        Endpoint::RemoveFeatureSpec => feature_specs::remove(call).await,
        Endpoint::Predictions => predictions::read(call).await,
        Endpoint::Series => series::read(call).await,
        Endpoint::PutSeries => series::put(call).await,
        Endpoint::Retention => retention::read(call).await,
        Endpoint::PutRetention => retention::put(call).await,
        Endpoint::DeleteRetention => retention::delete(call).await,
        Endpoint::Nudges => nudges::read(call).await,
        Endpoint::Access => access::read(&call),
        Endpoint::Status => status::read(call).await,
        Endpoint::Metrics => metrics::service(call).await,
        Endpoint::CounterMetrics => metrics::counters(call).await,
        Endpoint::PredictionMetrics => metrics::predictions(call).await,
        Endpoint::Alive | Endpoint::Ready => Ok(Reply::text("ok")),
        Endpoint::Health => health::read(call).await,
        Endpoint::Dashboard => assets::dashboard(call).await,
        Endpoint::ApiPage | Endpoint::OpenApi | Endpoint::Swagger => assets::api(call).await,
        Endpoint::SdkClient | Endpoint::SdkAggregator | Endpoint::SdkWasm => assets::sdk(call).await,
        #[cfg(feature = "faults")]
        Endpoint::Inspect => health::inspect(call).await,
        #[cfg(feature = "faults")]
        Endpoint::Compact => health::compact(call).await,
        #[cfg(feature = "faults")]
        Endpoint::SetClock => health::set_clock(&call),
        #[cfg(feature = "faults")]
        Endpoint::ShiftVersion => health::shift_version(&call),
    }
}

fn query_of(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').map_or("", |(_, query)| query)
}
