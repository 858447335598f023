//! An event on its way into a pre-aggregator, and out of it.

use super::Rejection;
use crate::core::periods::day::Day;
use crate::core::requests::{DEFAULT_NAMESPACE, Fault, check_name, check_user_id, check_value};
use crate::core::settings::limits::NAME_BYTES;

/// An event. What a server reads of it is the same before and after pre-aggregation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event<'a> {
    /// The namespace's name.
    pub namespace: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// Who did it.
    pub user: &'a str,
    /// Added to the event's sum at the user's first occurrence.
    pub value: Option<f64>,
    /// Whether the event is to be a goal first.
    pub ensure_goal: bool,
    /// When it was done. No finer time is kept.
    pub day: Day,
    /// By which a server knows the event when it is sent again: random bytes.
    pub id: Option<[u8; 8]>,
}

impl<'a> Event<'a> {
    /// An event in the default namespace, without a value, that makes no goal.
    #[must_use]
    pub const fn new(event: &'a str, user: &'a str, day: Day) -> Self {
        Self { namespace: DEFAULT_NAMESPACE, event, user, value: None, ensure_goal: false, day, id: None }
    }

    /// Checks the form of everything in it, with names and user ids of at most `name_bytes_max`.
    ///
    /// # Errors
    /// [`Rejection::Field`] for the first thing that a server would refuse.
    pub(super) fn check(&self, name_bytes_max: u64) -> Result<(), Rejection> {
        let wrong = |field| move |fault: Fault| Rejection::Field { field, fault };
        check_name(self.event, name_bytes_max).map_err(wrong("event"))?;
        check_user_id(self.user, name_bytes_max).map_err(wrong("user"))?;
        check_name(self.namespace, name_bytes_max).map_err(wrong("namespace"))?;
        self.value.map_or(Ok(()), check_value).map_err(wrong("value"))
    }

    /// Whether a pre-aggregator can have passed it on, with whatever options.
    pub(super) fn is_possible(&self) -> bool {
        self.check(NAME_BYTES.max).is_ok()
    }
}
