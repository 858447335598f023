//! Carrying batches out: names to numbers, operations to shards.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use worker::Env;

use super::ask::ask;
use super::directory::{self, Event, Resolved, Sent, Target, Wanted};
use crate::core::identity::Keys;
use crate::core::periods::day::Day;
use crate::core::requests::{Batch, NamespaceBatch};
use crate::core::settings::counters::{CounterSetting, CounterSettings};
use crate::core::settings::limits::{FAN_OUT, INCARNATION_TRIES};
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::wire::encode;
use crate::edge::http::error::ApiError;
use crate::messages::Failure;
use crate::messages::operations::{EventEntry, Operations, Series};
use crate::messages::registry::{NameRefusal, Registrant};
use crate::messages::shard::{Apply, Injection};

/// An event that was not recorded, while others of its batch may have been.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// Its position in the batch.
    pub index: u32,
    /// Why.
    pub refusal: NameRefusal,
}

/// What became of a batch that was carried out.
pub struct Applied {
    /// The events that were left out for their names, ascending.
    pub refused: Vec<Refused>,
    /// The greatest incarnation of its namespaces: it rises when something is deleted.
    pub epoch: u64,
}

/// Carries a batch out: names to numbers, operations to shards, and new goals to the registry last, so that a goal is
/// listed only once every shard records it.
///
/// # Errors
/// When a limit refuses it, or a shard or the registry cannot be reached.
pub async fn apply(
    env: &Env,
    config: &Config,
    keys: &Keys,
    batch: &Batch,
    registrant: Registrant,
    fault: Injection,
) -> Result<Applied, ApiError> {
    let wanted: Vec<Wanted<'_>> = batch.namespaces.iter().map(wanted_of).collect();
    let resolved = directory::resolve(env, config, keys, &wanted, registrant).await?;
    let mut applied = Applied { refused: Vec::new(), epoch: 0 };
    for (at, (mut resolved, part)) in resolved.into_iter().zip(&batch.namespaces).enumerate() {
        // A batch of many namespaces is as many calls: between them others get their turn.
        if at > 0 {
            clock::let_others_in().await;
        }
        let mut tries = 0;
        while let Sent::OtherIncarnation = apply_part(env, config, &resolved, part, fault).await? {
            resolved = renewed(env, config, keys, wanted_of(part), registrant, &mut tries).await?;
        }
        applied.refused.extend(part.items.iter().filter_map(|item| {
            let refusal = resolved.events.get(item.name as usize)?.err()?;
            Some(Refused { index: item.index, refusal })
        }));
        applied.epoch = applied.epoch.max(resolved.target.as_ref().map_or(0, |target| target.incarnation));
    }
    applied.refused.sort_unstable_by_key(|refused| refused.index);
    Ok(applied)
}

/// The names of a batch's part, and the days that its events say.
fn wanted_of(part: &NamespaceBatch) -> Wanted<'_> {
    let days = || part.items.iter().filter_map(|item| item.day);
    let days = days().min().zip(days().max()).map(|(first, last)| (first.number(), last.number()));
    Wanted { namespace: &part.namespace, names: &part.names, days }
}

/// The numbers of names in the present incarnation of their namespace, after what was sent was of another one.
async fn renewed(
    env: &Env,
    config: &Config,
    keys: &Keys,
    wanted: Wanted<'_>,
    registrant: Registrant,
    tries: &mut u32,
) -> Result<Resolved, ApiError> {
    *tries += 1;
    if *tries == INCARNATION_TRIES {
        return Err(ApiError::storage(&"a namespace changes faster than it can be written to".into()));
    }
    directory::forget(wanted.namespace);
    resolve_one(env, config, keys, wanted, registrant).await
}

async fn resolve_one(
    env: &Env,
    config: &Config,
    keys: &Keys,
    wanted: Wanted<'_>,
    registrant: Registrant,
) -> Result<Resolved, ApiError> {
    let resolved = directory::resolve(env, config, keys, &[wanted], registrant).await?;
    resolved.into_iter().next().ok_or_else(|| ApiError::storage(&"no names were resolved".into()))
}

async fn apply_part(
    env: &Env,
    config: &Config,
    Resolved { target, events }: &Resolved,
    part: &NamespaceBatch,
    fault: Injection,
) -> Result<Sent, ApiError> {
    let Some(target) = target else {
        return Ok(Sent::Done);
    };
    let today = target.today();
    let (operations, new_goals) = operations(target, events, part, &config.counters, today);
    let sent = send(env, config, target, operations, events, fault).await;
    if new_goals.is_empty() || matches!(sent, Ok(Sent::OtherIncarnation)) {
        return sent;
    }
    if sent.is_err() {
        // Some shards may have taken the goals with their events, and one has refused both. No shard refuses goals alone.
        let goals = goals_only(target, events, &new_goals);
        if let Sent::OtherIncarnation = send(env, config, target, goals, events, fault).await? {
            return sent;
        }
    }
    match directory::list_goals(env, target, new_goals.into_iter().collect()).await? {
        Sent::Done => sent,
        Sent::OtherIncarnation => sent.map(|_| Sent::OtherIncarnation),
    }
}

