//! Flags: the sticky draw against known vectors, its statistics, the continuity of rollouts, conditions and parsing.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::flags::{EVERYBODY, FlagJson, FlagSpec, Rollout, User, Value, draw};
use kimball_edge::core::requests::{BadRequest, Fault, parse_flag_spec, parse_stored_flag};
use kimball_edge::core::settings::limits::{FlagLimits, RequestLimits};
use proptest::prelude::*;

const LIMITS: RequestLimits =
    RequestLimits { body_bytes: 1 << 20, batch_events: 3, batch_namespaces: 9, name_bytes: 16 };
const FLAG_LIMITS: FlagLimits = FlagLimits { flags: 10, conditions: 3, values: 4, bytes: 10_000 };
const START: i64 = 1_645_000_000;
const DAY: i64 = 86_400;
const N: u32 = 100_000;

fn rollout(start: i64, end: i64) -> Rollout {
    Rollout { start, end, reached: None }
}

fn parse(body: &str) -> Result<FlagSpec, BadRequest> {
    parse_flag_spec(body.as_bytes(), &LIMITS, &FLAG_LIMITS, START).map(|flag| flag.succeed(None, START))
}

fn is_on(flag: &str, user: &User) -> bool {
    parse(flag).unwrap().evaluate(user, START, &mut || 0)
}

