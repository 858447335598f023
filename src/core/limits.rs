//! Every limit of the product, with its unit, its default and the range an operator may choose from.
//!
//! No other bare number in the crate bounds a size, a count or a time. A limit is set by a configuration variable of
//! the same name; its ceiling keeps the promise of predictable memory whatever an operator asks for.

use litemap::LiteMap;

use super::cohort::Week;
use super::error::{Invalid, Refusal};
use super::user_set::UserSet;

/// One configurable limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The name of the configuration variable, also given in refusals.
    pub name: &'static str,
    /// What it counts, for people.
    pub unit: &'static str,
    /// The value where nothing is configured.
    pub default: u64,
    /// The least value that can be configured.
    pub min: u64,
    /// The greatest value that can be configured.
    pub max: u64,
}

impl Limit {
    /// Reads a configured value; an empty text means the default.
    ///
    /// # Errors
    /// [`Invalid`] naming the variable when the text is not a whole number from `min` to `max`.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::limits::SHARDS;
    /// assert_eq!(SHARDS.read(""), Ok(4));
    /// assert_eq!(SHARDS.read("16"), Ok(16));
    /// assert!(SHARDS.read("many").is_err());
    /// ```
    pub fn read(&self, text: &str) -> Result<u64, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(self.default);
        }
        match text.parse::<u64>() {
            Ok(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ => Err(Invalid {
                what: format!("{}: must be a whole number from {} to {}", self.name, self.min, self.max),
            }),
        }
    }
}

const MIB: u64 = 1 << 20;

/// Bytes of a request body, after decoding.
pub const BODY_BYTES: Limit =
    Limit { name: "BODY_BYTES_MAX", unit: "bytes of a body", default: 5 * MIB, min: 64, max: 16 * MIB };
/// Events in one request.
pub const BATCH_EVENTS: Limit =
    Limit { name: "BATCH_EVENTS_MAX", unit: "events in a request", default: 10_000, min: 1, max: 100_000 };
/// Bytes of UTF-8 in a name (event, goal, namespace) or a user id.
pub const NAME_BYTES: Limit =
    Limit { name: "NAME_BYTES_MAX", unit: "bytes of a name or user id", default: 256, min: 1, max: 1_024 };
/// Namespaces of a deployment.
pub const NAMESPACES: Limit = Limit { name: "NAMESPACES_MAX", unit: "namespaces", default: 1_000, min: 1, max: 10_000 };
/// Event names in one namespace.
pub const EVENTS_PER_NAMESPACE: Limit =
    Limit { name: "EVENTS_PER_NAMESPACE_MAX", unit: "event names in a namespace", default: 1_000, min: 1, max: 10_000 };
/// Combinations of prior events listed per goal; further new ones count in `other`.
pub const COMBINATIONS_PER_GOAL: Limit = Limit {
    name: "COMBINATIONS_PER_GOAL_MAX",
    unit: "combinations listed per goal",
    default: 1_000,
    min: 1,
    max: 10_000,
};
/// Unique users per event of a namespace, divided evenly between its shards.
pub const USERS_PER_EVENT: Limit =
    Limit { name: "USERS_PER_EVENT_MAX", unit: "users of an event", default: 16_000_000, min: 1, max: 64_000_000 };
/// Bytes of memory that the state of one shard may take.
pub const SHARD_MEMORY_BYTES: Limit = Limit {
    name: "SHARD_MEMORY_BYTES_MAX",
    unit: "bytes of memory of a shard",
    default: 16 * MIB,
    min: 4_096,
    max: 32 * MIB,
};
/// Bytes of memory that all loaded shards of one isolate may take together.
pub const ISOLATE_MEMORY_BYTES: Limit = Limit {
    name: "ISOLATE_MEMORY_BYTES_MAX",
    unit: "bytes of memory of all loaded shards",
    default: 64 * MIB,
    min: 4_096,
    max: 96 * MIB,
};
/// Weekly cohorts of one event in one shard; at that number the oldest closes into the number `other`.
pub const WEEKS_PER_EVENT: Limit =
    Limit { name: "WEEKS_PER_EVENT_MAX", unit: "weekly cohorts of an event", default: 520, min: 1, max: 5_200 };
