//! Every limit of the product, with its unit, its default and the range an operator may choose from.
//!
//! No other bare number in the crate bounds a size, a count or a time. A limit is set by a configuration variable of
//! the same name; its ceiling keeps the promise of predictable memory whatever an operator asks for.

use crate::core::state::error::Invalid;

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
    /// use kimball_edge::core::settings::limits::SHARDS;
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
/// Bytes of memory that all request bodies in flight in one isolate may take together, with what is made of them; a
/// quarter is kept for those up to [`SMALL_BODY_BYTES`]. Where it is not set it is what [`bodies_bytes`] says.
pub const BODIES_BYTES: Limit = Limit {
    name: "BODIES_BYTES_MAX",
    unit: "bytes of all bodies in flight",
    default: 16 * MIB,
    min: MIB,
    max: 256 * MIB,
};
/// Events in one request.
pub const BATCH_EVENTS: Limit =
    Limit { name: "BATCH_EVENTS_MAX", unit: "events in a request", default: 10_000, min: 1, max: 100_000 };
/// Namespaces that the events of one request may be of. Each costs a message to each of its shards, so that this bounds
/// what one request makes others wait for.
pub const BATCH_NAMESPACES: Limit =
    Limit { name: "NAMESPACES_PER_BATCH_MAX", unit: "namespaces in a request", default: 100, min: 1, max: 1_000 };
/// Bytes of UTF-8 in a name (event, goal, namespace) or a user id.
pub const NAME_BYTES: Limit =
    Limit { name: "NAME_BYTES_MAX", unit: "bytes of a name or user id", default: 256, min: 1, max: 1_024 };
/// Namespaces of a deployment.
pub const NAMESPACES: Limit = Limit { name: "NAMESPACES_MAX", unit: "namespaces", default: 1_000, min: 1, max: 10_000 };
/// Event names in one namespace.
pub const EVENTS_PER_NAMESPACE: Limit =
    Limit { name: "EVENTS_PER_NAMESPACE_MAX", unit: "event names in a namespace", default: 1_000, min: 1, max: 10_000 };
/// Event names that all ingest tokens together may register in a namespace in a UTC day. Those tokens are public: this is
/// how far whoever has one can fill a namespace before somebody sees it.
pub const NEW_NAMES_PER_DAY: Limit = Limit {
    name: "NEW_NAMES_PER_DAY_MAX",
    unit: "new event names of a namespace in a day, by ingest tokens",
    default: 200,
    min: 0,
    max: 10_000,
};
/// Namespaces that all ingest tokens together may register in a UTC day.
pub const NEW_NAMESPACES_PER_DAY: Limit = Limit {
    name: "NEW_NAMESPACES_PER_DAY_MAX",
    unit: "new namespaces in a day, by ingest tokens",
    default: 20,
    min: 0,
    max: 10_000,
};
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
    default: 30 * MIB,
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
/// Days after its end for which a day, week or month still takes late events; then it closes into numbers. Each day more keeps
/// the fingerprints of a day more.
pub const LATENESS_DAYS: Limit =
    Limit { name: "LATENESS_DAYS", unit: "days for which a period takes late events", default: 2, min: 0, max: 7 };
/// The first events of a namespace, which have series of days and weeks. Anybody has them in any case.
pub const SERIES_EVENTS: Limit =
    Limit { name: "SERIES_EVENTS_MAX", unit: "events of a namespace with series", default: 50, min: 0, max: 1_000 };
/// Fingerprints in all sets of open periods of a shard, some 11 MiB. Beyond, the largest set goes over: it becomes a number
/// before its time, for good. 0 switches series off.
pub const TIME_FINGERPRINTS: Limit = Limit {
    name: "TIME_FINGERPRINTS_MAX",
    unit: "fingerprints in open periods of a shard",
    default: 2_000_000,
    min: 0,
    max: 8_000_000,
};
/// Retention grids of a namespace.
pub const RETENTIONS: Limit =
    Limit { name: "RETENTIONS_MAX", unit: "retention grids of a namespace", default: 10, min: 0, max: 100 };
