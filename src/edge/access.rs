//! /v0/access.

use super::error::ApiError;
use super::response::Reply;
use super::routes::Call;
use crate::api::answer::Access;

/// GET: whether tokens are asked for, and what the caller's may do.
///
/// # Errors
/// None that a caller could cause.
pub fn read(call: &Call<'_>) -> Result<Reply, ApiError> {
    Reply::json(&Access { authentication: !call.config.auth_disabled, scopes: call.principal.scopes() })
}
