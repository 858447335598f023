//! A request on its way to its handler.

use worker::{Env, Request};

use super::auth::Principal;
use crate::core::requests::Query;
use crate::edge::host::config::Config;
use crate::messages::shard::Injection;

/// A request with everything that its handler needs.
pub struct Call<'a> {
    /// The request, its body not yet read.
    pub request: Request,
    /// The decoded query string.
    pub query: Query,
    /// Who calls; nobody where the body says it.
    pub principal: Principal,
    /// Whether the body says who calls, and has been asked for nothing yet.
    pub is_plain: bool,
    /// The configuration.
    pub config: &'a Config,
    /// The bindings.
    pub env: &'a Env,
    /// A fault to inject, in test builds.
    pub fault: Injection,
}

impl Call<'_> {
    /// What stands behind the collection in the path, `/v0/collection/segment`, as it was written.
    pub fn segment(&self) -> Option<String> {
        self.request.path().trim_end_matches('/').split('/').nth(3).map(str::to_owned)
    }
}
