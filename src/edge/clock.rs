//! The clock: the only place that reads it.

use worker::Date;

/// Milliseconds since the Unix epoch. Within one stretch of code without I/O it stands still on Cloudflare, and goes on
/// with workerd.
pub fn now_ms() -> u64 {
    Date::now().as_millis().saturating_add_signed(offset_ms())
}

/// Seconds since the Unix epoch.
pub fn now_s() -> i64 {
    (now_ms() / 1_000) as i64
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
