//! /metrics, /metrics/counters, /metrics/predictions: the state of the service, and its numbers, for Prometheus.
//!
//! What is counted in memory ([`record`]) is that of the isolates at hand: on workerd there is one; on Cloudflare the
//! requests are those of the isolate that answers, and of the shards' isolates each is added once.

mod text;

use futures_util::{StreamExt, stream};
use worker::Env;

use crate::api::code::Code;
use crate::core::answers::prediction::{GoalEvents, Model};
use crate::core::identity::Keys;
use crate::core::periods::week::Week;
use crate::core::requests::{BLANK, BadRequest, is_blank, namespace_of};
use crate::core::settings::limits::FAN_OUT;
use crate::edge::gateway::ask::{ask_registry, ask_shard, shard_name};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::reports::{self, Found};
use crate::edge::host::record;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::registry::{Overview, OverviewReply};
use crate::messages::shard::{GetStatus, Status};
use text::Families;

/// GET /metrics: the service itself.
///
/// # Errors
/// When the registry or a shard cannot be reached.
pub async fn service(call: Call<'_>) -> Result<Reply, ApiError> {
    let (namespaces, counters) = overview(&call).await?;
    let shards = statuses(call.env, &namespaces).await;
    let totals = record::totals_of(
        shards.iter().filter_map(|(_, _, status)| Some((status.as_ref()?.isolate, status.as_ref()?.totals))),
    );
    let mut families = Families::new(call.config.metrics_bytes_max);
    write_counters(&mut families, counters, &shards)?;
    write_isolate(&mut families)?;
    let mut events =
        families.counters("kimball_events_total", "Events that shards took: first occurrences, and repeats.");
    events.sample(&[("outcome", "accepted")], totals.accepted as f64)?;
    events.sample(&[("outcome", "repeated")], totals.repeated as f64)?;
    let help = "Batches that shards took: the requests to their objects that record events.";
    families.counters("kimball_shard_batches_total", help).sample(&[], totals.batches as f64)?;
    let help = "Rows that shards wrote as Cloudflare bills them, deletions and alarms included.";
    families.counters("kimball_rows_written_total", help).sample(&[], totals.rows_written as f64)?;
    let help = "Loads of a shard's state from storage.";
    families.summary("kimball_shard_load_duration_seconds", help, totals.loads, 1_000.0)?;
    let help = "Compactions of a shard's journal.";
    families.summary("kimball_shard_compaction_duration_seconds", help, totals.compactions, 1_000.0)?;
    write_shards(&mut families, &shards, call.config.shard_memory_bytes_max)?;
    Ok(families.reply())
}

/// GET /metrics/counters: every counter of every namespace, but those of too few users.
///
/// # Errors
/// When the registry or a shard cannot be reached, or there are too many.
pub async fn counters(call: Call<'_>) -> Result<Reply, ApiError> {
    let keys = keys(call.env, call.config).await?;
    let mut named_families = Families::new(call.config.metrics_bytes_max);
    let mut weekly_families = named_families.beside();
    let mut unreadable = Vec::new();
    {
        let mut named = named_families.gauges("kimball_counter", "Unique users of an event.");
        let mut weekly = weekly_families.gauges("kimball_counter_weekly", "Unique users of an event in an ISO week.");
        for (name, _) in overview(&call).await?.0 {
            let Some((namespace, gated)) = readable(&call, &keys, &name, &mut unreadable).await? else {
                continue;
            };
            for counter in gated.counters() {
                let event = namespace.names.get(counter.event as usize).map_or("", String::as_str);
                let labels = [("kimball_namespace", name.as_str()), ("name", event)];
                if let Some(users) = counter.users.get() {
                    named.sample(&labels, users as f64)?;
                }
                for (week, users) in counter.weeks {
                    let Some(users) = users.get() else {
                        continue;
                    };
                    let (year, week) = match week {
                        Week::OTHER => ("other".to_owned(), "other".to_owned()),
                        week => (week.year().to_string(), week.number().to_string()),
                    };
                    let [namespace, event] = labels;
                    weekly.sample(&[namespace, event, ("year", &year), ("week", &week)], users as f64)?;
                }
            }
        }
    }
    named_families.append(&weekly_families);
    write_unreadable(&mut named_families, &unreadable)?;
    Ok(named_families.reply())
}

