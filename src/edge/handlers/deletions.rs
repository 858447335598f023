//! DELETE of events, goals and namespaces.

use crate::core::requests::{namespace_of, parse_name_of};
use crate::edge::gateway::{deletions, directory};
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::registry::Deletable;

/// DELETE: an event, with all that was counted of it.
///
/// # Errors
/// When the name is no name, or the registry or a shard cannot be reached.
pub async fn event(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = name_of(&call)?;
    delete(&call, namespace_of(&call.query, &call.config.request)?, Deletable::Event(name)).await
}

/// DELETE: what was recorded about a goal. Its event stays.
///
/// # Errors
/// As [`event`].
pub async fn goal(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = name_of(&call)?;
    delete(&call, namespace_of(&call.query, &call.config.request)?, Deletable::Goal(name)).await
}

/// DELETE: a namespace with all that is in it.
///
/// # Errors
/// As [`event`].
pub async fn namespace(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = name_of(&call)?;
    delete(&call, &name, Deletable::Namespace).await
}

/// The name in the last segment of the path, or in the query, for names that are `.` or `..`.
fn name_of(call: &Call<'_>) -> Result<String, ApiError> {
    Ok(parse_name_of(call.segment().as_deref(), &call.query, &call.config.request)?)
}

/// What is gone already is as good as deleted.
async fn delete(call: &Call<'_>, namespace: &str, what: Deletable) -> Result<Reply, ApiError> {
    let deleted = deletions::delete(call.env, namespace, what, call.fault).await;
    // Also where a shard could not be reached: it is gone from the registry.
    directory::forget(namespace);
    deleted.map(|()| Reply::no_content())
}
