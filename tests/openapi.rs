//! The OpenAPI document: what is committed is what the code makes, and every schema and body of it has an example.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use kimball_edge::api::routes::ROUTES;
use kimball_edge::openapi::document;
use serde_json::Value;

#[test]
fn the_committed_document_is_up_to_date() {
    let committed = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/www/api-docs/openapi.json")).unwrap();
    assert!(committed == format!("{:#}\n", document()), "www/api-docs/openapi.json is out of date: run `make openapi`");
}

#[test]
fn every_route_is_an_operation_of_its_scope() {
    let document = document();
    let operations: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(operations, ROUTES.len());
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method.name().to_ascii_lowercase()];
        assert_eq!(operation["x-scope"], route.scope.name().unwrap_or("anyone"), "{}", route.path);
        for field in ["operationId", "summary", "description"] {
            assert!(!operation[field].as_str().unwrap().is_empty(), "{} {field}", route.path);
        }
    }
}

#[test]
fn every_reference_leads_to_a_schema_with_an_example() {
    let document = document();
    let mut pending = vec![&document];
    let mut references = 0;
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(fields) => pending.extend(fields.values()),
            Value::Array(list) => pending.extend(list),
            Value::String(text) if text.starts_with("#/") => {
                let schema = document.pointer(&text[1..]).unwrap_or_else(|| panic!("{text} is nowhere"));
                assert!(!schema["examples"][0].is_null(), "{text} has no example");
                references += 1;
            }
            _ => {}
        }
    }
    assert!(references > 20);
}
