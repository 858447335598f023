//! Reading of definitions as the registry stores them.

use super::retention::parse_stored_retention;
use crate::core::state::definitions::{Kind, Spec};

/// Reads the JSON of a definition, with the numbers of the events that it names, in the order of their names in it. `None` where it is no
/// definition of the kind.
#[must_use]
pub fn parse_stored_definition(kind: Kind, spec: &str, events: &[u32]) -> Option<Spec> {
    match kind {
        Kind::Retention => parse_stored_retention(spec)?.with(events).map(Spec::Retention),
    }
}
