//! /v0/namespaces.

use crate::core::answers::short::Namespaces;
use crate::edge::gateway::directory;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// GET: the names of all namespaces, ascending; `default` is always one of them.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    Reply::json(&Namespaces { namespaces: directory::namespaces(call.env).await? })
}
