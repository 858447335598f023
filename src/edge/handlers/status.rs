//! /v0/status: how the service is set up, and how near a namespace is to its limits.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use worker::Env;

use super::metrics::wasm_memory_bytes;
use crate::core::answers::status::{
    Configuration, EventTotals, FlagUsage, LimitStatus, NamespaceStatus, ServiceStatus, ShardStatus, TokenCounts, Usage,
};
use crate::core::flags::rfc_3339;
use crate::core::requests::namespace_of;
use crate::core::settings::limits::FAN_OUT;
use crate::edge::gateway::ask::{ask, ask_registry};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::namespace::{self, Namespace};
use crate::edge::host::config::Config;
use crate::edge::host::record;
use crate::edge::host::wire::encode;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::Failure;
use crate::messages::registry::{Overview, OverviewReply};
use crate::messages::shard::{Check, Status};

/// GET: the status. A shard that cannot be read is told as such, and fails nothing else.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let config = call.config;
    let name = namespace_of(&call.query, &config.request)?;
    let keys = keys(call.env, config).await?;
    let OverviewReply { namespaces, flags, flags_bytes, .. } = ask_registry(call.env, &Overview).await?;
    let namespace = namespace::look_up(call.env, &keys, name).await?;
    let checks = match &namespace {
        Some(namespace) => check(call.env, namespace).await,
        None => Vec::new(),
    };
    let known = checks.iter().filter_map(|check| check.as_ref().ok());
    let totals = record::totals_of(known.map(|status| (status.isolate, status.totals)));
    let (worker, began_ms) = record::worker();
    let mut refused = BTreeMap::new();
    for (code, count) in worker.refused {
        *refused.entry(code.parts().1).or_default() += count;
    }
    Reply::json(&ServiceStatus {
        version: env!("CARGO_PKG_VERSION"),
        started: rfc_3339(i64::try_from(began_ms / 1_000).unwrap_or_default()),
        isolate_memory_bytes: wasm_memory_bytes() as u64,
        configuration: configuration(config),
        namespaces: Usage { count: namespaces.len() as u64, limit: config.namespaces_max },
        flags: FlagUsage {
            count: flags,
            limit: config.flags.flags,
            bytes: flags_bytes,
            bytes_limit: config.flags.bytes,
        },
        namespace: NamespaceStatus {
            name,
            events: Usage {
                count: namespace.as_ref().map_or(0, |namespace| namespace.events()) as u64,
                limit: config.events_per_namespace_max,
            },
            goals: namespace.as_ref().map_or(0, |namespace| namespace.goals().count()),
            shards: (0..).zip(checks).map(|(index, check)| shard(index, check, config)).collect(),
        },
        events: EventTotals { accepted: totals.accepted, repeated: totals.repeated, refused },
    })
}

/// Every shard's answer, or what is wrong with it, in order.
async fn check(env: &Env, namespace: &Namespace) -> Vec<Result<Status, String>> {
    let ask_one = |index| async move {
        let shard = namespace.shard_name(index);
        let failed = |error: ApiError| Err(format!("shard {shard}: {}", error.what()));
        match ask::<Check>(env, &shard, encode(&Check)).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(Failure::Unreadable(what))) => Err(what),
            Ok(Err(failure)) => failed(failure.into()),
            Err(error) => failed(error),
        }
    };
    stream::iter(0..namespace.shards).map(ask_one).buffered(FAN_OUT).collect().await
}

fn shard(index: u32, check: Result<Status, String>, config: &Config) -> ShardStatus {
    match check {
        Ok(status) => ShardStatus::Reachable {
            index,
            reachable: true,
            memory_bytes: status.memory_bytes,
            memory_limit_bytes: config.shard_memory_bytes_max,
            journal_rows: status.journal_rows,
            journal_rows_limit: config.journal_rows_max,
            journal_bytes: status.journal_bytes,
            journal_bytes_limit: config.journal_bytes_max,
            snapshot_counters: status.stored_counters,
            snapshot_age_s: status.snapshot_age_s,
        },
        Err(what) => ShardStatus::Unreachable { index, reachable: false, what },
    }
}

fn configuration(config: &Config) -> Configuration<'_> {
    Configuration {
        authentication: !config.auth_disabled,
        tokens: TokenCounts {
            admin: config.admin_tokens.len(),
            ingest: config.ingest_tokens.len(),
            read: config.read_tokens.len(),
        },
        ingest_may_add_goals: config.ingest_may_add_goals,
        allowed_origins: &config.allowed_origins,
        allowed_hosts: config.allowed_hosts.given().collect(),
        hash_key: if config.keys.is_some() { "configured" } else { "generated" },
        counters: config.counters.given().collect(),
        limits: config
            .limits
            .iter()
            .map(|&(limit, value)| LimitStatus { name: limit.name, value, default: limit.default, unit: limit.unit })
            .collect(),
    }
}
