//! What the shards of a namespace know together, behind the gate of the namespace.

use std::rc::Rc;

use worker::Env;

use super::ask::{ask_shard, ask_shards};
use super::namespace::{self, Namespace};
use crate::api::code::Code;
use crate::core::answers::analytics::Unnamed;
use crate::core::answers::gate::{Gate, Gated};
use crate::core::identity::{Keys, UserKey};
use crate::core::periods::period::Period;
use crate::core::state::grid_report::GridReport;
use crate::core::state::report::Report;
use crate::core::state::series_report::SeriesReport;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::http::error::ApiError;
use crate::messages::Question;
use crate::messages::definitions::GetGrid;
use crate::messages::shard::{EndReplay, EventsOf, GetCounts, GetNumbers, GetSeries, Numbers, SeriesOf};

/// A namespace with its numbers, or nothing where it does not exist.
pub type Found = Option<(Rc<Namespace>, Gated)>;

/// The gate of a namespace, or of one that does not exist.
pub fn gate(config: &Config, namespace: Option<&Namespace>) -> Gate {
    let own = namespace.map_or(0, |namespace| namespace.group_users_min);
    Gate::new(config.group_users_min.max(own))
}

/// A namespace with the numbers of all its shards, every one of whose events it has a name for; `None` where it does not exist.
///
/// # Errors
/// When the registry or a shard cannot be read: never a part of the numbers.
pub async fn fetch(env: &Env, config: &Config, keys: &Keys, name: &str) -> Result<Found, ApiError> {
    gather(env, config, keys, name, &GetNumbers).await
}

/// The same with no more than the counts, for which no shard is loaded.
///
/// # Errors
/// As [`fetch`].
pub async fn counts(env: &Env, config: &Config, keys: &Keys, name: &str) -> Result<Found, ApiError> {
    gather(env, config, keys, name, &GetCounts).await
}

/// The series of a namespace from one period to another of the same unit, behind its gate.
///
/// # Errors
/// When a shard cannot be read: never a part of the numbers.
pub async fn series(
    env: &Env,
    config: &Config,
    namespace: &Namespace,
    of: SeriesOf,
    (from, to): (Period, Period),
) -> Result<Gated<SeriesReport>, ApiError> {
    let (today, time) = (namespace.today().number(), config.time());
    let question = GetSeries { today, time, of, from: from.code(), to: to.code() };
    let report = merged(env, namespace, &question, SeriesReport::merge).await?;
    Ok(Gated::new(report, gate(config, Some(namespace))))
}

/// A retention grid of a namespace, behind its gate.
///
/// # Errors
/// When a shard cannot be read: never a part of the numbers.
pub async fn grid(
    env: &Env,
    config: &Config,
    namespace: &Namespace,
    definition: u32,
) -> Result<Gated<GridReport>, ApiError> {
    let question = GetGrid { today: namespace.today().number(), time: config.time(), definition };
    let report = merged(env, namespace, &question, GridReport::merge).await?;
    Ok(Gated::new(report, gate(config, Some(namespace))))
}

/// Has every shard end a replay.
///
/// # Errors
/// When a shard cannot be reached; doing it again goes on with it.
pub async fn end_replay(env: &Env, config: &Config, namespace: &str, shards: u32) -> Result<(), ApiError> {
    let question = EndReplay { today: clock::today().number(), time: config.time() };
    ask_shards(env, namespace, shards, &question, |()| ()).await
}

async fn gather<Q: Question<Answer = Numbers>>(
    env: &Env,
    config: &Config,
    keys: &Keys,
    name: &str,
    question: &Q,
) -> Result<Found, ApiError> {
    let Some(namespace) = namespace::look_up(env, keys, name).await? else {
        return Ok(None);
    };
    let report = merged(env, &namespace, question, Report::merge).await?;
    let behind_gate = |namespace: Rc<Namespace>, report| {
        let gated = Gated::new(of_present(&namespace, report), gate(config, Some(&namespace)));
        Some((namespace, gated))
    };
    if has_names(&namespace, &report) {
        return Ok(behind_gate(namespace, report));
    }
    // Events were named between the two questions; the registry knows them by now.
    let renewed = namespace::look_up(env, keys, name).await?.ok_or(Unnamed)?;
    if has_names(&renewed, &report) { Ok(behind_gate(renewed, report)) } else { Err(Unnamed.into()) }
}

/// Without what is deleted, or not yet a goal everywhere.
fn of_present(namespace: &Namespace, report: Report) -> Report {
    report.without(|event| !namespace.has_event(event), |event| namespace.has_goal(event))
}

/// The numbers of the events that a user has done, ascending.
///
/// # Errors
/// When the user's shard cannot be read.
pub async fn events_of(env: &Env, namespace: &Namespace, user: UserKey) -> Result<Vec<u32>, ApiError> {
    let shard = namespace.shard_name(user.shard(namespace.shards));
    let question = EventsOf { unlink: namespace.unlink.to_bytes(), user: user.to_bytes() };
    let mut events = ask_shard(env, &shard, &question).await?;
    events.retain(|&event| namespace.has_event(event));
    Ok(events)
}

/// What all shards answer a question, put together.
async fn merged<Q: Question, R: Default + From<Q::Answer>>(
    env: &Env,
    namespace: &Namespace,
    question: &Q,
    merge: fn(R, R) -> R,
) -> Result<R, ApiError> {
    let mut total = R::default();
    let take = |answer: Q::Answer| total = merge(std::mem::take(&mut total), answer.into());
    ask_shards(env, &namespace.name, namespace.shards, question, take).await?;
    Ok(total)
}

fn has_names(namespace: &Namespace, report: &Report) -> bool {
    report.counters.last().is_none_or(|counter| (counter.event as usize) < namespace.names.len())
}

impl From<Unnamed> for ApiError {
    fn from(Unnamed: Unnamed) -> Self {
        Self::new(Code::StorageUnavailable, "a shard holds an event that the registry does not know")
    }
}
