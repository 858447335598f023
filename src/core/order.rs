//! Sorting, and maps, of what is listed once a request.
//!
//! Every type that `slice::sort_by` or `BTreeMap::from_iter` is called with brings a sort of its own, some 8 KB, into the Worker. These share one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The positions of so many items, ascending by `compare`; those that are equal stay in their order.
#[must_use]
pub fn order(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

/// The items, ascending by `compare`; those that are equal stay in their order.
///
/// # Example
/// ```
/// use kimball_edge::core::order::sorted;
/// let words = sorted(vec!["three", "one", "two"], |a, b| a.len().cmp(&b.len()));
/// assert_eq!(words, ["one", "two", "three"]);
/// ```
#[must_use]
pub fn sorted<T>(items: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let compare = |a, b| items.get(a).zip(items.get(b)).map_or(Ordering::Equal, |(a, b)| compare(a, b));
    let order = order(items.len(), &compare);
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| items.get_mut(at)?.take()).collect()
}

/// A map of these entries; of those with one key the last.
#[must_use]
pub fn map_of<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}
