//! The aggregator for a page, behind `wasm-bindgen`.
