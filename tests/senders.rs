//! What bodies of other SDKs become: who, what, when and how much, and nothing else.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use kimball_edge::core::identity::Keys;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::requests::{BadRequest, Dialect, SenderOptions, Sent, parse_events, parse_sent};
use kimball_edge::core::settings::limits::RequestLimits;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW_S: i64 = 1_767_323_045;
const LIMITS: RequestLimits =
    RequestLimits { body_bytes: 1 << 20, batch_events: 100, batch_namespaces: 9, name_bytes: 64 };

fn options(dialect: Dialect, kind: &str) -> SenderOptions<'_> {
    SenderOptions { dialect, kind, namespace: "shop", now_s: NOW_S, counts_pages: true }
}

fn read(dialect: Dialect, kind: &str, body: &Value) -> Result<Sent, BadRequest> {
    parse_sent(body.to_string().as_bytes(), options(dialect, kind), &Keys::new(&[7; 32]), &LIMITS)
}

/// What the same events would be, sent to /v0/analytics.
fn ours(events: &Value) -> Vec<(String, u128, Option<f64>, Option<Day>)> {
    flat(&parse_events(events.to_string().as_bytes(), &Keys::new(&[7; 32]), &LIMITS).unwrap())
}

fn flat(batch: &kimball_edge::core::requests::Batch) -> Vec<(String, u128, Option<f64>, Option<Day>)> {
    let parts = batch.namespaces.iter();
    parts
        .flat_map(|part| {
            assert_eq!(part.namespace, "shop");
            part.items.iter().map(|item| {
                let user = u128::from_le_bytes(item.user.to_bytes());
                (part.names[item.name as usize].clone(), user, item.value, item.day)
            })
        })
        .collect()
}

fn event(name: &str, user_id: &str) -> Value {
    json!({"event_name": name, "user_id": user_id, "namespace": "shop"})
}

fn with(mut event: Value, field: &str, value: Value) -> Value {
    event[field] = value;
    event
}

#[test]
fn segments_calls_become_events_by_their_types() {
    let sent = read(
        Dialect::Segment,
        "batch",
        &json!({"batch": [
            {"type": "track", "event": "Buy", "userId": "ann", "anonymousId": "x", "properties": {"value": 2, "revenue": 9, "email": "a@b"},
             "timestamp": "2026-01-01T23:59:59.9Z", "context": {"ip": "1.2.3.4"}, "messageId": "m"},
            {"type": "track", "event": "Click", "anonymousId": "x", "properties": {"revenue": 9.5, "value": "7"}},
            {"type": "identify", "userId": "ann", "traits": {"plan": "pro"}},
            {"type": "page", "userId": "ann", "name": "Home"},
            {"type": "page", "userId": "ann", "properties": {"name": "Prices"}},
            {"type": "screen", "userId": 7, "properties": null},
            {"type": "group", "userId": "ann"}, {"type": "alias", "userId": "ann"}, {"type": "new", "event": "x", "userId": "ann"},
        ], "sentAt": "2026-01-02T03:04:00Z", "writeKey": "w"}),
    )
    .unwrap();
    let expected = ours(&json!([
        with(with(event("Buy", "ann"), "value", 2.into()), "datetime", "2026-01-01T23:59:59Z".into()),
        with(event("Click", "x"), "value", 9.5.into()),
        event("Page Home", "ann"),
        event("Page Prices", "ann"),
        event("Screen", "7"),
    ]));
    assert_eq!(flat(&sent.batch), expected);
    assert_eq!((sent.refused, sent.credential.as_deref()), (vec![], Some("w")));
}

