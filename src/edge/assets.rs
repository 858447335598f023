//! Files that lie beside the Worker: the page that shows the API, and the document of it.

use super::error::ApiError;
use super::response::Reply;
use super::routes::Call;
use crate::api::code::Code;

/// The page's own files only; its viewer sets styles of elements.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// GET: the file of this path.
///
/// # Errors
/// [`Code::NotFound`] where there is none; [`Code::StorageUnavailable`] where files cannot be read.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let assets = call.env.assets("ASSETS").map_err(|error| ApiError::storage(&error))?;
    let response = assets.fetch_request(call.request).await.map_err(|error| ApiError::storage(&error))?;
    match response.status_code() {
        200 | 304 => Ok(Reply::forwarded(response)
            .header("content-security-policy", CONTENT_SECURITY_POLICY)
            .header("x-content-type-options", "nosniff")),
        _ => Err(ApiError::new(Code::NotFound, "there is nothing at this path")),
    }
}
