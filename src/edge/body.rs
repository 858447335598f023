//! Reading of request bodies, never more than the limit.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use worker::{ByteStream, Delay, Request};

use super::error::{ApiError, Code};
use crate::core::limits::{DRAIN_BYTES, DRAIN_MS};

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
    let declared = header("content-length").and_then(|length| length.trim().parse::<u64>().ok());
    if declared.is_some_and(|length| length <= bytes_max) {
        return request.bytes().await.map_err(|_| broken());
    }
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream = request.stream().map_err(|_| broken())?;
    if declared.is_none()
        && let Some(body) = read_bounded(&mut stream, bytes_max).await?
    {
        return Ok(body);
    }
    drain(&mut stream).await;
    Err(ApiError::body_too_large(bytes_max))
}

/// A body that does not say its length; `None` as soon as it has more than `bytes_max` bytes.
async fn read_bounded(stream: &mut ByteStream, bytes_max: u64) -> Result<Option<Vec<u8>>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk.map_err(|_| broken())?);
        if body.len() as u64 > bytes_max {
            return Ok(None);
        }
    }
    Ok(Some(body))
}

/// Reads and throws away some more of a body that is too large, within bounds: a client that is still sending would
/// otherwise see a broken connection instead of the answer.
async fn drain(stream: &mut ByteStream) {
    let read = async {
        let mut drained = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            drained += chunk.len() as u64;
            if drained > DRAIN_BYTES {
                return;
            }
        }
    };
    let deadline = Delay::from(Duration::from_millis(DRAIN_MS));
    futures_util::future::select(pin!(read), deadline).await;
}

fn broken() -> ApiError {
    ApiError::new(Code::JsonInvalid, "the body broke off")
}