/// Periods behind its own that a cohort of a grid is looked at.
pub const RETENTION_PERIODS: u8 = 31;
/// Definitions that a namespace can have had in all: the number of one is not given again.
pub const DEFINITIONS: Limit = Limit {
    name: "DEFINITIONS_MAX",
    unit: "definitions that a namespace has had",
    default: DEFINITION_NUMBERS,
    min: 1,
    max: DEFINITION_NUMBERS,
};
/// More than the number of every definition.
pub const DEFINITION_NUMBERS: u64 = 2_048;
/// Points of a series that are kept: days, weeks, months. The oldest go.
pub const SERIES_POINTS: [usize; 3] = [400, 260, 120];
/// Points that an answer has where no range is asked for: days, weeks, months.
pub const SERIES_POINTS_SHOWN: [usize; 3] = [30, 12, 12];
/// Flags of a deployment.
pub const FLAGS: Limit = Limit { name: "FLAGS_MAX", unit: "flags", default: 1_000, min: 1, max: 10_000 };
/// Conditions of one flag.
pub const FLAG_CONDITIONS: Limit =
    Limit { name: "FLAG_CONDITIONS_MAX", unit: "conditions of a flag", default: 100, min: 1, max: 1_000 };
/// Values of one condition `in`.
pub const FLAG_VALUES: Limit =
    Limit { name: "FLAG_VALUES_MAX", unit: "values of a condition", default: 1_000, min: 1, max: 10_000 };
/// Values in the body of one flag, of any kind and wherever they are.
pub const FLAG_PARTS: usize = 120_000;
/// Bytes of memory that a value takes while the body of a flag is read: an entry of a map, which is larger than one of a list.
pub const FLAG_PART_BYTES: u64 = 128;
/// Bytes of all flags together, as they are stored.
pub const FLAGS_BYTES: Limit =
    Limit { name: "FLAGS_BYTES_MAX", unit: "bytes of all flags", default: 4 * MIB, min: 1_024, max: 16 * MIB };
