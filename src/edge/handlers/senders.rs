//! What the SDKs of others send: Segment's and what speaks like it, `PostHog`'s. One handler for all of their paths; what differs is a
//! [`Dialect`] in the table of routes: how bodies are read, and what answers look like.
//!
//! The credential of each is an ingest token: as the user of `Authorization: Basic`, as `X-API-Key`, or in the body, which is read before
//! it is known whose it is. Statuses are what makes these SDKs do right: they send again what is answered with 429 or 5xx, so what no
//! repetition mends is 400 here, however it is answered elsewhere.

use worker::Request;

use crate::api::code::Code;
use crate::api::routes::Scope;
use crate::core::answers::short::{PostHogError, PostHogTaken, RefusedEvent, SegmentError, SegmentTaken};
use crate::core::requests::{BadRequest, Dialect, SenderOptions, decode_base64, namespace_of, parse_sent};
use crate::edge::gateway::ingest;
use crate::edge::gateway::keys::keys;
use crate::edge::host::clock;
use crate::edge::host::record as metrics;
use crate::edge::http::auth::Principal;
use crate::edge::http::body::read_sent;
use crate::edge::http::call::Call;
use crate::edge::http::cors;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;

/// POST: records what counts of a call or a batch of them.
///
/// # Errors
/// Never but for an answer that cannot be made: errors are answered in the words of the dialect.
pub async fn record(call: Call<'_>, dialect: Dialect) -> Result<Reply, ApiError> {
    let started_ms = clock::now_ms();
    match take(call, dialect).await {
        Ok(Taken { events, refused }) => {
            metrics::added(events, started_ms);
            for error in &refused {
                metrics::refused(1, error.code);
            }
            match refused.first() {
                Some(first) if events == 0 => fail(first, dialect),
                _ => succeed(&refused, dialect),
            }
        }
        Err(error) => {
            metrics::refused(1, error.code);
            fail(&error, dialect)
        }
    }
}

/// How many events were taken, and what was wrong with the others.
struct Taken {
    events: u64,
    refused: Vec<ApiError>,
}

async fn take(call: Call<'_>, dialect: Dialect) -> Result<Taken, ApiError> {
    refuse_other_pages(&call)?;
    let body = read_sent(&call.request, call.config).await?;
    let keys = keys(call.env, call.config).await?;
    let path = call.request.path();
    let options = SenderOptions {
        dialect,
        kind: path.trim_end_matches('/').rsplit('/').next().unwrap_or_default(),
        namespace: namespace_of(&call.query, &call.config.request)?,
        now_s: clock::now_s(),
        counts_pages: call.config.counts_pages,
    };
    let parse = async |body: &[u8]| parse_sent(body, options, &keys, &call.config.request);
    let parsed = body.parse(parse, |sent| sent.batch.bytes_in_flight()).await;
    // Who is not known learns nothing about what was sent.
    let credential = parsed.as_ref().ok().and_then(|(sent, _)| sent.credential.clone());
    let principal = principal(&call, credential.as_deref())?;
    let (sent, _lease) = parsed?;
    call.fault.strike_worker();
    let applied = ingest::apply(call.env, call.config, &keys, &sent.batch, principal.registrant(), call.fault).await?;
    let names = applied.refused.iter().map(|refused| {
        let (code, what) = refused.refusal.parts();
        ApiError::new(code, what).of_event(refused.index)
    });
    let taken = sent.batch.events() - applied.refused.len() as u64;
    let refused = sent.refused.into_iter().map(BadRequest::into).chain(names).collect();
    Ok(Taken { events: taken, refused })
}

/// A page may send bodies that no browser asks about first. Those that may at all are of an allowed origin.
fn refuse_other_pages(call: &Call<'_>) -> Result<(), ApiError> {
    let origin = call.request.headers().get("origin").ok().flatten();
    match origin {
        Some(origin) if !cors::is_allowed(call.config, &origin) => Err(ApiError::new(
            Code::Forbidden,
            "pages of this origin may not send events; ALLOWED_ORIGINS names those that may",
        )),
        _ => Ok(()),
    }
}

/// Who sends this: the caller that its headers name, or its body.
fn principal(call: &Call<'_>, credential: Option<&str>) -> Result<Principal, ApiError> {
    let by_bearer = call.principal;
    let given = header_credential(&call.request);
    let by_key = Principal::of_page(given.as_deref().or(credential).unwrap_or_default(), call.config);
    let Err(error) = by_bearer.require(Scope::Ingest) else {
        return Ok(by_bearer);
    };
    by_key.require(Scope::Ingest).map(|()| by_key).map_err(|_| match error.code {
        Code::Unauthorized => ApiError::new(
            Code::Unauthorized,
            "this needs an ingest token as write key: in the body, as X-API-Key, or as the user of Authorization: Basic",
        ),
        // Known, and not for sending.
        _ => error,
    })
}

/// The key in a header: of Basic the user, whose password is empty.
fn header_credential(request: &Request) -> Option<String> {
    let header = |name| request.headers().get(name).ok().flatten();
    let basic = header("authorization").and_then(|value| {
        let (scheme, encoded) = value.trim().split_once(' ')?;
        let decoded = decode_base64(encoded.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(decoded).ok()?;
        Some(text.split(':').next().unwrap_or_default().to_owned())
    });
    basic.or_else(|| header("x-api-key"))
}

fn succeed(refused: &[ApiError], dialect: Dialect) -> Result<Reply, ApiError> {
    let refused = refused.iter().map(ApiError::refused_event).collect::<Vec<RefusedEvent<'_>>>();
    match dialect {
        Dialect::Segment => Reply::json(&SegmentTaken { success: true, refused }),
        Dialect::PostHog => Reply::json(&PostHogTaken { status: 1, refused }),
    }
}

fn fail(error: &ApiError, dialect: Dialect) -> Result<Reply, ApiError> {
    let fields = error.body().error;
    let reply = match dialect {
        Dialect::Segment => Reply::json(&SegmentError { success: false, message: error.what(), error: fields })?,
        Dialect::PostHog => {
            let detail = error.what();
            Reply::json(&PostHogError {
                kind: "invalid_request",
                code: error.code.parts().1,
                detail,
                attr: None,
                error: fields,
            })?
        }
    };
    Ok(Reply::error(error).with_body_of(reply).with_status(error.code.sender_status()))
}
