//! Rollouts: a flag that is on for a share of all users which grows from nobody to everybody, sticky per user.
//!
//! A user draws a fixed number of 32 bits per flag, and the flag is on for those below a threshold that grows with
//! time. So nobody is switched off again, and flags are independent of each other.

/// Thresholds are parts of this: at it, the flag is on for everybody.
pub const EVERYBODY: u64 = 1 << 32;

/// From when to when a flag is rolled out, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rollout {
    /// Nobody until here.
    pub start: i64,
    /// Everybody from here on; not before `start`.
    pub end: i64,
    /// Where the end was changed while the rollout was running: what it goes on from.
    pub reached: Option<Reached>,
}

/// The share of a rollout when its end was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reached {
    /// When that was, in Unix seconds.
    pub at: i64,
    /// The threshold at that time.
    pub threshold: u64,
}

impl Rollout {
    /// Users whose draw is below this have the flag, of [`EVERYBODY`]. Never falls while time passes.
    ///
    /// Without a change on the way it is `ceil(2^32 * (now - start) / (end - start))`, so that a draw `h` is below it
    /// just if `h * (end - start) >> 32 < now - start` (flagd, "fractional" version 3). After a change it grows
    /// linearly from what was reached.
    #[must_use]
    pub fn threshold(&self, now: i64) -> u64 {
        if now >= self.end {
            return EVERYBODY;
        }
        match self.reached {
            Some(Reached { at, threshold }) => {
                threshold + part(EVERYBODY.saturating_sub(threshold), now, at, self.end, false)
            }
            None => part(EVERYBODY, now, self.start, self.end, true),
        }
    }

    /// The rollout that takes the place of this one: `start` is what was given for it, if anything.
    ///
    /// Where only the end changes, the share that is reached now is where the new rollout goes on from. That is so when
    /// the start is the same as before, or absent while the former rollout is on for some. Doing it again at the same
    /// time changes nothing.
    #[must_use]
    pub fn succeeded_by(&self, start: Option<i64>, end: i64, now: i64) -> Self {
        let threshold = self.threshold(now);
        // By the share and not by the start, which is now where the end was changed a moment ago.
        let is_running = threshold > 0 && now < self.end;
        let goes_on = start.map_or(is_running, |start| start == self.start);
        let reached = if !goes_on {
            None
        } else if start.is_some() && end == self.end {
            self.reached
        } else {
            (threshold > 0).then_some(Reached { at: now, threshold })
        };
        Self { start: start.unwrap_or(now), end, reached }
    }
}

/// `whole * (now - start) / (end - start)`, within 0 and `whole`.
fn part(whole: u64, now: i64, start: i64, end: i64, round_up: bool) -> u64 {
    let since = |from: i64, to: i64| u128::from(from.abs_diff(to));
    if now <= start {
        return 0;
    }
    if now >= end {
        return whole;
    }
    let (passed, total) = (u128::from(whole) * since(start, now), since(start, end));
    let part = if round_up { passed.div_ceil(total) } else { passed / total };
    u64::try_from(part).unwrap_or(whole)
}

/// What a user draws for a flag, the same for ever: `murmur3_x86_32(0x82 ‖ cborText(flag) ‖ cborText(user_id))`, seed 0.
///
/// # Example
/// ```
/// use kimball_edge::core::flags::draw;
/// assert_eq!(draw("new-checkout", "alice"), 660117157);
/// ```
#[must_use]
pub fn draw(flag: &str, user_id: &str) -> u32 {
    let mut bytes = Vec::with_capacity(flag.len() + user_id.len() + 7);
    bytes.push(0x82);
    put_text(&mut bytes, flag);
    put_text(&mut bytes, user_id);
    // Reading from memory does not fail.
    murmur3::murmur3_32(&mut bytes.as_slice(), 0).unwrap_or_default()
}

/// A text as CBOR (RFC 8949, 3.1, major type 3) of at most 65,535 bytes.
fn put_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..24 => out.push(0x60 | len as u8),
        len @ 24..256 => out.extend_from_slice(&[0x78, len as u8]),
        len => {
            out.push(0x79);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}