/// How far ahead of the present week an event's week may be, in seconds: one week, for clocks that run ahead.
pub const WEEKS_AHEAD_S: i64 = 7 * 86_400;
/// The sum of the users of closed weeks is below this, or what is stored is damaged: sums of shards cannot overflow.
pub const CLOSED_USERS_MAX: u64 = 1 << 48;
/// Flags of a deployment.
pub const FLAGS: Limit = Limit { name: "FLAGS_MAX", unit: "flags", default: 1_000, min: 1, max: 10_000 };
/// Conditions of one flag.
pub const FLAG_CONDITIONS: Limit =
    Limit { name: "FLAG_CONDITIONS_MAX", unit: "conditions of a flag", default: 100, min: 1, max: 1_000 };
/// Values of one condition `in`.
pub const FLAG_VALUES: Limit =
    Limit { name: "FLAG_VALUES_MAX", unit: "values of a condition", default: 1_000, min: 1, max: 10_000 };
/// Bytes of all flags together, as they are stored.
pub const FLAGS_BYTES: Limit =
    Limit { name: "FLAGS_BYTES_MAX", unit: "bytes of all flags", default: 4 * MIB, min: 1_024, max: 16 * MIB };
/// Bytes of one answer of metrics.
pub const METRICS_BYTES: Limit = Limit {
    name: "METRICS_BYTES_MAX",
    unit: "bytes of an answer of metrics",
    default: 16 * MIB,
    min: 1_024,
    max: 32 * MIB,
};
/// Shards of a namespace, fixed when the namespace is created.
pub const SHARDS: Limit = Limit { name: "SHARDS", unit: "shards of a new namespace", default: 4, min: 1, max: 64 };
/// Bytes of journal after which a shard compacts at once.
pub const JOURNAL_BYTES: Limit = Limit {
    name: "JOURNAL_BYTES_MAX",
    unit: "bytes of journal before compaction",
    default: 2 * MIB,
    min: 1_024,
    max: 8 * MIB,
};
/// Journal rows after which a shard compacts at once.
pub const JOURNAL_ROWS: Limit =
    Limit { name: "JOURNAL_ROWS_MAX", unit: "rows of journal before compaction", default: 4_096, min: 1, max: 65_536 };
/// Milliseconds from the first journal row after a compaction to the compaction by alarm.
pub const COMPACTION_IDLE_MS: Limit = Limit {
    name: "COMPACTION_IDLE_MS",
    unit: "milliseconds from a write to the compaction",
    default: 10_000,
    min: 10,
    max: 3_600_000,
};

