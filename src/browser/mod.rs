//! What pages, Node and other Workers get, behind `wasm-bindgen`: two modules of WebAssembly, each built by a feature of its own.
//!
//! - feature `browser`: the pre-aggregator with its numbers, for those who send batches in their own way;
//! - feature `news`: whether an event is news, which is all that the client asks, and all that a page fetches for it.

#[cfg(feature = "browser")]
mod aggregator;
#[cfg(feature = "news")]
mod seen;
#[cfg(feature = "browser")]
mod value;

#[cfg(feature = "browser")]
pub use aggregator::{Aggregator, anonymous_id};
#[cfg(feature = "news")]
pub use seen::Seen;

/// A page fetches its allocator: this one is a third of the usual one's size.
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
