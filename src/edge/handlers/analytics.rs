//! /v0/analytics: recording of events, and the numbers.

use crate::api::code::Code;
use crate::api::routes::Scope;
use crate::core::answers::analytics::Analytics;
use crate::core::answers::short::{ErrorFields, Recorded, RefusedEvent};
use crate::core::identity::Keys;
use crate::core::periods::period::{Period, Unit};
use crate::core::requests::{BadRequest, Batch, EventReader, namespace_of};
use crate::core::settings::limits::{
    BODY_AT_ONCE_BYTES, BODY_STEP_BYTES, EVENTS_PER_TURN, PLAIN_BODY_BYTES, RequestLimits,
};
use crate::edge::gateway::ingest::{self, Applied, Refused};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::reports;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::record as metrics;
use crate::edge::http::body::{read_json, read_plain};
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::plain;
use crate::edge::http::response::Reply;

const DAY_S: i64 = 86_400;
/// Says of a batch that some of its events are of a later day than is taken: whoever has noted them as seen, as pages do,
/// has to forget that, because they may count once their day or week has come.
const WEEKS: &str = "kimball-weeks";
/// What a page has to pass on, on which day: all that this server counts.
const KEEP: &str = "kimball-keep";
/// Rises when something is deleted or older state accepted: whoever has noted what was sent, as pages do, has to forget that.
const EPOCH: &str = "kimball-epoch";
/// Says that pages may send what they have left as they go, and how many bytes ([`plain`]).
const PLAIN: &str = "kimball-plain";

/// POST: records a batch.
///
/// # Errors
/// When the batch is malformed, refused as a whole, or could not be stored.
pub async fn record(call: Call<'_>) -> Result<Reply, ApiError> {
    let started_ms = clock::now_ms();
    let keep = keep(call.config);
    // A request that cannot be parsed counts as one event.
    let mut events = 1;
    match record_batch(call, &mut events).await {
        Ok((Applied { refused, epoch }, has_later)) => {
            metrics::added(events - refused.len() as u64, started_ms);
            for refused in &refused {
                metrics::refused(1, refused.refusal.parts().0);
            }
            let reply = answer(events, &refused)?.header(EPOCH, &epoch.to_string()).header(KEEP, &keep);
            let reply = reply.header(PLAIN, &PLAIN_BODY_BYTES.to_string());
            Ok(if has_later { reply.header(WEEKS, "later") } else { reply })
        }
        Err(error) => {
            metrics::refused(events, error.code);
            Err(error)
        }
    }
}

/// A level and the present day: first occurrences of days where days are counted, else of weeks.
fn keep(config: &Config) -> String {
    let level = if config.has_series() { "day" } else { "week" };
    format!("{level}; day={}", Period::of(Unit::Day, clock::today()))
}

async fn record_batch(call: Call<'_>, events: &mut u64) -> Result<(Applied, bool), ApiError> {
    let body = if call.is_plain {
        read_plain(&call.request, call.config).await
    } else {
        read_json(&call.request, call.config).await
    };
    let body = body?;
    let keys = keys(call.env, call.config).await?;
    let parse = async |body: &[u8]| {
        let (principal, json) = if call.is_plain { plain::open(body, call.config)? } else { (call.principal, body) };
        principal.require(Scope::Ingest)?;
        let batch = parse_events(json, &keys, &call.config.request).await?;
        Ok::<_, ApiError>((principal, batch))
    };
    let ((principal, batch), _lease) = body.parse(parse, |(_, batch)| batch.bytes_in_flight()).await?;
    *events = batch.events();
    // To read a large batch and to carry it out are two stretches, not one.
    if *events > EVENTS_PER_TURN {
        clock::let_others_in().await;
    }
    call.fault.strike_worker();
    if batch.namespaces.iter().any(|namespace| namespace.items.iter().any(|item| item.ensure_goal)) {
        principal.require_ensure_goal(call.config)?;
    }
    let latest = Some(clock::today().plus(1));
    let has_later = batch.namespaces.iter().flat_map(|part| &part.items).any(|item| item.day > latest);
    let applied = ingest::apply(call.env, call.config, &keys, &batch, principal.registrant(), call.fault).await?;
    metrics::kept(batch.kept);
    Ok((applied, has_later))
}

/// Reads a batch; a large one in steps, between which others get their turn.
async fn parse_events(body: &[u8], keys: &Keys, limits: &RequestLimits) -> Result<Batch, BadRequest> {
    let mut reader = EventReader::new(body, keys, limits)?;
    let step = if body.len() > BODY_AT_ONCE_BYTES { BODY_STEP_BYTES } else { usize::MAX };
    while reader.step(step)? {
        clock::let_others_in().await;
    }
    Ok(reader.finish())
}

/// 204 where all was taken, else what was not; an error's status where nothing was.
fn answer(events: u64, refused: &[Refused]) -> Result<Reply, ApiError> {
    let Some(first) = refused.first() else {
        return Ok(Reply::no_content());
    };
    let list = refused.iter().map(|Refused { index, refusal }| {
        let (code, what) = refusal.parts();
        RefusedEvent { index: *index, code: code.parts().1, what }
    });
    let taken = events - refused.len() as u64;
    let mut answer = Recorded { error: None, taken, refused: list.collect() };
    if taken > 0 {
        return Reply::json(&answer);
    }
    // That of the day's quota only where time alone mends it for all.
    let unlike_quota = refused.iter().find(|refused| refused.refusal.parts().0 != Code::Quota);
    let refusal = unlike_quota.unwrap_or(first).refusal;
    let (code, what) = refusal.parts();
    let (status, code) = code.parts();
    answer.error = Some(ErrorFields { what, code, index: None, field: None, limit: None, value: None });
    let reply = Reply::json(&answer)?.with_status(status);
    let day_ends_s = DAY_S - clock::now_s().rem_euclid(DAY_S);
    Ok(if unlike_quota.is_none() { reply.header("retry-after", &day_ends_s.to_string()) } else { reply })
}

/// GET: the numbers of a namespace.
///
/// # Errors
/// When a shard cannot be read: never a part of the numbers.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = namespace_of(&call.query, &call.config.request)?;
    let keys = keys(call.env, call.config).await?;
    let combinations_max = call.config.combinations_per_goal_max as usize;
    match reports::fetch(call.env, call.config, &keys, name).await? {
        Some((namespace, gated)) => Reply::json(&Analytics::of(&gated, &namespace.names, combinations_max)?),
        None => Reply::json(&Analytics::empty(reports::gate(call.config, None))),
    }
}
