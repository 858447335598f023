//! /v0/namespaces.

use super::directory;
use super::error::ApiError;
use super::response::Reply;
use super::routes::Call;
use crate::api::answer::Namespaces;

/// GET: the names of all namespaces, ascending; `default` is always one of them.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    Reply::json(&Namespaces { namespaces: directory::namespaces(call.env).await? })
}
