//! Cross-origin requests of the pages that `ALLOWED_ORIGINS` names.

use worker::{Response, Result};

use crate::edge::host::config::Config;

/// Lets the page of this origin read the response, if it is one that may. What all may read stays so.
///
/// # Errors
/// When the runtime refuses a header.
pub fn allow(response: Response, config: &Config, origin: Option<&str>) -> Result<Response> {
    let headers = response.headers().clone();
    if config.allowed_origins.is_empty() || headers.has("access-control-allow-origin")? {
        return Ok(response);
    }
    headers.append("vary", "Origin")?;
    if let Some(origin) = origin.filter(|origin| is_allowed(config, origin)) {
        headers.set("access-control-allow-origin", origin)?;
        headers.set("access-control-allow-methods", "GET, HEAD, POST, DELETE, OPTIONS")?;
        headers.set("access-control-allow-headers", "authorization, content-type, content-encoding, if-none-match")?;
        headers.set(
            "access-control-expose-headers",
            "etag, retry-after, kimball-weeks, kimball-epoch, kimball-keep, kimball-plain",
        )?;
        headers.set("access-control-max-age", "86400")?;
    }
    Ok(response.with_headers(headers))
}

/// Whether pages of this origin may call.
pub fn is_allowed(config: &Config, origin: &str) -> bool {
    config.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin)
}
