//! /v0/analytics: recording of events, and the numbers.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use worker::Env;

use super::body::read_json;
use super::clock;
use super::config::Config;
use super::directory::{self, Event, Resolved, Target};
use super::error::ApiError;
use super::exchange::{ask_encoded, encode};
use super::faults::Fault;
use super::keys::keys;
use super::message::{Apply, NameRefusal, Registrant, ShardReply, ShardRequest};
use super::metrics::record as metrics;
use super::reports;
use super::response::Reply;
use super::routes::Call;
use crate::api::answer::{ErrorFields, Recorded, RefusedEvent};
use crate::api::code::Code;
use crate::core::aggregator::Operation;
use crate::core::answer::Analytics;
use crate::core::cohort::Week;
use crate::core::counter_settings::{CounterSetting, CounterSettings};
use crate::core::identity::Keys;
use crate::core::limits::FAN_OUT;
use crate::core::request::{Batch, NamespaceBatch, namespace_of, parse_events};

const DAY_S: i64 = 86_400;
/// Says of a batch that some of its events are of a later week than is taken: whoever has noted them as seen, as pages do,
/// has to forget that, because they may count once their week has come.
const WEEKS: &str = "kimball-weeks";

/// POST: records a batch.
///
/// # Errors
/// When the batch is malformed, refused as a whole, or could not be stored.
pub async fn record(call: Call<'_>) -> Result<Reply, ApiError> {
    let started_ms = clock::now_ms();
    // A request that cannot be parsed counts as one event.
    let mut events = 1;
    match record_batch(call, &mut events).await {
        Ok((refused, has_later)) => {
            metrics::added(events - refused.len() as u64, started_ms);
            for refused in &refused {
                metrics::refused(1, refused.refusal.parts().0);
            }
            let reply = answer(events, &refused)?;
            Ok(if has_later { reply.header(WEEKS, "later") } else { reply })
        }
        Err(error) => {
            metrics::refused(events, error.code);
            Err(error)
        }
    }
}

async fn record_batch(call: Call<'_>, events: &mut u64) -> Result<(Vec<Refused>, bool), ApiError> {
    let body = read_json(&call.request, call.config).await?;
    let keys = keys(call.env, call.config).await?;
    let (batch, _lease) = body.parse(|body| parse_events(body, &keys, &call.config.request), Batch::bytes_in_flight)?;
    *events = batch.events();
    call.fault.strike_worker();
    if batch.namespaces.iter().any(|namespace| namespace.items.iter().any(|item| item.ensure_goal)) {
        call.principal.require_ensure_goal(call.config)?;
    }
    let latest_week = Some(Week::latest(clock::now_s()));
    let has_later = batch.namespaces.iter().flat_map(|part| &part.items).any(|item| item.week > latest_week);
    let refused = apply(call.env, call.config, &keys, &batch, call.principal.registrant(), call.fault).await?;
    Ok((refused, has_later))
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
    match reports::fetch(call.env, &keys, name).await? {
        Some((namespace, report)) => Reply::json(&Analytics::of(&report, &namespace.names, combinations_max)?),
        None => Reply::json(&Analytics { counts: Vec::new(), users: 0 }),
    }
}

/// An event that was not recorded, while others of its batch may have been.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// Its position in the batch.
    pub index: u32,
    /// Why.
    pub refusal: NameRefusal,
}

/// Carries a batch out: names to numbers, operations to shards, and new goals to the registry last, so that a goal is
/// listed only once every shard records it. Answers the events that were left out for their names, ascending.
///
/// # Errors
/// When a limit refuses it, or a shard or the registry cannot be reached.
pub async fn apply(
    env: &Env,
    config: &Config,
    keys: &Keys,
    batch: &Batch,
    registrant: Registrant,
    fault: Fault,
) -> Result<Vec<Refused>, ApiError> {
    let wanted: Vec<(&str, &[String])> =
        batch.namespaces.iter().map(|part| (part.namespace.as_str(), part.names.as_slice())).collect();
    let resolved = directory::resolve(env, config, keys, &wanted, registrant).await?;
    let mut refused = Vec::new();
    let mut is_first = true;
    for (Resolved { target, events }, part) in resolved.iter().zip(&batch.namespaces) {
        refused.extend(part.items.iter().filter_map(|item| {
            let refusal = events.get(item.name as usize)?.err()?;
            Some(Refused { index: item.index, refusal })
        }));
        let Some(target) = target else {
            continue;
        };
        // A batch of many namespaces is as many calls: between them others get their turn.
        if !std::mem::take(&mut is_first) {
            clock::let_others_in().await;
        }
        let (operations, new_goals) = operations(target, events, part, &config.counters);
        send(env, config, target, operations, events.iter().flatten(), fault).await?;
        if !new_goals.is_empty() {
            directory::mark_goals(env, target, new_goals.into_iter().collect()).await?;
        }
    }
    refused.sort_unstable_by_key(|refused| refused.index);
    Ok(refused)
}