/// GET /metrics/predictions: how likely a goal is after an event, for every namespace, where enough users say so.
///
/// # Errors
/// When the registry or a shard cannot be reached, or there are too many.
pub async fn predictions(call: Call<'_>) -> Result<Reply, ApiError> {
    let keys = keys(call.env, call.config).await?;
    let mut families = Families::new(call.config.metrics_bytes_max);
    let mut family = families
        .gauges("kimball_bayes_prediction", "The probability of a goal for users who did an event, by Bayes' theorem.");
    let mut unreadable = Vec::new();
    for (name, _) in overview(&call).await?.0 {
        let Some((namespace, gated)) = readable(&call, &keys, &name, &mut unreadable).await? else {
            continue;
        };
        let model = Model::of(&gated, &namespace.names)?;
        for (goal, GoalEvents { events }) in model.each_event().goals {
            for (event, prediction) in events {
                let labels = [("kimball_namespace", name.as_str()), ("event", event), ("goal", goal)];
                if let Some(bayes) = prediction.bayes.get() {
                    family.sample(&labels, bayes)?;
                }
            }
        }
    }
    write_unreadable(&mut families, &unreadable)?;
    Ok(families.reply())
}

/// The counts of a namespace's shards; `None` where it does not exist, or one of them cannot be read, which is noted.
async fn readable(call: &Call<'_>, keys: &Keys, name: &str, unreadable: &mut Vec<String>) -> Result<Found, ApiError> {
    match reports::counts(call.env, call.config, keys, name).await {
        Err(error) if error.code == Code::StorageUnavailable => {
            unreadable.push(name.to_owned());
            Ok(None)
        }
        outcome => outcome,
    }
}

fn write_unreadable(families: &mut Families, unreadable: &[String]) -> Result<(), ApiError> {
    let help = "1 where a namespace is left out because one of its shards cannot be read; absent else.";
    let mut family = families.gauges("kimball_namespace_unreadable", help);
    unreadable.iter().try_for_each(|name| family.sample(&[("kimball_namespace", name)], 1.0))
}

/// The namespaces that are asked for with their numbers of shards, and the number of counters of all.
async fn overview(call: &Call<'_>) -> Result<(Vec<(String, u32)>, u64), ApiError> {
    let wanted = match call.query.get("namespace")? {
        Some(_) => Some(namespace_of(&call.query, &call.config.request)?),
        None => None,
    };
    let OverviewReply { mut namespaces, counters, .. } = ask_registry(call.env, &Overview).await?;
    namespaces.retain(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
    if namespaces.is_empty() && wanted.is_some_and(is_blank) {
        return Err(BadRequest::Parameter { parameter: "namespace", fault: BLANK }.into());
    }
    Ok((namespaces, counters))
}

/// A namespace, the number of a shard, and how that is, where it can be asked.
type Told<'a> = (&'a str, u32, Option<Status>);

/// Asks every shard. One that cannot answer is told as such, and keeps nobody from the others' metrics.
async fn statuses<'a>(env: &Env, namespaces: &'a [(String, u32)]) -> Vec<Told<'a>> {
    let shards = namespaces.iter().flat_map(|(name, shards)| (0..*shards).map(move |index| (name.as_str(), index)));
    let mut replies = stream::iter(shards)
        .map(|(name, index)| async move {
            let object = shard_name(name, index);
            (name, index, ask_shard(env, &object, &GetStatus).await.ok())
        })
        .buffered(FAN_OUT);
    let mut statuses = Vec::new();
    while let Some(status) = replies.next().await {
        statuses.push(status);
    }
    statuses
}

