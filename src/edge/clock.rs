//! The clock: the only place that reads it.

use worker::Date;

/// Milliseconds since the Unix epoch. Within one stretch of code without I/O it stands still on Cloudflare, and goes on
/// with workerd.
pub fn now_ms() -> u64 {
    Date::now().as_millis()
}

/// Seconds since the Unix epoch.
pub fn now_s() -> i64 {
    (now_ms() / 1_000) as i64
}
