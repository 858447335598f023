//! /v0/access.

use crate::core::answers::short::Access;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// GET: whether tokens are asked for, and what the caller's may do.
///
/// # Errors
/// None that a caller could cause.
pub fn read(call: &Call<'_>) -> Result<Reply, ApiError> {
    Reply::json(&Access { authentication: !call.config.auth_disabled, scopes: call.principal.scopes() })
}
