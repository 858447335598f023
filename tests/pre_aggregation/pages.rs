//! Pages of a fixed key, and what is left of them after a restart.

use kimball_edge::core::identity::LocalKey;
use kimball_edge::core::pre_aggregation::{Bounds, PreAggregator};

pub fn page(bounds: Bounds) -> PreAggregator {
    PreAggregator::new(LocalKey::new(&[9; 32]), bounds)
}

pub fn restarted(page: &PreAggregator, bounds: Bounds) -> PreAggregator {
    let bytes = page.encode();
    let decoded = PreAggregator::decode(&bytes, bounds).unwrap();
    assert_eq!(decoded.encode(), bytes);
    assert_eq!(decoded.memory_bytes(), page.memory_bytes());
    decoded
}