#[test]
fn a_single_call_is_what_its_path_says_or_its_type() {
    for (kind, name) in [("track", "Buy"), ("t", "Buy"), ("page", "Page Home"), ("s", "Screen Home")] {
        let body = json!({"event": "Buy", "name": "Home", "userId": "ann", "writeKey": "w"});
        assert_eq!(
            flat(&read(Dialect::Segment, kind, &body).unwrap().batch),
            ours(&json!([event(name, "ann")])),
            "{kind}"
        );
        let body = with(body, "type", "identify".into());
        assert_eq!(read(Dialect::Segment, kind, &body).unwrap().batch.events(), 0);
    }
}

#[test]
fn pages_are_events_only_where_they_are_to_be() {
    let quiet = |dialect, kind| SenderOptions { counts_pages: false, ..options(dialect, kind) };
    let read = |options, body: Value| {
        let sent = parse_sent(body.to_string().as_bytes(), options, &Keys::new(&[7; 32]), &LIMITS).unwrap();
        (sent.batch.events(), sent.refused.len())
    };
    assert_eq!(read(quiet(Dialect::Segment, "page"), json!({"userId": "ann"})), (0, 0));
    assert_eq!(read(quiet(Dialect::PostHog, "e"), json!({"event": "$pageview", "distinct_id": "ann"})), (0, 0));
    assert_eq!(read(options(Dialect::PostHog, "e"), json!({"event": "$pageview", "distinct_id": "ann"})), (1, 0));
}

#[test]
fn posthogs_events_come_in_every_form_that_it_takes() {
    let expected = ours(&json!([with(event("Buy", "ann"), "value", 3.into())]));
    let top = json!({"event": "Buy", "distinct_id": "ann", "properties": {"value": 3}});
    let inside = json!({"event": "Buy", "properties": {"distinct_id": "ann", "token": "p", "value": 3}});
    let automatic = json!({"event": "$identify", "distinct_id": "ann"});
    for (body, credential) in [
        (json!({"api_key": "p", "batch": [top, automatic]}), Some("p")),
        (json!({"token": "p", "batch": [inside]}), Some("p")),
        (json!([inside, automatic]), Some("p")),
        (with(top.clone(), "api_key", "p".into()), Some("p")),
        (inside, Some("p")),
        (top, None),
    ] {
        let sent = read(Dialect::PostHog, "e", &body).unwrap();
        assert_eq!(flat(&sent.batch), expected, "{body}");
        assert_eq!((sent.credential.as_deref(), sent.refused), (credential, vec![]), "{body}");
    }
}

#[test]
fn a_clock_that_is_wrong_is_corrected_by_what_it_said_when_it_sent() {
    let day = |time: &str, sent: &str| {
        let body =
            json!({"batch": [{"type": "track", "event": "A", "userId": "u", "timestamp": time}], "sentAt": sent});
        flat(&read(Dialect::Segment, "batch", &body).unwrap().batch)[0].3.unwrap()
    };
    // It is 2026-01-02T03:04:05Z.
    let of = |days: i64| Day::of_unix_s(NOW_S + 86_400 * days);
    assert_eq!(day("2026-01-01T12:00:00Z", "2026-01-02T03:04:00Z"), of(-1));
    assert_eq!(day("2026-01-01T23:59:58Z", "2026-01-02T03:03:50Z"), of(-1), "some seconds are the way here");
    assert_eq!(day("2026-01-05T03:04:05Z", "2026-01-05T03:04:06Z"), of(0), "three days ahead");
    assert_eq!(day("2025-12-31T02:00:00Z", "2026-01-01T03:04:05Z"), of(-1), "a day behind");
    assert_eq!(day("1970-01-01T00:00:00Z", "1970-01-01T02:00:00Z"), of(0));
}

