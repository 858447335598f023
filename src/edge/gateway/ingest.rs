//! Carrying batches out: names to numbers, operations to shards.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use worker::Env;

use super::ask::ask_encoded;
use super::directory::{self, Event, Resolved, Target};
use crate::core::identity::Keys;
use crate::core::periods::day::Day;
use crate::core::requests::{Batch, NamespaceBatch};
use crate::core::settings::counters::{CounterSetting, CounterSettings};
use crate::core::settings::limits::FAN_OUT;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::wire::encode;
use crate::edge::http::error::ApiError;
use crate::messages::operations::{EventEntry, Operations};
use crate::messages::registry::{NameRefusal, Registrant};
use crate::messages::shard::{Apply, Fault};

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
        let today = clock::today();
        let (operations, new_goals) = operations(target, events, part, &config.counters, today);
        send(env, config, target, operations, events, today, fault).await?;
        if !new_goals.is_empty() {
            directory::list_goals(env, target, new_goals.into_iter().collect()).await?;
        }
    }
    refused.sort_unstable_by_key(|refused| refused.index);
    Ok(refused)
}

/// The operations of each shard, in the order of the batch and on positions in `events`, and the events that become goals.
/// Every shard learns of every new goal, at its place in the order.
fn operations(
    target: &Target,
    events: &[Result<Event, NameRefusal>],
    part: &NamespaceBatch,
    counters: &CounterSettings,
    today: Day,
) -> (Vec<Operations>, BTreeSet<u32>) {
    let mut shards = vec![Operations::default(); target.shards as usize];
    let mut new_goals = BTreeSet::new();
    for item in &part.items {
        let Some(&Ok(Event { number, is_goal, setting, .. })) = events.get(item.name as usize) else {
            continue;
        };
        if item.ensure_goal && !is_goal && new_goals.insert(number) {
            for shard in &mut shards {
                shard.push_goal(item.name);
            }
        }
        if let Some(shard) = shards.get_mut(item.user.shard(target.shards) as usize) {
            let is_weekly = setting.and_then(|index| counters.get(index)).is_some_and(CounterSetting::is_weekly);
            let week = if is_weekly { Some(item.week.unwrap_or_else(|| today.week())) } else { None };
            shard.push_record(item.name, item.user, item.value, week);
        }
    }
    (shards, new_goals)
}

/// Makes an event a goal on every shard, then in the registry.
///
/// # Errors
/// When a shard refuses it or cannot be reached; asking again is safe.
pub async fn add_goal(env: &Env, config: &Config, target: &Target, event: &Event) -> Result<(), ApiError> {
    let mut goal = Operations::default();
    goal.push_goal(0);
    let operations = vec![goal; target.shards as usize];
    send(env, config, target, operations, &[Ok(*event)], clock::today(), Fault::None).await?;
    directory::list_goals(env, target, vec![event.number]).await
}

/// Sends each shard its operations on `events`, with the limits that the settings of these give. Waits for all of them, also
/// where one fails: an error is the answer only once nothing is under way any more.
async fn send(
    env: &Env,
    config: &Config,
    target: &Target,
    operations: Vec<Operations>,
    events: &[Result<Event, NameRefusal>],
    today: Day,
    fault: Fault,
) -> Result<(), ApiError> {
    let entry = |event: &Result<Event, NameRefusal>, index| {
        // One that was refused keeps its position, and no operation is on it.
        let &Ok(Event { number, tag, setting, .. }) = event else {
            return EventEntry { number: u32::MAX, tag: 0, sizing: None };
        };
        let sizing = setting
            .and_then(|setting| config.counters.get(setting))
            .and_then(|setting| setting.sizing(config.users_per_event_max, index, target.shards));
        EventEntry { number, tag, sizing: sizing.map(|sizing| (sizing.users_max, sizing.false_positive_rate)) }
    };
    let requests = (0..).zip(operations).filter(|(_, operations)| !operations.is_empty()).map(|(index, operations)| {
        let question = encode(&Apply {
            unlink: target.unlink.to_bytes(),
            today: today.number(),
            limits: config.shard_limits(index, target.shards),
            events: events.iter().map(|event| entry(event, index)).collect(),
            operations,
            fault,
        });
        async move { ask_encoded::<Apply>(env, &target.shard_name(index), question).await }
    });
    let mut replies = stream::iter(requests).buffer_unordered(FAN_OUT);
    let mut worst = Ok(());
    while let Some(reply) = replies.next().await {
        worst = worst.and(reply);
    }
    worst
}
