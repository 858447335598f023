//! The gate: every number of users that leaves the service passes here.
//!
//! A number below the minimum of its namespace is hidden: it is `null`, and the object that holds it has
//! `"suppressed": true`. The minimum is `GROUP_USERS_MIN` or the namespace's own setting, whichever is greater; 0 hides
//! nothing. A 0 is below every other minimum and hidden like a 1: shown, it would say that nobody did something, and that
//! what is hidden elsewhere is not 0. What is computed from the numbers of groups (a sum of values, a share, a
//! probability) is hidden with the smallest of them.
//!
//! Only this file makes a [`Shown`], which is what answers hold in place of numbers; and what reads numbers from shards
//! gets them as [`Gated`], which gives them to this room only. So an answer that goes past the gate does not compile. What
//! differences of shown numbers still tell is in docs/threat-model.md.

use serde::{Serialize, Serializer};

use crate::core::periods::week::Week;
use crate::core::state::report::Report;

/// The minimum of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    min: u64,
}

/// A number that has passed the gate, or that it has hidden. One that is hidden is less than all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown<T>(Option<T>);

/// A number of users that has passed the gate.
pub type Users = Shown<u64>;

/// Whether an object holds a number that is hidden. In JSON it is `true`, or absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suppressed(bool);

/// The numbers of a namespace behind its gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Gated<R = Report> {
    report: R,
    gate: Gate,
}

/// The users of one event, and of each of its weeks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterUsers {
    /// The event's number.
    pub event: u32,
    /// Its users.
    pub users: Users,
    /// Its users per week, if it has weekly cohorts; under [`Week::OTHER`] the sum over those that have closed.
    pub weeks: Vec<(Week, Users)>,
}

impl Gate {
    /// Hides nothing.
    pub const OPEN: Self = Self::new(0);

    /// Hides every number below `min`.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::answers::gate::Gate;
    /// let gate = Gate::new(5);
    /// assert_eq!([0, 4, 5].map(|users| gate.users(users).get()), [None, None, Some(5)]);
    /// assert_eq!(Gate::OPEN.users(0).get(), Some(0));
    /// ```
    #[must_use]
    pub const fn new(min: u64) -> Self {
        Self { min }
    }

    /// Whether a number of users is below the minimum.
    #[must_use]
    pub const fn hides(self, users: u64) -> bool {
        users < self.min
    }

    /// A number of users.
    #[must_use]
    pub const fn users(self, users: u64) -> Users {
        self.of_group(users, users)
    }

    /// A number that is computed from what the users of a group did, or from several groups, of which this is the smallest.
    #[must_use]
    pub const fn of_group<T: Copy>(self, group_users: u64, number: T) -> Shown<T> {
        Shown(if self.hides(group_users) { None } else { Some(number) })
    }
}

impl<T: Copy> Shown<T> {
    /// The number; `None` where it is hidden.
    #[must_use]
    pub const fn get(self) -> Option<T> {
        self.0
    }

    /// Whether it is hidden.
    #[must_use]
    pub const fn is_hidden(self) -> bool {
        self.0.is_none()
    }
}

impl<T: Serialize> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Suppressed {
    /// Of an object one of whose numbers is hidden, if it is.
    #[must_use]
    pub const fn of(has_hidden: bool) -> Self {
        Self(has_hidden)
    }

    /// Whether the object leaves it out.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub const fn is_absent(&self) -> bool {
        !self.0
    }
}

impl Serialize for Suppressed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0)
    }
}

impl<R> Gated<R> {
    /// Puts numbers behind a gate.
    #[must_use]
    pub const fn new(report: R, gate: Gate) -> Self {
        Self { report, gate }
    }

    /// The gate.
    pub(super) const fn gate(&self) -> Gate {
        self.gate
    }

    /// What is behind it.
    pub(super) const fn report(&self) -> &R {
        &self.report
    }
}

impl Gated {
    /// The users of every event that somebody did, and of every goal, ascending by number.
    pub fn counters(&self) -> impl Iterator<Item = CounterUsers> {
        let listed = self.report.counters.iter().filter(|counter| counter.is_listed());
        listed.map(|counter| CounterUsers {
            event: counter.event,
            users: self.gate.users(counter.count),
            weeks: counter.weeks.iter().map(|(&week, &users)| (week, self.gate.users(users))).collect(),
        })
    }
}
