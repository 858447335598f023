//! Reading of request bodies, never more than the limit.

use futures_util::StreamExt;
use worker::Request;

use super::error::{ApiError, Code};

/// The body of a JSON request.
///
/// # Errors
/// When the content type is not JSON, the body is encoded, or has more than `bytes_max` bytes.
pub async fn read_json(request: &mut Request, bytes_max: u64) -> Result<Vec<u8>, ApiError> {
    let header = |name| request.headers().get(name).ok().flatten();
    let content_type = header("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(Code::ContentTypeInvalid, "the content type must be application/json"));
    }
    if header("content-encoding").is_some_and(|encoding| !encoding.trim().eq_ignore_ascii_case("identity")) {
        return Err(ApiError::new(
            Code::ContentEncodingUnsupported,
            "encoded bodies are not supported; send plain JSON",
        ));
    }
    match header("content-length").and_then(|length| length.trim().parse::<u64>().ok()) {
        Some(length) if length > bytes_max => Err(ApiError::body_too_large(bytes_max)),
        Some(_) => request.bytes().await.map_err(|_| broken()),
        None => read_stream(request, bytes_max).await,
    }
}

/// A body that does not say its length.
async fn read_stream(request: &mut Request, bytes_max: u64) -> Result<Vec<u8>, ApiError> {
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream = request.stream().map_err(|_| broken())?;
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk.map_err(|_| broken())?);
        if body.len() as u64 > bytes_max {
            return Err(ApiError::body_too_large(bytes_max));
        }
    }
    Ok(body)
}

fn broken() -> ApiError {
    ApiError::new(Code::JsonInvalid, "the body broke off")
}