/// Operations that make these events goals on every shard.
fn goals_only(target: &Target, events: &[Result<Event, NameRefusal>], goals: &BTreeSet<u32>) -> Vec<Operations> {
    let mut operations = Operations::default();
    for (position, event) in (0..).zip(events) {
        if event.is_ok_and(|event| goals.contains(&event.number)) {
            operations.push_goal(position);
        }
    }
    vec![operations; target.shards as usize]
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
            let day = item.day.filter(|&day| day != today);
            shard.push_record(item.name, item.user, item.value, is_weekly, day);
        }
    }
    (shards, new_goals)
}

/// Makes an event a goal on every shard, then in the registry.
///
/// # Errors
/// When a limit refuses it, or a shard or the registry cannot be reached; asking again is safe.
pub async fn add_goal(
    env: &Env,
    config: &Config,
    keys: &Keys,
    namespace: &str,
    name: &str,
    registrant: Registrant,
) -> Result<(), ApiError> {
    let names = [name.to_owned()];
    let wanted = Wanted { namespace, names: &names, days: None };
    let mut resolved = resolve_one(env, config, keys, wanted, registrant).await?;
    let mut tries = 0;
    while let Sent::OtherIncarnation = make_goal(env, config, &resolved).await? {
        resolved = renewed(env, config, keys, wanted, registrant, &mut tries).await?;
    }
    Ok(())
}

async fn make_goal(env: &Env, config: &Config, Resolved { target, events }: &Resolved) -> Result<Sent, ApiError> {
    let (Some(target), Some(Ok(event))) = (target, events.first()) else {
        return Err(ApiError::storage(&"the registry did not name the goal".into()));
    };
    let goal = goals_only(target, events, &BTreeSet::from([event.number]));
    match send(env, config, target, goal, events, Injection::None).await? {
        Sent::Done => directory::list_goals(env, target, vec![event.number]).await,
        Sent::OtherIncarnation => Ok(Sent::OtherIncarnation),
    }
}

/// Sends each shard its operations on `events`, with the limits that the settings of these give. Waits for all of them, also
/// where one fails: an error is the answer only once nothing is under way any more.
async fn send(
    env: &Env,
    config: &Config,
    target: &Target,
    operations: Vec<Operations>,
    events: &[Result<Event, NameRefusal>],
    fault: Injection,
) -> Result<Sent, ApiError> {
    let today = target.today();
    let entry = |event: &Result<Event, NameRefusal>, index| {
        // One that was refused keeps its position, and no operation is on it.
        let &Ok(Event { number, tag, setting, series, .. }) = event else {
            return EventEntry { number: u32::MAX, tag: 0, sizing: None, series: Series::default() };
        };
        let sizing = setting
            .and_then(|setting| config.counters.get(setting))
            .and_then(|setting| setting.sizing(config.users_per_event_max, index, target.shards));
        let sizing = sizing.map(|sizing| (sizing.users_max, sizing.false_positive_rate));
        EventEntry { number, tag, sizing, series }
    };
    let requests = (0..).zip(operations).filter(|(_, operations)| !operations.is_empty()).map(|(index, operations)| {
        let question = encode(&Apply {
            incarnation: target.incarnation,
            unlink: target.unlink.to_bytes(),
            today: today.number(),
            is_replay: target.replay.is_some(),
            limits: config.shard_limits(index, target.shards),
            definitions: target.definitions.clone(),
            events: events.iter().map(|event| entry(event, index)).collect(),
            operations,
            fault,
        });
        async move { ask::<Apply>(env, &target.shard_name(index), question).await }
    });
    let mut replies = stream::iter(requests).buffer_unordered(FAN_OUT);
    let mut worst = Ok(Sent::Done);
    while let Some(reply) = replies.next().await {
        let sent = match reply {
            Ok(Ok(())) => continue,
            Ok(Err(Failure::OtherIncarnation)) => Ok(Sent::OtherIncarnation),
            Ok(Err(failure)) => Err(ApiError::from(failure)),
            Err(error) => Err(error),
        };
        if worst.is_ok() {
            worst = sent;
        }
    }
    worst
}
