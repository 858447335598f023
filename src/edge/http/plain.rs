//! Requests of pages that go: `text/plain`, so that no browser asks first whether they may be sent, with an ingest token in
//! the first line of the body and the JSON behind it. Only pages of an allowed origin may send them: the header `Origin`, which
//! no page can change, stands for the question.

use worker::Request;

use super::auth::Principal;
use super::body::essence;
use super::cors;
use super::error::ApiError;
use crate::api::code::Code;
use crate::edge::host::config::Config;

const CONTENT_TYPE: &str = "text/plain";

/// Whether a request is one. With a token in its headers it is like any other.
pub fn is_plain(request: &Request, config: &Config) -> bool {
    let header = |name| request.headers().get(name).ok().flatten();
    essence(&header("content-type").unwrap_or_default()).eq_ignore_ascii_case(CONTENT_TYPE)
        && header("authorization").is_none()
        && header("origin").is_some_and(|origin| cors::is_allowed(config, &origin))
}

/// Who sends this body, and the JSON in it.
///
/// # Errors
/// [`Code::BodyNotUtf8`] where the first line is no text.
pub fn open<'a>(body: &'a [u8], config: &Config) -> Result<(Principal, &'a [u8]), ApiError> {
    let end = body.iter().position(|&byte| byte == b'\n').unwrap_or(body.len());
    let (line, rest) = body.split_at(end);
    let token = std::str::from_utf8(line).map_err(|_| ApiError::new(Code::BodyNotUtf8, "the body is not UTF-8"))?;
    Ok((Principal::of_page(token.trim(), config), rest))
}
