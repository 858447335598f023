//! The streams that the law of order is tried with, and the words that they lead to.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::subsequences::{Letter, subsequences};

/// Something that a user does.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    pub user: u8,
    pub event: u8,
    /// Days between the event and when it is told.
    pub days_late: u32,
    /// Minutes since the step before.
    pub minutes: u32,
    /// At which page, if the user may change it.
    pub page: usize,
    /// Whether the page is closed and opened again before it.
    pub restarts: bool,
}

/// Streams of a few days with late events and pauses; and some without, of two events in turns, that come to the longest subsequences.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let days_late = prop_oneof![8 => Just(0), 1 => 1..3_u32];
    let minutes = prop_oneof![30 => 0..4_u32, 2 => 30..90_u32, 1 => 1_000..2_000_u32];
    let many = step(4, days_late, minutes);
    prop_oneof![4 => prop::collection::vec(many, 0..120), 1 => prop::collection::vec(step(2, Just(0), Just(0)), 0..60)]
}

fn step(
    events: u8,
    days_late: impl Strategy<Value = u32>,
    minutes: impl Strategy<Value = u32>,
) -> impl Strategy<Value = Step> {
    (0..2_u8, 0..events, days_late, minutes, 0..2_usize, 0..12_u8).prop_map(
        |(user, event, days_late, minutes, page, restart)| Step {
            user,
            event,
            days_late,
            minutes,
            page,
            restarts: restart == 0,
        },
    )
}

/// The words of users: all of what they did, and what was passed on.
#[derive(Debug, Default)]
pub struct Words {
    pub raw: BTreeMap<u8, Vec<Letter>>,
    pub passed: BTreeMap<u8, Vec<Letter>>,
}

impl Words {
    /// Whether what was passed on is as good as everything, for funnels of so many steps.
    pub fn are_equal(&self, steps_max: usize) -> bool {
        self.raw.iter().all(|(user, raw)| {
            let passed = self.passed.get(user).map_or(&[][..], |passed| passed);
            subsequences(raw, steps_max) == subsequences(passed, steps_max)
        })
    }
}