/// Bytes of one answer of metrics.
pub const METRICS_BYTES: Limit = Limit {
    name: "METRICS_BYTES_MAX",
    unit: "bytes of an answer of metrics",
    default: 5 * MIB,
    min: 1_024,
    max: 32 * MIB,
};
/// The least users of a group of which answers show the number ([`crate::core::answers::gate`]); 0 shows all. A namespace may
/// ask for more. Beyond some hundreds most groups of most namespaces are hidden.
pub const GROUP_USERS: Limit = Limit {
    name: "GROUP_USERS_MIN",
    unit: "users of a group whose number is shown, at least",
    default: 0,
    min: 0,
    max: 1_000,
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
/// Shards that may be open at once; the default is no bound. An open one holds three descriptors of the process: its
/// database, write-ahead log and index of that.
pub const OPEN_SHARDS: Limit =
    Limit { name: "OPEN_SHARDS_MAX", unit: "shards open at once", default: 1_000_000, min: 4, max: 1_000_000 };
/// Milliseconds from the first journal row that has no mark to the alarm, which compacts where that is due and else marks.
pub const COMPACTION_DELAY_MS: Limit = Limit {
    name: "COMPACTION_DELAY_MS",
    unit: "milliseconds from a write to its mark or compaction",
    default: 10_000,
    min: 10,
    max: 3_600_000,
};

/// A compaction by alarm is due once it writes at most so many times the bytes of the journal: what is written for an
/// event then depends on the event, and not on how many came before it.
pub const COMPACTION_SHARE: u64 = 4;
/// Rows that the journal has by then for each section that is written: a quarter of a row for an event that has a row of its own.
pub const COMPACTION_ROWS: u64 = 4;
/// Bytes of changed sections below which their share is no matter. Ten rows of a journal, each with a page or two of the database
/// and its log, write as much.
pub const COMPACTION_BYTES_MIN: u64 = 64 << 10;
/// Seconds after the last compaction from which on it is always due, also where nobody writes: a journal tells who has the key which
/// effects came together, and in which order, and a snapshot does not. Once a day, even a full shard writes some 100 bytes a
/// second.
pub const JOURNAL_AGE_S: u64 = 86_400;
/// The same where the state takes less memory than [`COMPACTION_BYTES_MIN`]: among few users it tells more, and a compaction writes
/// little.
pub const JOURNAL_AGE_SMALL_S: u64 = 3_600;
/// Bytes of journal that any state may have before it is compacted at once. Beyond, where [`JOURNAL_BYTES`] is not set, a
/// journal may be as large as the memory of its state: a database keeps the room of its longest journal, which would be most
/// of it where states are small.
pub const JOURNAL_BYTES_SMALL: u64 = 256 << 10;
/// Batches that one call carries out at once for itself and others.
pub const GROUP_BATCHES: usize = 64;
/// Operations of those batches, beyond which it waits for no further ones: until it is done, all are in memory, and so
/// many share the cost of their row that more would make no difference.
pub const GROUP_OPERATIONS: usize = 2_500;
/// Milliseconds for which a batch waits for calls that have arrived, if one of them is stuck.
pub const GROUP_WAIT_MS: u64 = 20;
/// Bytes of one stored row (Durable Objects refuse values from about 2 MB).
pub const ROW_BYTES: usize = 1 << 20;
/// Names that one query of the registry asks for. As JSON they fit into a row, also where every byte is escaped.
pub const NAMES_PER_QUERY: usize = 500;
/// Milliseconds behind the begin of a day over which the closings of shards are spread: six hours.
pub const CLOSING_SPREAD_MS: u64 = 6 * 3_600_000;
/// Shards of an isolate whose alarms are at work at the same time: each holds descriptors of the process, and loads its state.
pub const CLOSING_SHARDS: u32 = 16;
/// Milliseconds after which an alarm comes again that met as many.
pub const CLOSING_RETRY_MS: u64 = 1_000;
/// Milliseconds after which an alarm that has not come is set again.
pub const ALARM_OVERDUE_MS: u64 = 60_000;
/// Shards that are asked at the same time for one read or written to for one batch.
pub const FAN_OUT: usize = 16;
/// How often a batch is tried where something of its namespace is deleted meanwhile.
pub const INCARNATION_TRIES: u32 = 5;
/// Events, or names, of a batch beyond which others get their turn before the next step: a millisecond or two.
pub const EVENTS_PER_TURN: u64 = 1_000;
/// Sets that one operation may insert its user into: all users, those of the event, those in its week.
pub const INSERTIONS_PER_OPERATION: u64 = 3;
/// Sets of periods that it may enter at the end of its group: a day, a week and a month of its event, and of anybody.
pub const PERIODS_PER_OPERATION: u64 = 6;
/// Periods of one event, or of anybody, that may be open at a time: the days that take late events, today and tomorrow, and the
/// weeks and months that these are in.
pub const OPEN_PERIODS: u64 = LATENESS_DAYS.max + 2 + 3 + 2;
/// Changes of definitions that are carried out before they are journalled, in a row of their own where there are more.
pub const CHANGES_AT_ONCE: usize = 4_000;
/// Bytes of memory that one takes while it is: what it is, and its part of the journal row.
pub const CHANGE_BYTES: u64 = 192;
/// Bytes of memory that what enters one of these sets takes while a group is carried out, beside the fingerprints.
pub const PERIOD_EFFECT_BYTES: u64 = 192;
/// Times that one operation may make older sets close: the weeks before its own.
pub const CLOSINGS_PER_OPERATION: u64 = 1;
/// Bytes of memory that an operation takes while it is carried out, beside the state: what it changed, how to take that
/// back, and its part of the journal row. `core::state::aggregator::ceiling` adds up what that is at most, in a namespace
/// of as many events as there are by default.
pub const OPERATION_BYTES: u64 = 1_008 + 112 * INSERTIONS_PER_OPERATION + 8 * PERIODS_PER_OPERATION;
/// Bytes by which an operation may make a state grow, beside its user sets: a counter, a goal, a week, or a combination.
pub const NEW_ENTRY_BYTES: usize = 512;
/// The most by which a state grows for a byte of its journal: 9 bytes may begin a user set of some 180.
pub const JOURNAL_GROWTH: usize = 20;
/// Bytes of memory that a byte of a snapshot becomes, where nothing says it better: 25 bits a user for at least 13.
pub const SNAPSHOT_GROWTH: u64 = 2;
/// Bytes of names that one isolate caches.
pub const NAME_CACHE_BYTES: usize = 8 << 20;
/// Milliseconds for which an isolate refuses new names by itself, without asking the registry, after that has refused some.
pub const REFUSAL_CACHE_MS: u64 = 1_000;
/// Milliseconds for which an isolate repeats its last answer about its health.
pub const HEALTH_CACHE_MS: u64 = 1_000;
/// Milliseconds for which an isolate takes its flags for those of the registry.
pub const FLAG_CACHE_MS: u64 = 2_000;
/// Bytes up to which a body counts as small.
pub const SMALL_BODY_BYTES: u64 = 64 << 10;
/// Bytes that a request takes beside its body: what waits for it, and what the runtime hands over at a time.
pub const BODY_BYTES_BASE: u64 = 4 << 10;
/// Bytes by which the memory of a body grows, once it is more than its first piece.
pub const BODY_SEGMENT_BYTES: usize = 16 << 10;
/// Bytes of the buffer that a body is read into, where it comes fast.
pub const BODY_READ_BYTES: u32 = 64 << 10;
/// Bytes of that buffer at first, and where the body comes slowly: it is there while nothing comes.
pub const BODY_READ_BYTES_MIN: u32 = 4 << 10;
/// Bytes of a body that says itself who sends it. It is read before that is known; a browser sends no more behind a page.
pub const PLAIN_BODY_BYTES: u64 = 64 << 10;
/// Bytes of a body of another SDK, which is parsed in one stretch before its credential is known: theirs have half of it.
pub const SENDER_BODY_BYTES: u64 = 1 << 20;
/// Seconds between the time at which a body of another SDK says that it was sent and the present, beyond which its clock is wrong.
pub const SENDER_SKEW_S: u64 = 60;
/// Bytes of a body that is parsed in one stretch, of a millisecond or two: twice what 1,000 events have. Larger ones are
/// parsed in steps.
pub const BODY_AT_ONCE_BYTES: usize = 256 << 10;
/// Bytes of a large body that are inflated, or parsed, before others get their turn: half a millisecond. A request of
/// others has some five turns, and such a step before each.
pub const BODY_STEP_BYTES: usize = 64 << 10;
/// Milliseconds after which a large body that is being inflated and parsed no longer keeps others from it: its request
/// was broken off.
pub const DESK_MS: u64 = 5_000;
/// Milliseconds that a large body waits for others before it is refused.
pub const DESK_WAIT_MS: u64 = 20_000;
/// Milliseconds between two looks at whether it may begin.
pub const DESK_POLL_MS: u64 = 2;
/// Milliseconds of a tick, in which the pace of a body is measured.
pub const BODY_TICK_MS: u64 = 500;
/// Ticks within which [`BODY_PACE_BYTES`] of a body must arrive: 5 s.
pub const BODY_PACE_TICKS: usize = 10;
/// Bytes that must arrive in that time, 8 KiB a second, or the body is given up: it takes room from others meanwhile.
pub const BODY_PACE_BYTES: u64 = 40 << 10;
/// Milliseconds after which a body of which nothing was seen any more gives its room back: twice what any request takes
/// beside its body, and no body is silent for so long.
pub const BODY_LEASE_MS: u64 = 60_000;
/// Bytes of memory that an event takes from when it was parsed until it was carried out: as an item of the batch (56), as
/// an operation (64), and as a part of the message to its shard (up to 48), there with what the decoding holds.
pub const EVENT_BYTES: u64 = 192;
/// Bytes of memory that a name of a batch takes beside its own bytes, which are there [`NAME_COPIES`] times.
pub const BATCH_NAME_BYTES: u64 = 128;
/// How often a name of a batch is in memory: in its list and its index, and as part of a message to the registry.
pub const NAME_COPIES: u64 = 3;
/// How often a flag is in memory while it is stored, with what was read of it: in bytes of its body.
pub const FLAG_COPIES: u64 = 4;
/// Bytes that are read and thrown away of a body that is refused before its end, before that is told.
pub const DRAIN_BYTES: u64 = 16 * MIB;
/// Milliseconds that this may take.
pub const DRAIN_MS: u64 = 1_000;
/// Milliseconds after the last use of a shard within which the runtime closes it: workerd looks every 10 seconds for
/// those that were idle for 10 seconds.
pub const OPEN_SHARD_IDLE_MS: u64 = 20_000;
/// Milliseconds after which a call of a shard no longer keeps it from being closed.
pub const OPEN_SHARD_CALL_MS: u64 = 10_000;
/// Milliseconds that a call waits for one of the shards that may be open, before it is refused.
pub const OPEN_SHARD_WAIT_MS: u64 = 5_000;
/// Milliseconds between two looks at whether there is one.
pub const OPEN_SHARD_POLL_MS: u64 = 5;
/// Settings in `COUNTERS`.
pub const COUNTER_SETTINGS: usize = 100;
/// Bytes of the programs that all patterns in `COUNTERS` become, divided evenly between them: every new event name may
/// pass through all of them, which takes a time of their product with its length.
pub const PATTERN_PROGRAM_BYTES: usize = 256 << 10;
/// Bytes of one pattern in `COUNTERS`.
pub const PATTERN_BYTES: usize = 1_024;
/// Bytes of the id of an event.
pub const EVENT_ID_BYTES: usize = 256;
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

/// Bytes of memory that Cloudflare gives an isolate: WebAssembly memory and everything else together. What [`crate::isolate::ceilings`] adds up fits it.
pub const CLOUDFLARE_BYTES: u64 = 128_000_000;
/// Bytes that an isolate takes without any of what [`crate::isolate::ceilings`] adds up: code, the heap of JavaScript, requests.
pub const ISOLATE_BASE_BYTES: u64 = 10 * MIB;

/// The greater one.
pub(crate) const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

/// The bytes that bodies in flight may take where [`BODIES_BYTES`] is not set: its default, or twice the largest body.
#[must_use]
pub const fn bodies_bytes(body_bytes_max: u64) -> u64 {
    max(BODIES_BYTES.default, 2 * body_bytes_max)
}

// A body of any allowed size fits into what large ones may take, and a batch of the default size with names of their
// greatest length as well. A quarter has room for small bodies.
const _: () = assert!(BODY_BYTES.default + BODY_SEGMENT_BYTES as u64 <= BODIES_BYTES.default / 4 * 3);
const _: () = assert!(bodies_bytes(BODY_BYTES.max) <= BODIES_BYTES.max);
const _: () = assert!(
    BATCH_EVENTS.default * (EVENT_BYTES + BATCH_NAME_BYTES + NAME_COPIES * NAME_BYTES.default)
        <= BODIES_BYTES.default / 4 * 3
);
const _: () = assert!(SMALL_BODY_BYTES < BODIES_BYTES.min / 4);
const _: () = assert!(BODY_LEASE_MS > 2 * BODY_TICK_MS * BODY_PACE_TICKS as u64);
const _: () = assert!(SHARD_MEMORY_BYTES.max <= ISOLATE_MEMORY_BYTES.max);
const _: () = assert!(SHARD_MEMORY_BYTES.default <= ISOLATE_MEMORY_BYTES.default);
const _: () = assert!(JOURNAL_BYTES_SMALL * COMPACTION_SHARE >= COMPACTION_BYTES_MIN);
const _: () = assert!(JOURNAL_BYTES_SMALL <= JOURNAL_BYTES.default);
const _: () = assert!((USERS_PER_EVENT.max as f64) * VALUE_ABS < f64::MAX);
const _: () = assert!(SHARDS.min >= 1);
const _: () = assert!(NAMES_PER_QUERY * (2 * NAME_BYTES.max as usize + 3) + 2 <= ROW_BYTES);
const _: () = assert!(LOCAL_PENDING_BYTES_MIN > 3 * NAME_BYTES.max as usize + 64);

/// What ingest tokens can use of a limit on names: a tenth, and at least one where there are two, is kept for admin
/// tokens, so that nobody else can fill it for them.
///
/// # Example
/// ```
/// use kimball_edge::core::settings::limits::open_share;
/// assert_eq!([open_share(1_000), open_share(5), open_share(1)], [900, 4, 1]);
/// ```
#[must_use]
pub const fn open_share(limit: u64) -> u64 {
    if limit > 1 { limit - limit.div_ceil(10) } else { limit }
}

/// The limits that one request is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of the body.
    pub body_bytes: u64,
    /// Events in a batch.
    pub batch_events: u64,
    /// Namespaces in a batch.
    pub batch_namespaces: u64,
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
