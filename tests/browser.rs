//! The page's aggregator through its JavaScript surface, in WebAssembly under Node.
#![cfg(all(target_arch = "wasm32", feature = "browser"))]
#![allow(missing_docs, clippy::unwrap_used)]

use kimball_edge::browser::Aggregator;
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

fn json(value: &JsValue) -> String {
    js_sys::JSON::stringify(value).unwrap().into()
}

#[wasm_bindgen_test]
fn first_occurrences_count_and_the_report_has_the_form_of_the_server() {
    let mut page = Aggregator::new().unwrap_or_else(|_| unreachable!());
    let mut record =
        |event, user, value, goal| page.record(event, user, value, goal).unwrap_or_else(|_| unreachable!());
    assert!(record("Login", "ann", None, None));
    assert!(!record("Login", "ann", None, None));
    assert!(record("Login", "bob", None, None));
    assert!(record("Buy", "ann", Some(2.5), Some(true)));
    assert!(!record("Buy", "ann", Some(2.5), Some(true)));
    assert_eq!(
        json(&page.report().unwrap_or_else(|_| unreachable!())),
        concat!(
            r#"{"counts":[{"name":"Buy","type":"named","count":1,"event_counts":[{"events":["Login"],"count":1}],"#,
            r#""event_counts_other":0,"single_event_counts":[{"name":"Login","count":1}],"value":{"sum":2.5}},"#,
            r#"{"name":"Login","type":"named","count":2,"event_counts":[],"single_event_counts":[],"value":{}}],"users":2}"#
        )
    );
    assert!(page.memory_bytes() > 0);
}

#[wasm_bindgen_test]
fn what_the_server_would_refuse_is_refused() {
    let mut page = Aggregator::new().unwrap_or_else(|_| unreachable!());
    let long = "x".repeat(257);
    for (event, user, value) in [
        ("", "u", None),
        ("a", "", None),
        (&long, "u", None),
        ("a", &long, None),
        ("a\n", "u", None),
        ("a", "u", Some(f64::NAN)),
    ] {
        assert!(page.record(event, user, value, None).is_err(), "{event:?} {user:?} {value:?}");
    }
    assert_eq!(json(&page.report().unwrap_or_else(|_| unreachable!())), r#"{"counts":[],"users":0}"#);
}