/// The operations of each shard, in the order of the batch, and the events that become goals. Every shard learns of
/// every new goal, at its place in the order.
fn operations(
    target: &Target,
    events: &[Result<Event, NameRefusal>],
    part: &NamespaceBatch,
    counters: &CounterSettings,
) -> (Vec<Vec<Operation>>, BTreeSet<u32>) {
    let mut shards = vec![Vec::new(); target.shards as usize];
    let mut new_goals = BTreeSet::new();
    let present_week = Week::of_unix_s(clock::now_s());
    for item in &part.items {
        let Some(&Ok(Event { number: event, tag, is_goal, setting })) = events.get(item.name as usize) else {
            continue;
        };
        if item.ensure_goal && !is_goal && new_goals.insert(event) {
            for shard in &mut shards {
                shard.push(Operation::Goal { event, tag });
            }
        }
        if let Some(shard) = shards.get_mut(item.user.shard(target.shards) as usize) {
            let is_weekly = setting.and_then(|index| counters.get(index)).is_some_and(CounterSetting::is_weekly);
            let week = if is_weekly { item.week.or(present_week) } else { None };
            let (user, value) = (item.user, item.value);
            shard.push(Operation::Record { event, tag, user, value, week });
        }
    }
    (shards, new_goals)
}

/// Makes an event a goal on every shard, then in the registry.
///
/// # Errors
/// When a shard refuses it or cannot be reached; asking again is safe.
pub async fn add_goal(env: &Env, config: &Config, target: &Target, event: &Event) -> Result<(), ApiError> {
    let goal = Operation::Goal { event: event.number, tag: event.tag };
    let operations = vec![vec![goal]; target.shards as usize];
    send(env, config, target, operations, std::iter::once(event), Fault::None).await?;
    directory::mark_goals(env, target, vec![event.number]).await
}

/// Sends each shard its operations, with the limits that the settings of their events give. Waits for all of them, also
/// where one fails: an error is the answer only once nothing is under way any more.
async fn send<'a>(
    env: &Env,
    config: &Config,
    target: &Target,
    operations: Vec<Vec<Operation>>,
    events: impl Iterator<Item = &'a Event>,
    fault: Fault,
) -> Result<(), ApiError> {
    let settings: Vec<(u32, &CounterSetting)> =
        events.filter_map(|event| Some((event.number, config.counters.get(event.setting?)?))).collect();
    let latest_week = Week::latest(clock::now_s());
    let requests = (0..).zip(operations).filter(|(_, operations)| !operations.is_empty()).map(|(index, operations)| {
        let mut limits = config.shard_limits(index, target.shards);
        limits.latest_week = latest_week;
        limits.sizings = settings
            .iter()
            .filter_map(|&(event, setting)| {
                Some((event, setting.sizing(config.users_per_event_max, index, target.shards)?))
            })
            .collect();
        let unlink = target.unlink;
        let request = ShardRequest::Apply(Apply { unlink, limits, operations, fault });
        async move {
            let question = encode(&request);
            drop(request);
            ask_encoded::<ShardReply>(env, "SHARD", &target.shard_name(index), question).await
        }
    });
    let mut replies = stream::iter(requests).buffer_unordered(FAN_OUT);
    let mut worst = Ok(());
    while let Some(reply) = replies.next().await {
        worst = worst.and(reply.map(|_| ()));
    }
    worst
}
