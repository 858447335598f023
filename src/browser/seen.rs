//! What the client asks: whether an event is news. See [`core::Seen`](crate::core::pre_aggregation::Seen).
//!
//! It is the client's own (`pkg/src/client/seen.js`), which passes nothing on that is of a wrong type. What is short here is not fetched.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::core::periods::day::Day;
use crate::core::pre_aggregation::{self as core, Level, News};

/// What was passed on.
#[wasm_bindgen]
pub struct Seen {
    state: core::Seen,
}

#[wasm_bindgen]
impl Seen {
    /// One that has seen nothing, with a key of 16 random bytes.
    #[must_use]
    #[wasm_bindgen(constructor)]
    pub fn new(key: &[u8], bytes_max: usize, level: usize) -> Self {
        let key = key.first_chunk().copied().unwrap_or_default();
        Self { state: core::Seen::new(key, bytes_max, named(level)) }
    }

    /// What [`Self::encode`] has answered; nothing for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8], bytes_max: usize) -> Option<Self> {
        core::Seen::decode(bytes, bytes_max).ok().map(|state| Self { state })
    }

    /// Everything, for [`Self::decode`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.state.encode()
    }

    /// What is new since this was asked for last, for [`Self::apply`].
    #[must_use]
    pub fn changes(&mut self) -> Vec<u8> {
        self.state.changes()
    }

    /// Does what was done elsewhere; false where that is none of ours.
    #[must_use]
    pub fn apply(&mut self, changes: &[u8]) -> bool {
        self.state.apply(changes).is_ok()
    }

    /// Keeps so much from here on: a place in [`Level::ALL`].
    pub fn keep(&mut self, level: usize) {
        self.state.set_level(named(level));
    }

    /// What an event tells a server: 0 nothing, 1 that it was done again behind others, 2 that it was done; and 4 more where something was
    /// forgotten because there is more than fits. `names` are namespace, event and user with a 0 byte between them, its day is a number of
    /// days since year 0 began, and now one of minutes.
    #[must_use]
    pub fn record(&mut self, names: &[u8], goal: bool, day: u32, now_min: u32) -> u8 {
        let mut names = names.splitn(3, |&byte| byte == 0);
        let names = [(); 3].map(|()| names.next().unwrap_or_default());
        let day = Day::of_number(day.into()).unwrap_or(Day::MAX);
        let news = match self.state.record_names(names, day, now_min, goal) {
            News::Repeat => 0,
            News::Order => 1,
            News::First => 2,
        };
        if self.state.has_aged() { news + 4 } else { news }
    }
}

fn named(level: usize) -> Level {
    Level::ALL.get(level).copied().unwrap_or(Level::Order)
}
