//! /v0/namespaces.

use serde::Serialize;

use super::directory;
use super::error::ApiError;
use super::response::Reply;
use super::routes::Call;

#[derive(Serialize)]
struct Namespaces {
    namespaces: Vec<String>,
}

/// GET: the names of all namespaces, ascending; `default` is always one of them.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    Reply::json(&Namespaces { namespaces: directory::namespaces(call.env).await? })
}
