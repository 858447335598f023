//! Query strings, the base64 and JSON in them, and names in paths.
#![no_main]

use kimball_edge::core::identity::Keys;
use kimball_edge::core::requests::{Query, namespace_of, parse_features, parse_path_name};
use kimball_edge_fuzz::REQUEST;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = parse_path_name(text, &REQUEST) {
        assert!((1..=REQUEST.name_bytes).contains(&(name.len() as u64)));
    }
    let Ok(query) = Query::parse(text) else { return };
    let _: Vec<&str> = query.all("event").collect();
    if let Ok(namespace) = namespace_of(&query, &REQUEST) {
        assert!((1..=REQUEST.name_bytes).contains(&(namespace.len() as u64)));
    }
    let _ = parse_features(&query, &Keys::new(&[7; 32]), &REQUEST);
});
