//! An example of every schema.

use serde_json::{Value, json};

/// The example of the schema of this name.
pub fn of(schema: &str) -> Option<Value> {
    Some(match schema {
        "Error" => json!({"error": of("ErrorFields")?}),
        "ErrorFields" => {
            json!({"what": "user_id of event 2: is required", "code": "field_missing", "index": 2, "field": "user_id"})
        }
        "Analytics" => json!({"counts": [of("Count")?], "users": 3}),
        "Count" => json!({
            "name": "Completed purchase", "type": "named", "count": 2,
            "event_counts": [of("EventCount")?, {"events": [], "count": 1}], "event_counts_other": 0,
            "single_event_counts": [of("SingleEventCount")?], "value": of("Values")?,
        }),
        "EventCount" => json!({"events": ["Searched for a product"], "count": 1}),
        "SingleEventCount" => json!({"name": "Searched for a product", "count": 1}),
        "Values" => json!({"sum": 49.5}),
        "Recorded" => json!({"taken": 9, "refused": [of("RefusedEvent")?]}),
        "RefusedEvent" => {
            json!({"index": 3, "code": "event_unknown", "what": "this event name is not registered, and new ones need an admin token"})
        }
        "SegmentTaken" => json!({"success": true}),
        "PostHogTaken" => json!({"status": 1}),
        "Goals" => json!({"goals": ["Completed purchase"]}),
        "Namespaces" => json!({"namespaces": ["default", "shop"]}),
        "Namespace" => json!({
            "namespace": "shop", "clock": "live", "today": "2026-11-28", "shards": 4, "since": "2026-11-01", "events": 12,
            "group_users_min": 5,
        }),
        "NewNamespace" => json!({"namespace": "shop", "group_users_min": 5}),
        "Clock" => json!("live"),
        "Features" => json!({"features": {"new-checkout": true, "old-search": false}}),
        "Health" => json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "unreadable_shards": 0}),
        "Access" => json!({"authentication": true, "scopes": ["read"]}),
        "Usage" => json!({"count": 12, "limit": 1_000}),
        "FlagUsage" => json!({"count": 2, "limit": 1_000, "bytes": 412, "bytes_limit": 4_194_304}),
        "TokenCounts" => json!({"admin": 1, "ingest": 2, "read": 1}),
        "CounterSetting" => json!({"pattern": "^Login$", "date_cohort": "weekly"}),
        "LimitStatus" => {
            json!({"name": "NAMESPACES_MAX", "value": 1_000, "default": 1_000, "unit": "namespaces"})
        }
        "Configuration" => json!({
            "authentication": true, "tokens": of("TokenCounts")?, "ingest_may_add_goals": false,
            "allowed_origins": ["https://shop.example"], "allowed_hosts": [], "hash_key": "configured",
            "counters": [of("CounterSetting")?], "limits": [of("LimitStatus")?],
        }),
        "ShardStatus" => json!({
            "index": 0, "reachable": true, "memory_bytes": 91_204, "memory_limit_bytes": 16_777_216,
            "journal_rows": 3, "journal_rows_limit": 4_096, "journal_bytes": 512, "journal_bytes_limit": 1_048_576,
            "snapshot_counters": 12, "snapshot_age_s": 120,
        }),
        "NamespaceStatus" => {
            json!({"name": "shop", "events": of("Usage")?, "goals": 1, "shards": [of("ShardStatus")?]})
        }
        "EventTotals" => json!({"accepted": 1_000, "repeated": 200, "refused": {"shard_memory_full": 3}}),
        "ServiceStatus" => json!({
            "version": env!("CARGO_PKG_VERSION"), "started": "2022-02-14T09:30:00Z", "isolate_memory_bytes": 2_097_152,
            "configuration": of("Configuration")?, "namespaces": of("Usage")?, "flags": of("FlagUsage")?,
            "namespace": of("NamespaceStatus")?, "events": of("EventTotals")?,
        }),
        "RolloutReached" => json!({"at": "2022-01-14T09:30:00Z", "share": 0.4}),
        "EventPrediction" => json!({"bayes": 0.5, "probability": 0.5, "support": 120}),
        "GoalEvents" => json!({"events": {"Searched for a product": of("EventPrediction")?}}),
        "Predictions" | "EventPredictions" => json!({"goals": {"Completed purchase": of("GoalEvents")?}}),
        "GoalPrediction" => {
            json!({"yes": 0.8, "no": 0.4, "likelihood": 2.0, "probability": 0.61, "support": 120})
        }
        "GoalPredictions" => json!({"goals": {
            "Completed purchase": of("GoalPrediction")?, "Login": {"note": "this goal is one of the given events"},
        }}),
        "Nudge" => {
            json!({"event_name": "Searched for a product", "prediction": 0.5, "probability": 0.7, "support": 120})
        }
        "Nudges" => json!({"nudges": [of("Nudge")?], "goal": "Completed purchase", "user_id": "ann"}),
        "Name" => json!("Completed purchase"),
        "PropertyName" => json!("plan"),
        "EventList" => json!([{"event_name": "Login", "user_id": "ann"}, {"event_name": "Login", "user_id": 7}]),
        "PropertyText" => json!("pro"),
        "PropertyTexts" => json!(["pro", "team"]),
        "PropertyNumbers" => json!([7, 42]),
        "Time" => json!("2022-02-14T09:30:00Z"),
        "WholeNumber" => json!(42),
        "UserId" | "UserText" => json!("ann"),
        "Event" => json!({
            "event_name": "Completed purchase", "user_id": "ann", "namespace": "shop", "ensure_goal": true,
            "value": 49.5, "datetime": "2022-02-14T09:30:00Z", "id": "q83vEjRWeJA",
        }),
        "EventId" => json!("q83vEjRWeJA"),
        "Kept" => json!("order"),
        "EventBatch" | "NewEvents" => json!({"events": [{"event_name": "Login", "user_id": "ann"}, of("Event")?]}),
        "NewGoal" => json!({"goal_name": "Completed purchase", "namespace": "shop"}),
        "EqualsCondition" | "Condition" => json!({"property": "plan", "comparator": "=", "value": "pro"}),
        "InCondition" => json!({"property": "company", "comparator": "in", "value": [7, 42]}),
        "Conditions" => json!([of("EqualsCondition")?, of("InCondition")?]),
        "FeatureSpec" => json!({
            "name": "new-checkout", "boolean": false,
            "rollout_start": "2022-01-01T00:00:00Z", "rollout_end": "2022-02-01T00:00:00Z",
            "user": of("Conditions")?,
        }),
        "ShownFeatureSpec" => of("FeatureSpec")?,
        "FeatureSpecs" => json!({"featureSpecs": [of("ShownFeatureSpec")?]}),
        _ => return of_series(schema),
    })
}

