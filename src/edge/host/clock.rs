//! The clock: the only place that reads it.

use std::time::Duration;

use worker::{Date, Delay};

use crate::core::periods::day::Day;

/// Milliseconds since the Unix epoch. Within one stretch of code without I/O it stands still on Cloudflare, and goes on
/// with workerd.
pub fn now_ms() -> u64 {
    of_runtime(Date::now().as_millis())
}

/// A time of the runtime, in milliseconds since the Unix epoch, as this clock has it.
pub fn of_runtime_ms(ms: i64) -> Option<u64> {
    u64::try_from(ms).ok().map(of_runtime)
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
const fn of_runtime(ms: u64) -> u64 {
    ms
}

/// So many milliseconds of this clock in those of the runtime, whose alarms know no other.
#[cfg(not(feature = "faults"))]
pub const fn in_runtime_ms(ms: u64) -> u64 {
    ms
}

#[cfg(feature = "faults")]
use injected::of_runtime;
#[cfg(feature = "faults")]
pub use injected::{in_runtime_ms, set};

#[cfg(feature = "faults")]
mod injected {
    use std::cell::Cell;

    use worker::Date;

    /// A clock that was set: what the runtime's stood at then, what this one was set to, and how many times faster it runs since.
    #[derive(Clone, Copy)]
    struct Setting {
        runtime_ms: i64,
        clock_ms: i64,
        speed: i64,
    }

    thread_local! {
        static SETTING: Cell<Setting> = const { Cell::new(Setting { runtime_ms: 0, clock_ms: 0, speed: 1 }) };
    }

    /// Sets the clock so far ahead of the runtime's, or back, and has it run so many times faster from now on. Alarms that are set
    /// already come when they would have come.
    pub fn set(offset_ms: i64, speed: u32) {
        let runtime_ms = Date::now().as_millis() as i64;
        let clock_ms = runtime_ms.saturating_add(offset_ms);
        SETTING.set(Setting { runtime_ms, clock_ms, speed: i64::from(speed.max(1)) });
    }

    pub fn of_runtime(ms: u64) -> u64 {
        let Setting { runtime_ms, clock_ms, speed } = SETTING.get();
        let since_ms = (ms as i64).saturating_sub(runtime_ms).saturating_mul(speed);
        u64::try_from(clock_ms.saturating_add(since_ms)).unwrap_or(0)
    }

    /// So many milliseconds of this clock in those of the runtime. Rounded up: an alarm that came too early would be set anew for the
    /// same millisecond, and the runtime forgets it then as the one that has come.
    pub fn in_runtime_ms(ms: u64) -> u64 {
        ms.div_ceil(SETTING.get().speed.unsigned_abs())
    }
}
