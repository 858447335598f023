//! The table of routes: what feeds dispatch, required scopes and the list that tests walk.

use worker::{Context, Env, Method, Request, Response};

use super::auth::{Principal, Scope};
use super::config::Config;
use super::error::{ApiError, Code};
use super::faults::Fault;
use super::response::{Reply, without_body};
use super::{analytics, cors, features, goals, health, namespaces};
use crate::core::request::Query;

/// One path with one method.
pub struct Route {
    /// The path, without a trailing slash.
    pub path: &'static str,
    /// The method; HEAD goes wherever GET does.
    pub method: Method,
    /// Who may call it.
    pub scope: Scope,
    handler: Handler,
}

#[derive(Clone, Copy)]
enum Handler {
    Record,
    Analytics,
    AddGoal,
    Goals,
    Namespaces,
    Features,
    Alive,
    Health,
    Welcome,
    #[cfg(feature = "faults")]
    Inspect,
    #[cfg(feature = "faults")]
    Compact,
}

const fn route(path: &'static str, method: Method, scope: Scope, handler: Handler) -> Route {
    Route { path, method, scope, handler }
}

/// Every route there is.
pub const ROUTES: &[Route] = &[
    route("/v0/analytics", Method::Post, Scope::Ingest, Handler::Record),
    route("/v0/analytics", Method::Get, Scope::Read, Handler::Analytics),
    route("/v0/goals", Method::Post, Scope::Admin, Handler::AddGoal),
    route("/v0/goals", Method::Get, Scope::Read, Handler::Goals),
    route("/v0/namespaces", Method::Get, Scope::Read, Handler::Namespaces),
    route("/v0/features", Method::Get, Scope::Ingest, Handler::Features),
    route("/alive", Method::Get, Scope::Anyone, Handler::Alive),
    route("/ready", Method::Get, Scope::Anyone, Handler::Alive),
    route("/healthz", Method::Get, Scope::Anyone, Handler::Health),
    route("/", Method::Get, Scope::Anyone, Handler::Welcome),
    #[cfg(feature = "faults")]
    route("/faults/shard", Method::Get, Scope::Admin, Handler::Inspect),
    #[cfg(feature = "faults")]
    route("/faults/compact", Method::Post, Scope::Admin, Handler::Compact),
];

/// A request with everything that its handler needs.
pub struct Call<'a> {
    /// The request, its body not yet read.
    pub request: Request,
    /// The decoded query string.
    pub query: Query,
    /// Who calls.
    pub principal: Principal,
    /// The configuration.
    pub config: &'a Config,
    /// The bindings.
    pub env: &'a Env,
    /// A fault to inject, in test builds.
    pub fault: Fault,
}

/// Answers a request, whatever it is.
///
/// # Errors
/// When the runtime refuses to make a response.
pub async fn serve(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let config = match Config::of(&env) {
        Ok(config) => config,
        Err(error) => return Reply::error(&error).into_response(),
    };
    let origin = if config.allowed_origins.is_empty() { None } else { request.headers().get("origin")? };
    let is_head = request.method() == Method::Head;
    let reply = match find(&request) {
        Ok(Found::Route(route)) => {
            let is_conditional = route.method == Method::Get && route.path.starts_with("/v0/");
            let if_none_match = if is_conditional { request.headers().get("if-none-match")? } else { None };
            let reply = dispatch(route, request, &config, &env, &context).await;
            let reply = reply.unwrap_or_else(|error| Reply::error(&error));
            if is_conditional { reply.conditional(if_none_match.as_deref()) } else { reply }
        }
        Ok(Found::Options(allow)) => Reply::options(&allow),
        Err(reply) => reply,
    };
    let response = cors::allow(reply.into_response()?, &config, origin.as_deref())?;
    Ok(if is_head { without_body(&response) } else { response })
}

enum Found {
    Route(&'static Route),
    Options(String),
}

/// The route of a request, or the answer that there is none.
fn find(request: &Request) -> Result<Found, Reply> {
    let path = request.path();
    let path = path.strip_suffix('/').filter(|path| path.starts_with("/v0/")).unwrap_or(&path);
    let same_path = || ROUTES.iter().filter(|route| route.path == path);
    if same_path().next().is_none() {
        return Err(Reply::error(&ApiError::new(Code::NotFound, "there is nothing at this path")));
    }
    // `Request::method` takes every method that it does not know for GET.
    let given = request.inner().method();
    let method = if given == "HEAD" { "GET" } else { given.as_str() };
    if let Some(route) = same_path().find(|route| route.method.as_ref() == method) {
        return Ok(Found::Route(route));
    }
    let mut allowed: Vec<&str> = same_path().map(|route| route.method.as_ref()).collect();
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

async fn dispatch(
    route: &Route,
    request: Request,
    config: &Config,
    env: &Env,
    context: &Context,
) -> Result<Reply, ApiError> {
    let principal = Principal::of(&request, config);
    principal.require(route.scope)?;
    let fault = Fault::of(&request);
    let query = Query::parse(query_of(&request.inner().url()))?;
    let call = Call { request, query, principal, config, env, fault };
    match route.handler {
        Handler::Record => analytics::record(call).await,
        Handler::Analytics => analytics::read(call).await,
        Handler::AddGoal => goals::add(call).await,
        Handler::Goals => goals::read(call).await,
        Handler::Namespaces => namespaces::read(call).await,
        Handler::Features => features::read(call, context).await,
        Handler::Alive => Ok(Reply::text("ok")),
        Handler::Health => health::read(call).await,
        Handler::Welcome => Ok(Reply::text(health::WELCOME)),
        #[cfg(feature = "faults")]
        Handler::Inspect => health::inspect(call).await,
        #[cfg(feature = "faults")]
        Handler::Compact => health::compact(call).await,
    }
}

fn query_of(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').map_or("", |(_, query)| query)
}