/// Batches that one call carries out at once for itself and others.
pub const GROUP_BATCHES: usize = 64;
/// Operations of those batches, beyond which it waits for no further ones: until it is done, all are in memory.
pub const GROUP_OPERATIONS: usize = 10_000;
/// Milliseconds for which a batch waits for calls that have arrived, if one of them is stuck.
pub const GROUP_WAIT_MS: u64 = 20;
/// Bytes of one stored row (Durable Objects refuse values from about 2 MB).
pub const ROW_BYTES: usize = 1 << 20;
/// Shards that are asked at the same time for one read or written to for one batch.
pub const FAN_OUT: usize = 16;
/// Bytes of names that one isolate caches.
pub const NAME_CACHE_BYTES: usize = 8 << 20;
/// Milliseconds for which an isolate takes its flags for those of the registry.
pub const FLAG_CACHE_MS: u64 = 2_000;
/// Bytes that are read and thrown away of a body that is too large, before it is refused.
pub const DRAIN_BYTES: u64 = 16 * MIB;
/// Milliseconds that this may take.
pub const DRAIN_MS: u64 = 1_000;
/// Settings in `COUNTERS`.
pub const COUNTER_SETTINGS: usize = 100;
/// Bytes of the programs that all patterns in `COUNTERS` become, divided evenly between them: every new event name may
/// pass through all of them, which takes a time of their product with its length.
pub const PATTERN_PROGRAM_BYTES: usize = 256 << 10;
/// Bytes of one pattern in `COUNTERS`.
pub const PATTERN_BYTES: usize = 1_024;
/// Bytes of a query string.
pub const QUERY_BYTES: usize = 64 << 10;
/// The greatest magnitude of an event's value: with at most [`USERS_PER_EVENT`] of them, no sum can overflow.
pub const VALUE_ABS: f64 = 1e300;
/// Bytes of memory that a pre-aggregator takes for what it has seen, unless told otherwise.
pub const LOCAL_MEMORY_BYTES: usize = 1 << 20;
/// Bytes of passed on events that a pre-aggregator keeps until they are drained, unless told otherwise.
pub const LOCAL_PENDING_BYTES: usize = 1 << 20;
/// The least bytes of them that it can be told, with which any one event fits.
pub const LOCAL_PENDING_BYTES_MIN: usize = 4_096;
/// The most that it can be told for either.
pub const LOCAL_BYTES_MAX: usize = 64 << 20;
/// Seconds that a client is asked to wait after a 503.
pub const RETRY_AFTER_S: u64 = 1;

const _: () = assert!(SHARD_MEMORY_BYTES.max <= ISOLATE_MEMORY_BYTES.max);
const _: () = assert!(SHARD_MEMORY_BYTES.default <= ISOLATE_MEMORY_BYTES.default);
const _: () = assert!((USERS_PER_EVENT.max as f64) * VALUE_ABS < f64::MAX);
const _: () = assert!(SHARDS.min >= 1);
const _: () = assert!(LOCAL_PENDING_BYTES_MIN > 3 * NAME_BYTES.max as usize + 64);

/// The limits that one request is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Events in a batch.
    pub batch_events: u64,
    /// Bytes of a name or user id.
    pub name_bytes: u64,
}

/// The limits that flags are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlagLimits {
    /// Flags.
    pub flags: u64,
    /// Conditions of one flag.
    pub conditions: u64,
    /// Values of one condition.
    pub values: u64,
    /// Bytes of all flags.
    pub bytes: u64,
}

/// The limits that a shard's state is held to.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ShardLimits {
    /// Unique users of one event in this shard.
    pub users_per_event: u64,
    /// Combinations of one goal in this shard.
    pub combinations_per_goal: u64,
    /// Bytes of memory of the shard.
    pub memory_bytes: u64,
    /// Weekly cohorts of one event in this shard.
    pub weeks_per_event: u64,
    /// The latest week in which an event counts.
    pub latest_week: Week,
    /// Bits of a fingerprint that the user set of a new event keeps, unless a counter setting says otherwise.
    pub fingerprint_bits: u8,
    /// Events that a counter setting gives limits of their own, by number.
    pub sizings: LiteMap<u32, Sizing>,
}

/// What a counter setting makes of an event's user set.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
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
    /// The limits of shard `index` of `shards`. The shards' users per event add up to those of the namespace, so they
    /// differ by one where it does not divide evenly.
    #[must_use]
    pub const fn of_shard(
        users_per_event: u64,
        combinations_per_goal: u64,
        memory_bytes: u64,
        weeks_per_event: u64,
        index: u32,
        shards: u32,
    ) -> Self {
        Self {
            users_per_event: Self::share(users_per_event, index, shards),
            combinations_per_goal,
            memory_bytes,
            weeks_per_event,
            latest_week: Week::MAX,
            fingerprint_bits: UserSet::FINGERPRINT_BITS,
            sizings: LiteMap::new_vec(),
        }
    }

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
    pub(super) fn users(&self, event: u32, fingerprint_bits: u8) -> (u64, Refusal) {
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
        latest_week: Week::MAX,
        fingerprint_bits: UserSet::FINGERPRINT_BITS,
        sizings: LiteMap::new_vec(),
    };
}