fn of_series(schema: &str) -> Option<Value> {
    Some(match schema {
        "SeriesPoint" => json!({
            "period": "2026-11-28", "users": 412, "first_users": 96, "value": 49.5, "state": "open", "complete": true,
        }),
        "Previous" => json!({"from": "2026-11-27", "to": "2026-11-27", "points": [{
            "period": "2026-11-27", "users": 397, "first_users": 101, "value": null, "state": "late", "complete": true,
        }]}),
        "Series" | "AnySeries" => json!({
            "event": "Login", "unit": "day", "since": "2026-11-01", "points": [of("SeriesPoint")?], "previous": of("Previous")?,
        }),
        "NewSeries" => json!({"event": "Login", "units": ["day", "month"]}),
        "SeriesUnit" => json!("day"),
        "KeptSeries" => json!({"event": "Login", "units": ["day", "month"], "from": "2026-11-29"}),
        "EventSeries" => json!({"event": "Login", "points": [of("SeriesPoint")?]}),
        "EverySeries" => json!({"unit": "day", "since": "2026-11-01", "series": [of("EventSeries")?]}),
        _ => return of_retention(schema),
    })
}

fn of_retention(schema: &str) -> Option<Value> {
    Some(match schema {
        "NewRetention" => {
            json!({"name": "signup", "start": "Sign up", "return": "Login", "unit": "week", "periods": 3})
        }
        "RetentionDefinition" => json!({
            "name": "signup", "start": "Sign up", "return": "Login", "unit": "week", "periods": 3, "since": "2026-11-30",
        }),
        "Retentions" => json!({"retention": [of("RetentionDefinition")?]}),
        "RetentionRow" => json!({
            "cohort": "2026-W49", "users": 500, "state": "open", "complete": true, "returned": [210, 180, null],
            "on_or_after": [260, 180, null],
        }),
        "RetentionGrid" | "AnyRetention" => json!({
            "name": "signup", "start": "Sign up", "return": "Login", "unit": "week", "since": "2026-11-30",
            "rows": [of("RetentionRow")?], "average": [0.42, null, null],
        }),
        "LapsedRow" => json!({"cohort": "2026-W49", "users": 120}),
        "Lapsed" => json!({"name": "signup", "lapsed": 2, "rows": [of("LapsedRow")?]}),
        _ => return None,
    })
}
