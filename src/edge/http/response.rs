//! Responses before they belong to the runtime.

use std::hash::Hasher;

use serde::Serialize;
use siphasher::sip128::{Hasher128, SipHasher24};
use worker::{Headers, Response, ResponseBuilder, Result};

use super::error::ApiError;
use crate::api::code::Code;
use crate::core::requests::has_entity_tag;
use crate::core::settings::limits::RETRY_AFTER_S;

/// A response: status, headers, body.
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

enum Body {
    None,
    Bytes(Vec<u8>),
    /// Of another response, which is streamed and keeps its headers.
    Of(Response),
}

impl Reply {
    /// 204, without a body.
    pub const fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Body::None }
    }

    /// 200 with JSON.
    ///
    /// # Errors
    /// When the value cannot be JSON.
    pub fn json(value: &impl Serialize) -> std::result::Result<Self, ApiError> {
        let body = serde_json::to_vec(value)
            .map_err(|error| ApiError::storage(&worker::Error::from(format!("an answer is not JSON: {error}"))))?;
        Ok(Self { status: 200, headers: Vec::new(), body: Body::Bytes(body) }
            .header("content-type", "application/json"))
    }

    /// The same with another status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// 200 with plain text.
    pub fn text(text: &str) -> Self {
        let reply = Self { status: 200, headers: Vec::new(), body: Body::Bytes(text.as_bytes().to_vec()) };
        reply.header("content-type", "text/plain; charset=utf-8")
    }

    /// 200 with metrics.
    pub fn metrics(text: String) -> Self {
        let reply = Self { status: 200, headers: Vec::new(), body: Body::Bytes(text.into_bytes()) };
        reply.header("content-type", "text/plain; version=0.0.4; charset=utf-8")
    }

    /// The same with the body of another.
    #[must_use]
    pub fn with_body_of(self, other: Self) -> Self {
        Self { body: other.body, ..self }
    }

    /// The status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What another Worker answered.
    pub fn forwarded(response: Response) -> Self {
        Self { status: response.status_code(), headers: Vec::new(), body: Body::Of(response) }
    }

    /// What a path takes.
    pub fn options(allow: &str) -> Self {
        Self::no_content().header("allow", allow)
    }

    /// An error.
    pub fn error(error: &ApiError) -> Self {
        let body = serde_json::to_vec(&error.body()).unwrap_or_default();
        let reply = Self { status: error.code.parts().0, headers: Vec::new(), body: Body::Bytes(body) }
            .header("content-type", "application/json");
        match error.code {
            Code::Unauthorized => reply.header("www-authenticate", "Bearer"),
            _ if reply.status == 503 => reply.header("retry-after", &RETRY_AFTER_S.to_string()),
            _ => reply,
        }
    }

    /// The same with an entity tag; or 304 without a body, where the client's `If-None-Match` has that tag
    /// (RFC 9110, 13.1.2). Anything but 200 stays as it is.
    #[must_use]
    pub fn conditional(self, if_none_match: Option<&str>) -> Self {
        let (200, Body::Bytes(body)) = (self.status, &self.body) else {
            return self;
        };
        let mut hasher = SipHasher24::new();
        hasher.write(body);
        let tag = format!("{:032x}", hasher.finish128().as_u128());
        let is_known = if_none_match.is_some_and(|known| has_entity_tag(known, &tag));
        let reply = if is_known { Self { status: 304, headers: Vec::new(), body: Body::None } } else { self };
        reply.header("etag", &format!("\"{tag}\"")).header("cache-control", "private, no-cache")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Hands the response to the runtime.
    ///
    /// # Errors
    /// When the runtime refuses it.
    pub fn into_response(self) -> Result<Response> {
        let headers = match &self.body {
            Body::Of(response) => response.headers().clone(),
            _ => Headers::new(),
        };
        if let Body::Bytes(_) = self.body {
            headers.set("cache-control", "no-store")?;
            headers.set("x-content-type-options", "nosniff")?;
        }
        for (name, value) in &self.headers {
            headers.set(name, value)?;
        }
        let builder = ResponseBuilder::new().with_status(self.status).with_headers(headers.clone());
        Ok(match self.body {
            Body::Bytes(body) => builder.fixed(body),
            Body::None => builder.empty(),
            Body::Of(response) => response.with_headers(headers),
        })
    }
}

/// The answer to HEAD: the same without the body.
pub fn without_body(response: &Response) -> Response {
    ResponseBuilder::new().with_status(response.status_code()).with_headers(response.headers().clone()).empty()
}
