//! Reading of request bodies, plain or gzip, never more than the limit.

use std::io::Read;
use std::pin::pin;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use worker::{ByteStream, Delay, Request};

use super::error::ApiError;
use crate::api::code::Code;
use crate::core::limits::{DRAIN_BYTES, DRAIN_MS};

/// The body of a JSON request.
///
/// # Errors
/// When the content type is not JSON, the body is encoded otherwise than by gzip or badly, or has more than `bytes_max`
/// bytes, inflated.
pub async fn read_json(request: &mut Request, bytes_max: u64) -> Result<Vec<u8>, ApiError> {
    let header = |name| request.headers().get(name).ok().flatten();
    let content_type = header("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(Code::ContentTypeInvalid, "the content type must be application/json"));
    }
    let encoding = header("content-encoding").unwrap_or_default();
    let is_gzip = match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => {
            let what = "the content encoding must be gzip, or none";
            return Err(ApiError::new(Code::ContentEncodingUnsupported, what));
        }
    };
    let declared = header("content-length").and_then(|length| length.trim().parse::<u64>().ok());
    let is_within = declared.is_none_or(|length| length <= bytes_max);
    if declared.is_some() && is_within && !is_gzip {
        return request.bytes().await.map_err(|_| broken());
    }
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream = request.stream().map_err(|_| broken())?;
    if is_within && let Some(body) = read_bounded(&mut stream, bytes_max).await? {
        return if is_gzip { inflate(&body, bytes_max) } else { Ok(body) };
    }
    drain(&mut stream).await;
    Err(ApiError::body_too_large(bytes_max))
}

/// Inflates a body, stopping at the limit: the runtime's own decoder inflates whole chunks, however large they become.
fn inflate(body: &[u8], bytes_max: u64) -> Result<Vec<u8>, ApiError> {
    let mut inflated = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(bytes_max + 1);
    decoder
        .read_to_end(&mut inflated)
        .map_err(|_| ApiError::new(Code::ContentEncodingInvalid, "the body is not gzip, or is cut short"))?;
    if inflated.len() as u64 > bytes_max { Err(ApiError::body_too_large(bytes_max)) } else { Ok(inflated) }
}

/// The bytes of a body; `None` as soon as it has more than `bytes_max`.
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
