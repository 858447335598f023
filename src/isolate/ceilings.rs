//! What an isolate may take of memory at most, by its limits: all ceilings together.

use crate::core::settings::limits::{
    BATCH_EVENTS, BODIES_BYTES, BODY_BYTES, CHANGE_BYTES, CHANGES_AT_ONCE, CLOUDFLARE_BYTES, EVENT_BYTES,
    FLAG_PART_BYTES, FLAG_PARTS, FLAGS_BYTES, GROUP_OPERATIONS, ISOLATE_BASE_BYTES, ISOLATE_MEMORY_BYTES,
    JOURNAL_GROWTH, METRICS_BYTES, NAME_CACHE_BYTES, OPEN_PERIODS, OPERATION_BYTES, PERIOD_EFFECT_BYTES, ROW_BYTES,
    SERIES_EVENTS, SHARD_MEMORY_BYTES, max,
};

/// The limits that bound the memory of an isolate.
///
/// What several requests take at the same time has a budget of its own. What is taken in one synchronous stretch is taken
/// once: no two of parsing, loading, changing and compacting ever are under way together. Reads count as one: of those
/// who may read, each may ask for the numbers of a namespace, and at the same time they add up.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    /// [`ISOLATE_MEMORY_BYTES`].
    pub shards: u64,
    /// [`SHARD_MEMORY_BYTES`].
    pub shard: u64,
    /// [`BODIES_BYTES`].
    pub bodies: u64,
    /// [`BODY_BYTES`].
    pub body: u64,
    /// [`BATCH_EVENTS`].
    pub batch_events: u64,
    /// [`SERIES_EVENTS`].
    pub series_events: u64,
    /// [`FLAGS_BYTES`].
    pub flags: u64,
    /// [`METRICS_BYTES`].
    pub metrics: u64,
}

impl Ceilings {
    /// Those of the defaults.
    pub const DEFAULT: Self = Self {
        shards: ISOLATE_MEMORY_BYTES.default,
        shard: SHARD_MEMORY_BYTES.default,
        bodies: BODIES_BYTES.default,
        body: BODY_BYTES.default,
        batch_events: BATCH_EVENTS.default,
        series_events: SERIES_EVENTS.default,
        flags: FLAGS_BYTES.default,
        metrics: METRICS_BYTES.default,
    };
    /// Those of everything at its greatest.
    pub const MAX: Self = Self {
        shards: ISOLATE_MEMORY_BYTES.max,
        shard: SHARD_MEMORY_BYTES.max,
        bodies: BODIES_BYTES.max,
        body: BODY_BYTES.max,
        batch_events: BATCH_EVENTS.max,
        series_events: SERIES_EVENTS.max,
        flags: FLAGS_BYTES.max,
        metrics: METRICS_BYTES.max,
    };

    /// The most bytes of memory that an isolate takes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        let row = ROW_BYTES as u64;
        // A body put together or inflated, and the batch that it becomes: its names twice, its items in lists that double.
        let parsing = self.body / 4 * 5 + 2 * self.body + self.batch_events * EVENT_BYTES;
        // The stored bytes of one section beside the state that it becomes, or a row and its effects.
        let loading = max(self.shard, JOURNAL_GROWTH as u64 * row);
        // The greatest user set as it was while it grows, or sets that closed until that can no longer be refused; and what a
        // group of operations takes: fewer than its bound, and one batch more. They enter every set of a period once, and change definitions
        // a part at a time.
        let changing = self.shard
            + (GROUP_OPERATIONS as u64 + self.batch_events) * OPERATION_BYTES
            + (1 + self.series_events) * OPEN_PERIODS * PERIOD_EFFECT_BYTES
            + CHANGES_AT_ONCE as u64 * CHANGE_BYTES;
        // The greatest section encoded, once as a list of gaps and once as a whole, and a row of it twice.
        let compacting = self.shard / 2 * 3 + 2 * row;
        // The body of a flag as text and as a tree; how many values it may have is asked before.
        let reading_flag = self.body / 4 * 5 + FLAG_PARTS as u64 * FLAG_PART_BYTES;
        let stretch = max(max(parsing, reading_flag), max(loading, max(changing, compacting)));
        // Read, as a message from the registry, and as the answer that the registry keeps, where their values are of some ten bytes, as people write them. An
        // admin who wants to can have values of one letter take five times that.
        let flags = 3 * self.flags;
        // An answer is text that grows by doubling, then the runtime's copy of it.
        let answers = self.metrics / 2 * 5;
        ISOLATE_BASE_BYTES + self.shards + self.bodies + stretch + NAME_CACHE_BYTES as u64 + flags + answers
    }
}

/// The most that the greatest limits allow, as the README says.
const MAX_BYTES: u64 = 672 << 20;

// On Cloudflare the defaults fit an isolate, and `edge::config` refuses what does not. A process of one's own may take
// what its operator says: at most the greatest sum, beside what the runtime takes.
const _: () = assert!(Ceilings::DEFAULT.bytes() <= CLOUDFLARE_BYTES);
const _: () = assert!(Ceilings::MAX.bytes() <= MAX_BYTES);