fn write_counters(families: &mut Families, counters: u64, shards: &[Told<'_>]) -> Result<(), ApiError> {
    let help = "Events that have a counter, over all namespaces.";
    families.gauges("kimball_counters", help).sample(&[], counters as f64)?;
    let stored: u64 = shards.iter().filter_map(|(_, _, status)| Some(status.as_ref()?.stored_counters)).sum();
    let help = "Counters that shards keep in snapshots; one that is in the journal only is not among them.";
    families.gauges("kimball_persist_counters_managed", help).sample(&[], stored as f64)
}

fn write_isolate(families: &mut Families) -> Result<(), ApiError> {
    let (worker, began_ms) = record::worker();
    let help = "Events of acknowledged requests; microseconds that their requests took.";
    families.summary("kimball_event_add_duration_microseconds", help, worker.added, 0.001)?;
    let mut requests = families.counters("kimball_http_requests_total", "Answers by route, method and status.");
    for ((route, method, status), count) in worker.requests {
        let labels = [("route", route), ("method", method), ("status", &*status.to_string())];
        requests.sample(&labels, count as f64)?;
    }
    let help = "Events of refused requests by the code of the error; 1 for a request that was refused before its events were read.";
    let mut refused = families.counters("kimball_events_refused_total", help);
    for (reason, count) in worker.refused {
        refused.sample(&[("reason", reason.parts().1)], count as f64)?;
    }
    let help = "Acknowledged requests by what their senders keep of their events: order, day or week; unsaid by those that say nothing.";
    let mut kept = families.counters("kimball_batches_kept_total", help);
    for (level, count) in worker.kept {
        kept.sample(&[("kept", level)], count as f64)?;
    }
    let help = "When the isolate that answers began, in seconds since the Unix epoch.";
    families.gauges("process_start_time_seconds", help).sample(&[], began_ms as f64 / 1_000.0)?;
    let help = "Memory of the isolate's WebAssembly instance.";
    let bytes = wasm_memory_bytes();
    families.gauges("process_resident_memory_bytes", help).sample(&[], bytes as f64)
}

/// Bytes of memory of the isolate's WebAssembly instance.
#[cfg(target_arch = "wasm32")]
pub fn wasm_memory_bytes() -> usize {
    std::arch::wasm32::memory_size::<0>() << 16
}

/// Bytes of memory of the isolate's WebAssembly instance.
#[cfg(not(target_arch = "wasm32"))]
pub const fn wasm_memory_bytes() -> usize {
    0
}

fn write_shards(families: &mut Families, shards: &[Told<'_>], memory_max: u64) -> Result<(), ApiError> {
    type Read = fn(&Status, u64) -> Option<u64>;
    let labelled = |family: &mut text::Family<'_>, namespace: &str, index: u32, value: u64| {
        family.sample(&[("kimball_namespace", namespace), ("shard", &*index.to_string())], value as f64)
    };
    let help = "1 where a shard's stored state could not be read when that was last tried, else 0.";
    let mut family = families.gauges("kimball_shard_unreadable", help);
    for (namespace, index, status) in shards {
        let is_unreadable = status.as_ref().is_none_or(|status| status.is_unreadable);
        labelled(&mut family, namespace, *index, u64::from(is_unreadable))?;
    }
    let gauges: [(&str, &str, Read); 5] = [
        ("kimball_shard_journal_rows", "Rows of a shard's journal.", |status, _| Some(status.journal_rows)),
        ("kimball_shard_journal_bytes", "Bytes of a shard's journal.", |status, _| Some(status.journal_bytes)),
        (
            "kimball_shard_snapshot_age_seconds",
            "Seconds since a shard's last compaction; absent before the first.",
            |status, _| status.snapshot_age_s,
        ),
        ("kimball_shard_memory_bytes", "Memory of a shard's state; 0 where it is not loaded.", |status, _| {
            Some(status.memory_bytes)
        }),
        ("kimball_shard_memory_limit_bytes", "The most memory of a shard's state.", |_, limit| Some(limit)),
    ];
    for (name, help, read) in gauges {
        let mut family = families.gauges(name, help);
        for (namespace, index, status) in shards {
            if let Some(value) = status.as_ref().and_then(|status| read(status, memory_max)) {
                labelled(&mut family, namespace, *index, value)?;
            }
        }
    }
    Ok(())
}