fn user(properties: &[(&str, Value)]) -> User {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    User { id: None, properties }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn draws_are_those_of_the_known_vectors() {
    for (user, expected) in [
        ("user-123", 815_402_926),
        ("user-999", 1_927_455_488),
        ("alice", 660_117_157),
        ("bob", 2_633_637_224),
        ("üser", 3_008_263_426),
    ] {
        assert_eq!(draw("new-checkout", user), expected, "{user}");
    }
    // The headers of longer texts change at 24 and at 256 bytes.
    let draws: Vec<u32> = [23, 24, 255, 256].map(|len| draw("f", &"u".repeat(len))).to_vec();
    assert!(draws.iter().all(|drawn| draws.iter().filter(|other| other == &drawn).count() == 1));
}

#[test]
fn the_threshold_is_the_formula() {
    for (total, passed) in [(1_i64, 0_i64), (2, 1), (3, 1), (86_400, 1), (86_400, 86_399), (315_360_000_000, 157)] {
        let threshold = rollout(START, START + total).threshold(START + passed);
        for h in [threshold.saturating_sub(2), threshold.saturating_sub(1), threshold, threshold + 1] {
            let h = h.min(EVERYBODY - 1);
            let by_formula =
                (u128::from(h) * u128::from(total.unsigned_abs())) >> 32 < u128::from(passed.unsigned_abs());
            assert_eq!(h < threshold, by_formula, "{total} {passed} {h}");
        }
    }
    let day = rollout(START, START + DAY);
    assert_eq!([START - 1, START].map(|now| day.threshold(now)), [0, 0]);
    assert_eq!([START + DAY, START + DAY + 1].map(|now| day.threshold(now)), [EVERYBODY, EVERYBODY]);
    assert_eq!(rollout(START, START).threshold(START), EVERYBODY);
}

#[test]
fn the_share_follows_the_clock_and_nobody_is_switched_off() {
    let rollout = rollout(START, START + DAY);
    let draws: Vec<u64> = (0..N).map(|n| draw("share", &format!("user-{n}")).into()).collect();
    let mut last = vec![false; draws.len()];
    for percent in [10, 25, 50, 75, 90] {
        let threshold = rollout.threshold(START + DAY * percent / 100);
        let on: Vec<bool> = draws.iter().map(|&h| h < threshold).collect();
        let (share, count) = (percent as f64 / 100.0, on.iter().filter(|&&on| on).count() as f64);
        let deviation = (f64::from(N) * share * (1.0 - share)).sqrt();
        assert!((count - f64::from(N) * share).abs() <= 3.0 * deviation, "{percent} %: {count}");
        assert!(last.iter().zip(&on).all(|(&before, &now)| now || !before));
        last = on;
    }
}

/// Of four flags at one half, every pair agrees in half of the users: within four standard deviations over 100,000.
#[test]
fn flags_are_independent() {
    let half = EVERYBODY / 2;
    let on: Vec<Vec<bool>> = ["a", "b", "new-checkout", "new-checkout-2"]
        .iter()
        .map(|flag| (0..N).map(|n| u64::from(draw(flag, &n.to_string())) < half).collect())
        .collect();
    for (at, first) in on.iter().enumerate() {
        for second in &on[at + 1..] {
            let agree = first.iter().zip(second).filter(|(a, b)| a == b).count() as f64;
            assert!((agree - f64::from(N) / 2.0).abs() <= 4.0 * (f64::from(N) / 4.0).sqrt(), "{agree}");
        }
    }
}

proptest! {
    #[test]
    fn a_changed_end_switches_nobody_off(
        changes in prop::collection::vec((0..40_000_i64, 1..400_000_i64, any::<bool>()), 1..6),
        probes in prop::collection::vec(0..10_000_i64, 1..20),
    ) {
        let mut now = START;
        let mut current = rollout(START, START + DAY);
        let mut highest = 0;
        for (passed, ahead, names_start) in changes {
            now += passed;
            highest = highest.max(current.threshold(now));
            // Before anybody has it there is nothing to keep, and a start left out begins anew.
            if now >= current.end {
                break;
            }
            let start = names_start.then_some(current.start);
            let next = current.succeeded_by(start, now + ahead, now);
            prop_assert_eq!(next.threshold(now), current.threshold(now));
            prop_assert_eq!(next.threshold(now + ahead), EVERYBODY);
            current = next;
            let mut last = highest;
            let mut probes = probes.clone();
            probes.sort_unstable();
            for probe in probes {
                prop_assert!(current.threshold(now + probe) >= last);
                last = current.threshold(now + probe);
            }
        }
    }

    #[test]
    fn what_is_stored_is_read_again(
        name in "[a-z/\"é ]{0,7}[a-z/\"é]",
        boolean in any::<Option<bool>>(),
        conditions in prop::collection::vec(("[a-z]{1,8}", any::<bool>(), prop::collection::vec(any::<i32>(), 0..4)), 0..3),
        times in prop::option::of((0..4_000_000_000_i64, 0..4_000_000_000_i64)),
    ) {
        let conditions: Vec<String> = conditions
            .iter()
            .map(|(property, is_text, values)| {
                let values: Vec<String> = values.iter().map(|v| if *is_text { format!("\"{v}\"") } else { v.to_string() }).collect();
                format!(r#"{{"property": "{property}", "comparator": "in", "value": [{}]}}"#, values.join(","))
            })
            .collect();
        let body = format!(
            r#"{{"name": {}, "boolean": {}, "user": [{}]}}"#,
            serde_json::to_string(&name).unwrap(), boolean.map_or("null".to_owned(), |b| b.to_string()), conditions.join(",")
        );
        let mut flag = parse(&body).unwrap();
        flag.rollout = times.map(|(start, lasts)| {
            let first = rollout(start, start + lasts + 2);
            first.succeeded_by(Some(start), start + lasts + 3, start + 1)
        });
        let stored = serde_json::to_string(&FlagJson::stored(&flag)).unwrap();
        prop_assert_eq!(parse_stored_flag(&stored).unwrap(), flag);
    }

    #[test]
    fn nothing_panics(body in r#"(\{|\[|\}|\]|,|:|"name"|"user"|"value"|"in"|"comparator"|"rollout_end"|1|null| ){0,40}"#) {
        let _ = parse(&body);
        let _ = parse_stored_flag(&body);
    }
}

#[test]
fn a_start_of_its_own_begins_anew_and_the_same_times_change_nothing() {
    let running = rollout(START, START + DAY);
    let now = START + DAY / 2;
    assert_eq!(running.succeeded_by(Some(START + 1), START + DAY, now).reached, None);
    assert_eq!(running.succeeded_by(Some(START), START + DAY, now), running);
    let longer = running.succeeded_by(Some(START), START + 2 * DAY, now);
    assert_eq!(longer.succeeded_by(Some(START), START + 2 * DAY, now + 1_000), longer);
    // The same change once more, as when its answer was lost, and another one in the same second.
    for start in [None, Some(START)] {
        let changed = running.succeeded_by(start, START + 2 * DAY, now);
        assert_eq!(changed.threshold(now), EVERYBODY / 2);
        assert_eq!(changed.succeeded_by(start, START + 2 * DAY, now), changed);
        assert_eq!(changed.succeeded_by(None, START + 3 * DAY, now).threshold(now), EVERYBODY / 2);
        assert_eq!(changed.succeeded_by(None, START + 3 * DAY, now - 1).threshold(now - 1), EVERYBODY / 2);
    }
    // A finished one that is given a later end stays with everybody; without a start it begins anew.
    let after = START + 2 * DAY;
    assert_eq!(running.succeeded_by(Some(START), after + DAY, after).threshold(after), EVERYBODY);
    assert_eq!(running.succeeded_by(None, after + DAY, after).threshold(after), 0);
}

/// Earlier, later, by the same start or by none, several changes in a row: who is on stays on, user by user.
#[test]
fn a_changed_end_keeps_every_user() {
    let users: Vec<User> = (0..2_000).map(|n| User { id: Some(format!("user-{n}")), ..User::default() }).collect();
    let put = |former: Option<&FlagSpec>, times: String, now: i64| {
        let body = format!(r#"{{"name": "f", {times}}}"#);
        parse_flag_spec(body.as_bytes(), &LIMITS, &FLAG_LIMITS, now).unwrap().succeed(former, now)
    };
    let at = |unix_s: i64| chrono::DateTime::from_timestamp(unix_s, 0).unwrap().to_rfc3339();
    let mut flag = put(None, format!(r#""rollout_end": "{}""#, at(START + DAY)), START);
    assert_eq!(flag.rollout, Some(rollout(START, START + DAY)));
    let mut on = vec![false; users.len()];
    let mut now = START;
    for (passed, left, names_start) in
        [(DAY / 4, 9 * DAY, false), (DAY, DAY, true), (0, 3 * DAY, false), (DAY, DAY / 2, false), (60, 5 * DAY, true)]
    {
        now += passed;
        let start = flag.rollout.filter(|_| names_start);
        let start = start.map_or(String::new(), |rollout| format!(r#""rollout_start": "{}", "#, at(rollout.start)));
        let next = put(Some(&flag), format!(r#"{start}"rollout_end": "{}""#, at(now + left)), now);
        for later in [0, 1, left / 2, left - 1] {
            let is_on = |flag: &FlagSpec, user| flag.evaluate(user, now + later, &mut || 0);
            for (user, was_on) in users.iter().zip(&mut on) {
                let before = later == 0 && flag.evaluate(user, now, &mut || 0);
                assert!(is_on(&next, user) || !(*was_on || before), "{user:?} {later}");
                *was_on |= before;
            }
        }
        assert!(on.iter().any(|on| *on) && on.iter().any(|on| !*on));
        assert!(users.iter().all(|user| next.evaluate(user, now + left, &mut || 0)));
        flag = next;
    }
}

#[test]
fn the_first_and_the_last_time_are_read_again() {
    let first =
        r#"{"name": "f", "rollout_start": "0000-01-01T00:00:00.9Z", "rollout_end": "9999-12-31T23:59:60+00:00"}"#;
    let flag = parse(first).unwrap();
    let stored = serde_json::to_string(&FlagJson::stored(&flag)).unwrap();
    assert_eq!(stored, r#"{"name":"f","rollout_start":"0000-01-01T00:00:00Z","rollout_end":"9999-12-31T23:59:59Z"}"#);
    assert_eq!(parse_stored_flag(&stored).unwrap(), flag);
}

#[test]
fn conditions_compare_json_values() {
    let flag = |comparator: &str, value: &str| {
        format!(r#"{{"name": "f", "user": [{{"property": "p", "comparator": "{comparator}", "value": {value}}}]}}"#)
    };
    let has = |value| user(&[("p", value)]);
    assert!(is_on(&flag("=", "42"), &has(Value::Integer(42))));
    assert!(is_on(&flag("=", "42.0"), &has(Value::Integer(42))));
    assert!(!is_on(&flag("=", "42"), &has(text("42"))));
    assert!(is_on(&flag("=", "\"42\""), &has(text("42"))));
    assert!(is_on(&flag("=", "1e19"), &has(Value::Integer(10_000_000_000_000_000_000))));
    assert!(is_on(&flag("=", "-9223372036854774784.0"), &has(Value::Integer(-9_223_372_036_854_774_784))));
    assert!(parse(&flag("=", "-9223372036854775809")).is_err() && parse(&flag("=", "18446744073709551616")).is_err());
    assert!(is_on(&flag("in", "[3, 1, 2]"), &has(Value::Integer(1))));
    assert!(!is_on(&flag("in", "[3, 1, 2]"), &has(Value::Integer(4))));
    assert!(is_on(&flag("in", r#"["b", "a"]"#), &has(text("b"))));
    assert!(!is_on(&flag("in", "[]"), &has(text("b"))));
    assert!(!is_on(&flag("=", "1"), &User::default()));
    assert!(is_on(r#"{"name": "f", "boolean": true}"#, &User::default()));
    assert!(!is_on(r#"{"name": "f", "boolean": false}"#, &User::default()));
}

#[test]
fn without_a_user_id_chance_decides() {
    let mut flag = parse(r#"{"name": "f", "rollout_end": "2032-02-16T00:00:00Z"}"#).unwrap();
    flag.rollout = Some(rollout(START - DAY, START + DAY));
    let mut asked = 0;
    let mut evaluate = |drawn: u32| {
        flag.evaluate(&User::default(), START, &mut || {
            asked += 1;
            drawn
        })
    };
    assert!(evaluate(u32::MAX / 2 - 1) && !evaluate(u32::MAX / 2 + 1));
    assert_eq!(asked, 2);
}

#[test]
fn refusals_name_their_place() {
    let condition = |condition: &str| {
        format!(r#"{{"name": "f", "user": [{{"property": "p", "comparator": "=", "value": 1}}, {condition}]}}"#)
    };
    let cases = [
        ("{}".to_owned(), "name"),
        (r#"{"name": ""}"#.to_owned(), "name"),
        (r#"{"name": 5}"#.to_owned(), "name"),
        (r#"{"name": "0123456789abcdefg"}"#.to_owned(), "name"),
        (r#"{"name": "a", "name": "b"}"#.to_owned(), "name"),
        (condition(r#"{"property": "p", "comparator": "=", "value": 1, "value": 1}"#), "user[1].value"),
        (r#"{"name": "f", "boolean": "true"}"#.to_owned(), "boolean"),
        (r#"{"name": "f", "rollout_start": "2022-02-16T00:00:00Z"}"#.to_owned(), "rollout_end"),
        (r#"{"name": "f", "rollout_start": "yesterday"}"#.to_owned(), "rollout_start"),
        (r#"{"name": "f", "rollout_end": 5}"#.to_owned(), "rollout_end"),
        (r#"{"name": "f", "rollout_end": "2021-02-16T00:00:00Z"}"#.to_owned(), "rollout_end"),
        (r#"{"name": "f", "user": {}}"#.to_owned(), "user"),
        (r#"{"name": "f", "rollout_end": "9999-12-31T23:59:59-00:01"}"#.to_owned(), "rollout_end"),
        (
            r#"{"name": "f", "rollout_start": "0000-01-01T00:00:00+00:01", "rollout_end": "2032-02-16T00:00:00Z"}"#
                .to_owned(),
            "rollout_start",
        ),
        (r#"{"name": "f", "name": "f"}"#.to_owned(), "name"),
        (r#"{"name": "f", "boolean": null, "boolean": null}"#.to_owned(), "boolean"),
        (r#"{"name": "f", "user": [], "user": []}"#.to_owned(), "user"),
        (condition(r#"{"property": "p", "comparator": "=", "value": 1, "value": 1}"#), "user[1].value"),
        (condition(r#"{"property": "p", "comparator": "=", "value": 1e23}"#), "user[1].value"),
        (condition("5"), "user[1]"),
        (condition("{}"), "user[1].property"),
        (condition(r#"{"property": "p"}"#), "user[1].comparator"),
        (condition(r#"{"property": "p", "comparator": ">", "value": 1}"#), "user[1].comparator"),
        (condition(r#"{"property": "p", "comparator": "="}"#), "user[1].value"),
        (condition(r#"{"property": "p", "comparator": "=", "value": 1.5}"#), "user[1].value"),
        (condition(r#"{"property": "p", "comparator": "=", "value": [1]}"#), "user[1].value"),
        (condition(r#"{"property": "p", "comparator": "in", "value": 1}"#), "user[1].value"),
        (condition(r#"{"property": "p", "comparator": "in", "value": [1, true]}"#), "user[1].value[1]"),
        (condition(r#"{"property": "p", "comparator": "in", "value": [1, "1"]}"#), "user[1].value[1]"),
        (condition(r#"{"property": "p", "comparator": "in", "value": [1, 2, 3, 4, 5]}"#), "user[1].value"),
    ];
    for (body, expected) in cases {
        match parse(&body).unwrap_err() {
            BadRequest::Place { place, .. } => assert_eq!(place, expected, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let four = [r#"{"property": "p", "comparator": "=", "value": 1}"#; 4].join(",");
    let refused = parse(&format!(r#"{{"name": "f", "user": [{four}]}}"#)).unwrap_err();
    assert!(matches!(refused, BadRequest::Place { fault: Fault::TooMany { max: 3, .. }, .. }));
    for body in ["", "[]", "{", r#"{"name": "a"} {}"#] {
        assert!(!matches!(parse(body), Err(BadRequest::Place { .. }) | Ok(_)), "{body}");
    }
}
