//! Reading of requests: every form, every refusal with its place, and nothing that panics.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::flags::Value;
use kimball_edge::core::identity::Keys;
use kimball_edge::core::requests::{
    BadRequest, Batch, EventReader, Fault, Level, Query, parse_events, parse_features, parse_goal,
};
use kimball_edge::core::settings::limits::RequestLimits;
use proptest::prelude::*;

const LIMITS: RequestLimits =
    RequestLimits { body_bytes: 1 << 20, batch_events: 3, batch_namespaces: 2, name_bytes: 16 };

fn parse(body: &str) -> Result<Batch, BadRequest> {
    parse_events(body.as_bytes(), &Keys::new(&[0; 32]), &LIMITS)
}

fn refused(body: &str) -> (Option<usize>, &'static str, Fault) {
    match parse(body).unwrap_err() {
        BadRequest::Field { index, field, fault } => (index, field, fault),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn the_three_forms_say_the_same() {
    let event = r#"{"event_name": "a", "user_id": "u"}"#;
    let single = parse(event).unwrap();
    assert_eq!(parse(&format!("[{event}]")).unwrap(), single);
    assert_eq!(parse(&format!(r#"{{"events": [{event}]}}"#)).unwrap(), single);
    assert_eq!(parse(&format!(r#" {{"x": 1, "events": [{event}], "user_id": null}} "#)).unwrap(), single);
    assert_eq!(parse(&format!(r#"{{"events": null, {}"#, &event[1..])).unwrap(), single);
    assert_eq!(parse("[]").unwrap(), Batch::default());
    assert_eq!(parse(r#"{"events": []}"#).unwrap(), Batch::default());
    assert_eq!(parse(&format!("\u{feff}{event}")).unwrap(), single);
}

#[test]
fn an_event_and_a_list_of_events_do_not_stand_in_one_object() {
    let event = r#"{"event_name": "a", "user_id": "u"}"#;
    let beside = Fault::Invalid("must not come together with `events`");
    for (field, value) in
        [("event_name", "\"a\""), ("user_id", "5"), ("namespace", "\"x\""), ("value", "0"), ("ensure_goal", "false")]
    {
        assert_eq!(refused(&format!(r#"{{"events": [{event}], "{field}": {value}}}"#)), (None, field, beside.clone()));
        assert_eq!(refused(&format!(r#"{{"{field}": {value}, "events": []}}"#)), (None, field, beside.clone()));
    }
    let nested = format!(r#"[{event}, {{"event_name": "a", "user_id": "u", "events": [{event}]}}]"#);
    assert_eq!(refused(&nested), (Some(1), "events", Fault::Invalid("must not stand in an event")));
}

#[test]
fn a_body_says_what_its_sender_kept() {
    let event = r#"{"event_name": "a", "user_id": "u"}"#;
    for level in Level::ALL {
        let name = level.name();
        for body in
            [format!(r#"{{"kept": "{name}", "events": [{event}]}}"#), format!(r#"{{"events": [], "kept": "{name}"}}"#)]
        {
            assert_eq!(parse(&body).unwrap().kept, Some(level));
        }
    }
    assert_eq!(parse(&format!(r#"{{"kept": null, "events": [{event}]}}"#)).unwrap(), parse(event).unwrap());
    for kept in ["\"all\"", "\"Order\"", "\"\"", "7", "true", "[]", "{}"] {
        let must = Fault::Invalid("must be \"week\", \"day\" or \"order\"");
        assert_eq!(refused(&format!(r#"{{"events": [], "kept": {kept}}}"#)), (None, "kept", must), "{kept}");
    }
    let twice = r#"{"kept": "day", "events": [], "kept": "day"}"#;
    assert_eq!(refused(twice), (None, "kept", Fault::Invalid("must not come twice")));
    // In an event it is a field like any other that is not known.
    assert_eq!(parse(r#"[{"event_name": "a", "user_id": "u", "kept": 7}]"#).unwrap(), parse(event).unwrap());
}

#[test]
fn an_event_may_have_an_id() {
    let with = |id: &str| format!(r#"[{{"event_name": "a", "user_id": "u", "id": {id}}}]"#);
    let plain = parse(r#"{"event_name": "a", "user_id": "u"}"#).unwrap();
    for id in ["null", "\"q83vEjRWeJA\"", "\"é\"", &format!("\"{}\"", "x".repeat(256))] {
        assert_eq!(parse(&with(id)).unwrap(), plain, "{id}");
    }
    let must = Fault::Invalid("must be a string of 1 to 256 bytes");
    for id in ["\"\"", "7", "true", "[]", &format!("\"{}\"", "x".repeat(257)), &format!("\"{}\"", "é".repeat(129))] {
        assert_eq!(refused(&with(id)), (Some(0), "id", must.clone()), "{id}");
    }
    let beside = Fault::Invalid("must not come together with `events`");
    assert_eq!(refused(r#"{"events": [], "id": "x"}"#), (None, "id", beside));
}

#[test]
fn events_are_grouped_by_namespace_in_order() {
    let batch = parse(
        r#"[{"event_name": "a", "user_id": 1, "namespace": "x"}, {"event_name": "b", "user_id": "1", "value": 2},
            {"event_name": "a", "user_id": "1", "namespace": "x", "ensure_goal": true, "value": null}]"#,
    )
    .unwrap();
    let [x, default] = &batch.namespaces[..] else { panic!("{batch:?}") };
    assert_eq!((x.namespace.as_str(), &x.names[..]), ("x", &["a".to_owned()][..]));
    assert_eq!(x.items[0].user, x.items[1].user, "an integer is its decimal string");
    assert_eq!((x.items[0].ensure_goal, x.items[1].ensure_goal), (false, true));
    assert_eq!(default.items[0].value, Some(2.0));
    assert_ne!(default.items[0].user, x.items[0].user, "users differ between namespaces");
}

#[test]
fn events_of_too_many_namespaces_are_refused_while_they_are_read() {
    let event = |namespace: &str| format!(r#"{{"event_name": "a", "user_id": 1, "namespace": "{namespace}"}}"#);
    let list = |namespaces: &[&str]| {
        format!("[{}]", namespaces.iter().map(|namespace| event(namespace)).collect::<Vec<_>>().join(","))
    };
    assert_eq!(parse(&list(&["x", "y", "x"])).unwrap().namespaces.len(), 2);
    let refused = parse(&list(&["x", "y", "z"])).unwrap_err();
    assert_eq!(refused, BadRequest::TooManyNamespaces { limit: 2 });
    assert_eq!(refused.limit(), Some(("NAMESPACES_PER_BATCH_MAX", 2)));
    // What comes behind the event that is too much is not looked at.
    assert_eq!(parse(&format!("[{},{},{},", event("x"), event("y"), event("z"))).unwrap_err(), refused);
}

#[test]
fn events_know_their_place_in_the_batch() {
    let batch = parse(
        r#"[{"event_name": "a", "user_id": 1, "namespace": "x"}, {"event_name": "b", "user_id": 1},
            {"event_name": "c", "user_id": 1, "namespace": "x"}]"#,
    )
    .unwrap();
    let places: Vec<Vec<u32>> =
        batch.namespaces.iter().map(|part| part.items.iter().map(|item| item.index).collect()).collect();
    assert_eq!(places, [vec![0, 2], vec![1]]);
    assert_eq!(batch.events(), 3);
}

#[test]
fn refusals_name_their_place() {
    let ok = r#"{"event_name": "a", "user_id": "u"}"#;
    let cases = [
        (r#"{"user_id": "u"}"#.to_owned(), (None, "event_name", Fault::Missing)),
        (r#"{"event_name": null, "user_id": "u"}"#.to_owned(), (None, "event_name", Fault::Missing)),
        (format!(r#"[{ok}, {{"event_name": "a"}}]"#), (Some(1), "user_id", Fault::Missing)),
        (format!("[{ok}, 5]"), (Some(1), "events", Fault::Invalid("must hold objects only"))),
        (r#"{"events": 5}"#.to_owned(), (None, "events", Fault::Invalid("must be a list of events"))),
        (r#"{"events": [], "events": []}"#.to_owned(), (None, "events", Fault::Invalid("must not come twice"))),
        (
            r#"[{"event_name": "a", "event_name": "b", "user_id": "u"}]"#.to_owned(),
            (Some(0), "event_name", Fault::Invalid("must not come twice")),
        ),
        (
            r#"[{"event_name": ["a"], "user_id": "u"}]"#.to_owned(),
            (Some(0), "event_name", Fault::Invalid("must be a string")),
        ),
        (
            r#"[{"event_name": "", "user_id": "u"}]"#.to_owned(),
            (Some(0), "event_name", Fault::Invalid("must not be empty")),
        ),
        (
            r#"[{"event_name": "a\n", "user_id": "u"}]"#.to_owned(),
            (Some(0), "event_name", Fault::Invalid("must not hold control characters")),
        ),
        (
            r#"[{"event_name": "a", "user_id": 1.5}]"#.to_owned(),
            (Some(0), "user_id", Fault::Invalid("must be a string or an integer")),
        ),
        (
            format!(r#"[{{"event_name": "{}", "user_id": 1}}]"#, "é".repeat(9)),
            (Some(0), "event_name", Fault::TooLong { limit: 16 }),
        ),
        (
            format!(r#"[{{"event_name": "a", "user_id": "{}"}}]"#, "u".repeat(17)),
            (Some(0), "user_id", Fault::TooLong { limit: 16 }),
        ),
        (
            r#"[{"event_name": "a", "user_id": 1, "value": 1.1e300}]"#.to_owned(),
            (Some(0), "value", Fault::Invalid("must be between -1e300 and 1e300")),
        ),
        (
            r#"[{"event_name": "a", "user_id": 1, "value": "1"}]"#.to_owned(),
            (Some(0), "value", Fault::Invalid("must be a number")),
        ),
        (
            r#"[{"event_name": "a", "user_id": 1, "ensure_goal": 1}]"#.to_owned(),
            (Some(0), "ensure_goal", Fault::Invalid("must be true or false")),
        ),
        (
            r#"[{"event_name": "a", "user_id": 1, "datetime": "yesterday"}]"#.to_owned(),
            (Some(0), "datetime", Fault::Invalid("must be an RFC 3339 date and time")),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(refused(&body), expected, "{body}");
    }
    for body in ["5", "null", "\"a\"", "true", "-1.5"] {
        assert_eq!(refused(body).1, "events", "{body}");
    }
}

#[test]
fn what_is_not_json_is_refused_as_such() {
    for body in [
        "{",
        "[",
        "[{]",
        "[] []",
        "[NaN]",
        "[Infinity]",
        r#"{"value": 1e999}"#,
        "\u{feff}\u{feff}[]",
        " \u{feff}[]",
        r#"[{"event_name": "\ud800"}]"#,
    ] {
        assert!(matches!(parse(body), Err(BadRequest::Json(_))), "{body}: {:?}", parse(body));
    }
    let keys = Keys::new(&[0; 32]);
    assert_eq!(parse_events(b"", &keys, &LIMITS), Err(BadRequest::Empty));
    assert_eq!(parse_events("\u{feff}".as_bytes(), &keys, &LIMITS), Err(BadRequest::Empty));
    assert_eq!(parse_events(b"[\"\xff\"]", &keys, &LIMITS), Err(BadRequest::NotUtf8));
    for body in [&b"[\0]\0"[..], b"\0[\0]", b"\xff\xfe[\0]\0", b"\xfe\xff\0[\0]"] {
        assert_eq!(parse_events(body, &keys, &LIMITS), Err(BadRequest::Utf16));
    }
}

#[test]
fn a_batch_has_as_many_events_as_allowed() {
    let event = r#"{"event_name": "a", "user_id": "u"}"#;
    assert!(parse(&format!("[{event}, {event}, {event}]")).is_ok());
    assert_eq!(parse(&format!("[{event}, {event}, {event}, {event}]")), Err(BadRequest::TooManyEvents { limit: 3 }));
}

#[test]
fn nesting_in_what_is_ignored_is_no_danger() {
    for depth in [100, 100_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&format!(r#"{{"event_name": "a", "user_id": "u", "extra": {nested}}}"#)).is_ok(), "{depth}");
        assert!(parse(&nested).is_err());
        assert!(parse(&format!(r#"{{"event_name": {nested}, "user_id": "u"}}"#)).is_err());
    }
}

#[test]
fn datetimes() {
    for (datetime, ok) in [
        ("2026-11-27T12:00:00\u{2212}05:00", false),
        ("2026-11-27T12:00:00-05:00", true),
        ("2024-03-13T10:21:14Z", true),
        ("2024-03-13T10:21:14.5+02:00", true),
        ("2024-02-30T10:21:14Z", false),
        ("2024-03-13", false),
        ("1710325274", false),
    ] {
        let body = format!(r#"{{"event_name": "a", "user_id": "u", "datetime": "{datetime}"}}"#);
        assert_eq!(parse(&body).is_ok(), ok, "{datetime}");
    }
}

#[test]
fn goals_and_feature_events() {
    assert_eq!(parse_goal(br#"{"goal_name": "g"}"#, &LIMITS).unwrap().namespace, "default");
    assert!(parse_goal(br#"{"goal_name": "g", "goal_name": "g"}"#, &LIMITS).is_err());
    assert!(parse_goal(b"[]", &LIMITS).is_err());
    let keys = Keys::new(&[0; 32]);
    let event = |query: &str| parse_features(&Query::parse(query).unwrap(), &keys, &LIMITS);
    // {"user_id": 7} and {"feature": "f"}
    let both = event("user_obj=eyJ1c2VyX2lkIjogN30=&context_obj=eyJmZWF0dXJlIjogImYifQ").unwrap();
    assert_eq!(both.batch.namespaces[0].names, ["f"]);
    assert_eq!(event("user_obj=eyJ1c2VyX2lkIjogN30").unwrap().batch, Batch::default());
    assert_eq!(event("").unwrap().batch, Batch::default());
    // {"user_id": "ü", "n": 42.0, "big": 1e19, "no": 1.5, "list": [{}], "nothing": null}
    let user = event(
        "user_obj=eyJ1c2VyX2lkIjogIsO8IiwgIm4iOiA0Mi4wLCAiYmlnIjogMWUxOSwgIm5vIjogMS41LCAibGlzdCI6IFt7fV0sICJub3RoaW5nIjogbnVsbH0",
    )
    .unwrap()
    .user;
    assert_eq!(user.id.as_deref(), Some("ü"));
    let integer = |value| Value::Integer(value);
    let known =
        [("big", integer(10_000_000_000_000_000_000)), ("n", integer(42)), ("user_id", Value::Text("ü".into()))];
    assert_eq!(user.properties, known.map(|(name, value)| (name.to_owned(), value)).into());
    // {"a": 1, "a": 2}
    let twice = event("context_obj=eyJhIjogMSwgImEiOiAyfQ").unwrap_err();
    let fault = Fault::Invalid("must be the base64 of a JSON object in UTF-8");
    assert_eq!(twice, BadRequest::Parameter { parameter: "context_obj", fault });
    for bad in ["user_obj=%21", "context_obj=W10=", "user_obj=bnVsbA", "context_obj=eyJhIg"] {
        assert!(event(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..200), query in ".{0,80}") {
        let keys = Keys::new(&[0; 32]);
        let _ = parse_events(&body, &keys, &LIMITS);
        let _ = parse_goal(&body, &LIMITS);
        if let Ok(query) = Query::parse(&query) {
            let _ = parse_features(&query, &keys, &LIMITS);
        }
    }

    #[test]
    fn nothing_that_looks_like_json_panics(
        body in r#"(\{|\[|\}|\]|,|:|"event_name"|"user_id"|"events"|"value"|"a"|1|1e9|null|true| ){0,40}"#
    ) {
        let _ = parse(&body);
    }

    #[test]
    fn what_is_not_json_for_serde_is_not_for_us_and_at_the_same_place(
        body in r#"\[( |\n|\{"a":( |\n)?(1|null|"é")\}|\{"a"|,|:|nul|\{|\}|\]){0,12}"#
    ) {
        let ours = parse(&body);
        match serde_json::from_str::<serde_json::Value>(&body) {
            // Something else than its form may be wrong with it.
            Ok(_) => prop_assert!(!matches!(ours, Err(BadRequest::Json(_))), "{:?}", ours),
            Err(error) => if let Err(BadRequest::Json(what)) = ours {
                let place = format!("line {} column {}", error.line(), error.column());
                prop_assert!(what.ends_with(&place), "{} but {}", what, error);
            } else {
                // A value of the wrong type stands before.
                prop_assert!(matches!(ours, Err(BadRequest::Field { .. })), "{:?} but {}", ours, error);
            }
        }
    }

    #[test]
    fn steps_of_any_size_read_the_same(
        events in prop::collection::vec((0..3_u8, 0..9_u8, any::<bool>()), 0..4), form in 0..3, step in 1..60_usize, cut in 0..400_usize
    ) {
        let list = events.iter().map(|(name, user, has_more)| {
            let more = if *has_more { r#", "namespace": "né", "value": 2.5, "x": [{"y": [1, "]"]}]"# } else { "" };
            format!(r#"{{"event_name": "e{name}", "user_id": {user}{more}}}"#)
        });
        let list = list.collect::<Vec<_>>().join(" ,\n");
        let mut body = match form {
            0 => format!(" [{list}]\n"),
            1 => format!(r#"{{"n": 1.0, "events" : [ {list} ], "m": "}}"}} "#),
            _ => format!(r#"{{"m": {{}}, "events": null}}, {list}"#),
        };
        // Most are whole.
        if let Some((at, _)) = body.char_indices().nth(cut) {
            body.truncate(at);
        }
        let keys = Keys::new(&[0; 32]);
        let stepped = EventReader::new(body.as_bytes(), &keys, &LIMITS).and_then(|mut reader| {
            while reader.step(step)? {}
            Ok(reader.finish())
        });
        prop_assert_eq!(stepped, parse(&body));
    }
}