#[test]
fn what_cannot_be_counted_is_left_out_by_itself() {
    let body = json!({"batch": [
        {"type": "track", "event": "A", "userId": "u"},
        {"type": "track", "userId": "u"},
        {"type": "track", "event": "A"},
        {"type": "track", "event": "A", "userId": ""},
        {"type": "track", "event": 7, "userId": "u"},
        {"type": "track", "event": "A", "userId": {"id": 1}},
        {"type": "track", "event": "x".repeat(65), "userId": "u"},
        {"type": "track", "event": "A", "userId": "u".repeat(65)},
        {"type": "track", "event": "A", "userId": "u", "properties": {"value": 1e301}},
        {"type": "track", "event": "A", "userId": "u", "timestamp": "yesterday"},
        "no object", null, 7, [],
        {"type": "track", "event": "B", "userId": "u", "properties": "none", "batch": [{"type": "track", "event": "C", "userId": "u"}]},
    ], "writeKey": 7});
    let sent = read(Dialect::Segment, "batch", &body).unwrap();
    assert_eq!(flat(&sent.batch), ours(&json!([event("A", "u"), event("B", "u")])));
    assert_eq!(sent.credential, None);
    let fields: Vec<_> = sent
        .refused
        .iter()
        .map(|bad| match bad {
            BadRequest::Field { index: Some(index), field, .. } => (*index, *field),
            other => panic!("{other:?}"),
        })
        .collect();
    let (event, user) = ("event", "userId");
    assert_eq!(
        fields,
        [
            (1, event),
            (2, user),
            (3, user),
            (4, event),
            (5, user),
            (6, event),
            (7, user),
            (8, "value"),
            (9, "timestamp"),
            (10, event),
            (11, event),
            (12, event),
            (13, event)
        ]
    );
}

#[test]
fn what_is_no_body_is_refused_whole_and_repeats_nothing() {
    let many: Vec<Value> = (0..101).map(|_| json!({"type": "identify"})).collect();
    assert_eq!(read(Dialect::Segment, "batch", &json!({"batch": many})), Err(BadRequest::TooManyEvents { limit: 100 }));
    assert_eq!(read(Dialect::PostHog, "e", &json!(many)), Err(BadRequest::TooManyEvents { limit: 100 }));
    for text in ["", "7", "null", "\"secret\"", "{\"batch\": [", "{} {}", "{\"event\": secret}", "[{]", "\u{0}"] {
        let bad =
            parse_sent(text.as_bytes(), options(Dialect::Segment, "batch"), &Keys::new(&[7; 32]), &LIMITS).unwrap_err();
        assert!(!format!("{bad:?}").contains("secret"), "{bad:?}");
    }
    assert!(parse_sent(&[0xFF, 0xFE, 0x7B, 0], options(Dialect::Segment, "t"), &Keys::new(&[7; 32]), &LIMITS).is_err());
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), dialect in prop_oneof![Just(Dialect::Segment), Just(Dialect::PostHog)]) {
        let _ = parse_sent(&bytes, options(dialect, "t"), &Keys::new(&[7; 32]), &LIMITS);
    }

    /// However the members are ordered and whatever else is there, the same events come out.
    #[test]
    fn order_and_what_is_beside_make_no_difference(names in proptest::collection::vec("[A-Z][a-z]{0,8}", 1..20), is_late in any::<bool>()) {
        let calls: Vec<String> = names.iter().map(|name| if is_late {
            format!(r#"{{"context":{{"event":"no","userId":[1,{{}}]}},"userId":"u","event":"{name}","type":"track"}}"#)
        } else {
            format!(r#"{{"type":"track","event":"{name}","userId":"u"}}"#)
        }).collect();
        let body = if is_late { format!(r#"{{"writeKey":"w","integrations":{{}},"batch":[{}]}}"#, calls.join(",")) } else { format!(r#"{{"batch":[{}],"writeKey":"w"}}"#, calls.join(" , ")) };
        let sent = parse_sent(body.as_bytes(), options(Dialect::Segment, "batch"), &Keys::new(&[7; 32]), &LIMITS).unwrap();
        let expected: Vec<Value> = names.iter().map(|name| event(name, "u")).collect();
        prop_assert_eq!(flat(&sent.batch), ours(&json!(expected)));
        prop_assert_eq!(sent.credential.as_deref(), Some("w"));
    }
}
