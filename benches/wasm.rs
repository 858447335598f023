//! The same as `core`, built for a page and run by `scripts/bench/wasm.mjs` under Node.
#![allow(missing_docs)]

mod workload;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs everything; `now` answers milliseconds.
#[must_use]
#[wasm_bindgen]
pub fn run(now: &js_sys::Function) -> String {
    workload::run(&|| now.call0(&JsValue::NULL).ok().and_then(|ms| ms.as_f64()).unwrap_or(0.0) * 1e6)
}
