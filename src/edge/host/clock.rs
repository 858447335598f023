//! The clock: the only place that reads it.

use std::time::Duration;

use worker::{Date, Delay};

use crate::core::periods::day::Day;

/// Milliseconds since the Unix epoch. Within one stretch of code without I/O it stands still on Cloudflare, and goes on
/// with workerd.
pub fn now_ms() -> u64 {
    Date::now().as_millis().saturating_add_signed(offset_ms())
}

/// A time of the runtime, in milliseconds since the Unix epoch, as this clock has it.
pub fn of_runtime_ms(ms: i64) -> Option<u64> {
    u64::try_from(ms.saturating_add(offset_ms())).ok()
}

/// Seconds since the Unix epoch.
pub fn now_s() -> i64 {
    (now_ms() / 1_000) as i64
}

/// The present day.
pub fn today() -> Day {
    Day::of_unix_s(now_s())
}

/// Waits until the requests that have come meanwhile were looked at: workerd goes on with what is at work before it looks
/// at its sockets, but serves a timer that has run out behind them. `guard.js` does the same before every request.
pub async fn let_others_in() {
    Delay::from(Duration::ZERO).await;
}

#[cfg(not(feature = "faults"))]
const fn offset_ms() -> i64 {
    0
}

#[cfg(feature = "faults")]
use injected::offset_ms;
#[cfg(feature = "faults")]
pub use injected::shift;

#[cfg(feature = "faults")]
mod injected {
    use std::cell::Cell;

    thread_local! {
        static OFFSET_MS: Cell<i64> = const { Cell::new(0) };
    }

    /// Sets the clock so far ahead, or back.
    pub fn shift(offset_ms: i64) {
        OFFSET_MS.set(offset_ms);
    }

    pub fn offset_ms() -> i64 {
        OFFSET_MS.get()
    }
}
