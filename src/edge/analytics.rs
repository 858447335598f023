//! /v0/analytics: recording of events, and the numbers.

use futures_util::{StreamExt, stream};
use worker::Env;

use super::body::read_json;
use super::clock;
use super::config::Config;
use super::directory::{self, Namespace};
use super::error::ApiError;
use super::faults::Fault;
use super::keys::keys;
use super::message::{Apply, ShardReply, ShardRequest, ask};
use super::metrics::record as metrics;
use super::reports;
use super::response::Reply;
use super::routes::Call;
use crate::api::code::Code;
use crate::core::aggregator::Operation;
use crate::core::answer::Analytics;
use crate::core::cohort::Week;
use crate::core::counter_settings::CounterSetting;
use crate::core::identity::Keys;
use crate::core::limits::FAN_OUT;
use crate::core::request::{Batch, NamespaceBatch, namespace_of, parse_events};

/// Says of a batch that some of its events are of a later week than is taken: whoever has noted them as seen, as pages do,
/// has to forget that, because they may count once their week has come.
const WEEKS: &str = "kimball-weeks";

/// POST: records a batch.
///
/// # Errors
/// When the batch is malformed, refused, or could not be stored.
pub async fn record(call: Call<'_>) -> Result<Reply, ApiError> {
    let started_ms = clock::now_ms();
    // A request that cannot be parsed counts as one event.
    let mut events = 1;
    let recorded = record_batch(call, &mut events).await;
    match &recorded {
        Ok(_) => metrics::added(events, started_ms),
        Err(error) => metrics::refused(events, error.code),
    }
    recorded
}

async fn record_batch(mut call: Call<'_>, events: &mut u64) -> Result<Reply, ApiError> {
    let body = read_json(&mut call.request, call.config.request.body_bytes).await?;
    let keys = keys(call.env, call.config).await?;
    let batch = parse_events(&body, &keys, &call.config.request)?;
    drop(body);
    *events = batch.namespaces.iter().map(|namespace| namespace.items.len() as u64).sum();
    call.fault.strike_worker();
    if batch.namespaces.iter().any(|namespace| namespace.items.iter().any(|item| item.ensure_goal)) {
        call.principal.require_ensure_goal(call.config)?;
    }
    let latest_week = Some(Week::latest(clock::now_s()));
    let has_later = batch.namespaces.iter().flat_map(|part| &part.items).any(|item| item.week > latest_week);
    apply(call.env, call.config, &keys, &batch, call.fault).await?;
    let reply = Reply::no_content();
    Ok(if has_later { reply.header(WEEKS, "later") } else { reply })
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

/// Carries a batch out: names to numbers, operations to shards, and new goals to the registry last, so that a goal is
/// listed only once every shard records it.
///
/// # Errors
/// When a limit refuses it, or a shard or the registry cannot be reached.
pub async fn apply(env: &Env, config: &Config, keys: &Keys, batch: &Batch, fault: Fault) -> Result<(), ApiError> {
    let wanted: Vec<(&str, &[String])> =
        batch.namespaces.iter().map(|part| (part.namespace.as_str(), part.names.as_slice())).collect();
    let namespaces = directory::resolve(env, keys, &wanted).await?;
    for (namespace, part) in namespaces.iter().zip(&batch.namespaces) {
        let settings: Vec<_> = part.names.iter().map(|name| config.counters.of(name)).collect();
        let (operations, new_goals) = operations(namespace, part, &settings);
        let events = part.names.iter().map(|name| namespace.event(name)).zip(settings);
        let set = events.filter_map(|(event, setting)| Some((event?.event, setting?))).collect();
        send(env, config, namespace, operations, set, fault).await?;
        if !new_goals.is_empty() {
            directory::mark_goals(env, keys, namespace, new_goals).await?;
        }
    }
    Ok(())
}

/// The operations of each shard, in the order of the batch, and the events that become goals. Every shard learns of
/// every new goal, at its place in the order. `settings` are those of the batch's names.
fn operations(
    namespace: &Namespace,
    part: &NamespaceBatch,
    settings: &[Option<&CounterSetting>],
) -> (Vec<Vec<Operation>>, Vec<u32>) {
    let mut shards = vec![Vec::new(); namespace.shards as usize];
    let mut new_goals = Vec::new();
    let names = part.names.iter().zip(settings);
    let events: Vec<_> = names
        .map(|(name, setting)| Some((namespace.event(name)?, setting.is_some_and(CounterSetting::is_weekly))))
        .collect();
    let present_week = Week::of_unix_s(clock::now_s());
    for item in &part.items {
        let Some((event, is_weekly)) = events.get(item.name as usize).copied().flatten() else {
            continue;
        };
        if item.ensure_goal && !namespace.is_goal(event.event) && !new_goals.contains(&event.event) {
            new_goals.push(event.event);
            for shard in &mut shards {
                shard.push(Operation::Goal { event: event.event, tag: event.tag });
            }
        }
        if let Some(shard) = shards.get_mut(item.user.shard(namespace.shards) as usize) {
            let week = if is_weekly { item.week.or(present_week) } else { None };
            let (user, value) = (item.user, item.value);
            shard.push(Operation::Record { event: event.event, tag: event.tag, user, value, week });
        }
    }
    (shards, new_goals)
}

/// Makes an event a goal on every shard, then in the registry.
///
/// # Errors
/// When a shard refuses it or cannot be reached; asking again is safe.
pub async fn add_goal(
    env: &Env,
    config: &Config,
    keys: &Keys,
    namespace: &Namespace,
    name: &str,
) -> Result<(), ApiError> {
    let Some(event) = namespace.event(name) else {
        return Err(ApiError::new(Code::StorageUnavailable, "the registry did not name the goal"));
    };
    let goal = Operation::Goal { event: event.event, tag: event.tag };
    let operations = vec![vec![goal]; namespace.shards as usize];
    let settings = config.counters.of(name).map(|setting| (event.event, setting)).into_iter().collect();
    send(env, config, namespace, operations, settings, Fault::None).await?;
    directory::mark_goals(env, keys, namespace, vec![event.event]).await
}

/// Sends each shard its operations, with the limits that the settings of their events give. Waits for all of them,
/// whatever becomes of any: an error is the answer only once nothing is under way any more.
async fn send(
    env: &Env,
    config: &Config,
    namespace: &Namespace,
    operations: Vec<Vec<Operation>>,
    settings: Vec<(u32, &CounterSetting)>,
    fault: Fault,
) -> Result<(), ApiError> {
    let latest_week = Week::latest(clock::now_s());
    let requests = (0..).zip(operations).filter(|(_, operations)| !operations.is_empty()).map(|(index, operations)| {
        let mut limits = config.shard_limits(index, namespace.shards);
        limits.latest_week = latest_week;
        limits.sizings = settings
            .iter()
            .filter_map(|&(event, setting)| {
                Some((event, setting.sizing(config.users_per_event_max, index, namespace.shards)?))
            })
            .collect();
        let unlink = namespace.unlink;
        let request = ShardRequest::Apply(Apply { unlink, limits, operations, fault });
        async move { ask::<_, ShardReply>(env, "SHARD", &namespace.shard_name(index), &request).await }
    });
    let mut replies = stream::iter(requests).buffer_unordered(FAN_OUT);
    let mut worst = Ok(());
    while let Some(reply) = replies.next().await {
        worst = worst.and(reply.map(|_| ()));
    }
    worst
}
