//! What the state of a shard is held to. Whoever sends it a batch says so with the batch.

use litemap::LiteMap;

use super::error::Refusal;
use crate::core::sets::user_set::UserSet;
use crate::core::settings::limits::LATENESS_DAYS;

/// The limits that a shard's state is held to.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardLimits {
    /// Unique users of one event in this shard.
    pub users_per_event: u64,
    /// Combinations of one goal in this shard.
    pub combinations_per_goal: u64,
    /// Bytes of memory of the shard.
    pub memory_bytes: u64,
    /// Weekly cohorts of one event in this shard.
    pub weeks_per_event: u64,
    /// What periods are held to.
    pub time: TimeLimits,
    /// Whether a goal is refused where there is no memory for it. A goal must be on all shards of a namespace or on none, so
    /// there it is not: it takes some hundred bytes for each event at most.
    pub refuses_goals: bool,
    /// Bits of a fingerprint that the user set of a new event keeps, unless a counter setting says otherwise.
    pub fingerprint_bits: u8,
    /// Events that a counter setting gives limits of their own, by number.
    pub sizings: LiteMap<u32, Sizing>,
}

/// What the periods of a shard are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// Days after its end for which a period takes late events.
    pub lateness_days: i64,
    /// Fingerprints in all sets of open periods; 0 counts in none.
    pub fingerprints: u64,
}

impl TimeLimits {
    /// The greatest of both.
    pub const NONE: Self = Self { lateness_days: LATENESS_DAYS.max as i64, fingerprints: u64::MAX };
}

/// What a counter setting makes of an event's user set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizing {
    /// Unique users of the event in this shard.
    pub users_max: u64,
    /// The greatest probability that a new user is taken for a known one.
    pub false_positive_rate: f64,
}

impl Sizing {
    /// The fewest bits of a fingerprint with which `users_max` users keep to the rate: `log2(users_max / rate)`.
    #[must_use]
    pub fn fingerprint_bits(&self) -> u8 {
        let values = self.users_max.max(1) as f64 / self.false_positive_rate;
        (UserSet::FINGERPRINT_BITS_MIN..=UserSet::FINGERPRINT_BITS_MAX)
            .find(|&enough| (1_u64 << enough) as f64 >= values)
            .unwrap_or(UserSet::FINGERPRINT_BITS_MAX)
    }
}

impl ShardLimits {
    /// The part of a namespace's number that shard `index` of `shards` has; all parts add up to it.
    #[must_use]
    pub const fn share(total: u64, index: u32, shards: u32) -> u64 {
        let shards = if shards == 0 { 1 } else { shards as u64 };
        let takes_one_more = (index as u64) < total % shards;
        total / shards + if takes_one_more { 1 } else { 0 }
    }

    /// How many users an event may have whose set keeps so many bits of each fingerprint: what its setting says, and
    /// never so many that the rate of the setting would not hold. The refusal is what to answer at that number.
    // Both factors are positive.
    #[allow(clippy::cast_sign_loss)]
    pub(crate) fn users(&self, event: u32, fingerprint_bits: u8) -> (u64, Refusal) {
        match self.sizings.get(&event) {
            Some(sizing) => {
                let capacity = (sizing.false_positive_rate * (1_u64 << fingerprint_bits) as f64) as u64;
                let users_max = sizing.users_max.min(capacity);
                (users_max, Refusal::CounterSize { users_max })
            }
            None => (self.users_per_event, Refusal::Users),
        }
    }

    /// No limits: for replaying what was accepted before.
    pub const NONE: Self = Self {
        users_per_event: u64::MAX,
        combinations_per_goal: u64::MAX,
        memory_bytes: u64::MAX,
        weeks_per_event: u64::MAX,
        time: TimeLimits::NONE,
        refuses_goals: false,
        fingerprint_bits: UserSet::FINGERPRINT_BITS,
        sizings: LiteMap::new_vec(),
    };
}
