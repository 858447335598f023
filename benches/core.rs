//! `cargo bench --bench core`: times and sizes of the core, natively.
#![allow(missing_docs, clippy::disallowed_methods)]

mod workload;

fn main() {
    let start = std::time::Instant::now();
    println!("{}", workload::run(&|| start.elapsed().as_secs_f64() * 1e9));
}
