//! The configuration: variables of the Worker, read and checked once per isolate.

use std::cell::RefCell;
use std::rc::Rc;

use worker::{Env, js_sys};

use crate::core::identity::Keys;
use crate::core::periods::period::Units;
use crate::core::requests::{AllowedHosts, parse_counter_settings};
use crate::core::settings::counters::CounterSettings;
use crate::core::settings::limits::{self, FlagLimits, Limit, RequestLimits};
use crate::core::settings::older_state::OlderState;
use crate::core::state::error::Invalid;
use crate::core::state::shard_limits::ShardLimits;
use crate::isolate::bodies::Bodies;
use crate::isolate::ceilings::Ceilings;
use crate::messages::shard::{Limits, Time};

/// What ingest tokens may add to the names that are registered.
pub struct NewNames {
    /// No event names.
    pub events_are_known: bool,
    /// No namespaces.
    pub namespaces_are_known: bool,
    /// Event names of a namespace in a day.
    pub events_per_day_max: u64,
    /// Namespaces in a day.
    pub namespaces_per_day_max: u64,
}

/// Everything that an operator can set.
#[allow(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub struct Config {
    /// Whether requests need no token.
    pub auth_disabled: bool,
    /// Tokens that may do everything.
    pub admin_tokens: Vec<String>,
    /// Tokens that may read.
    pub read_tokens: Vec<String>,
    /// Tokens that may send events and ask for flags.
    pub ingest_tokens: Vec<String>,
    /// Whether `ensure_goal` is allowed to ingest tokens.
    pub ingest_may_add_goals: bool,
    /// Whether pages and screens that other SDKs tell of are events.
    pub counts_pages: bool,
    /// Which shards take storage that is older than what was acknowledged as it is.
    pub older_state: OlderState,
    /// Origins of pages that may call; `*` for all.
    pub allowed_origins: Vec<String>,
    /// Hosts that are answered without authentication.
    pub allowed_hosts: AllowedHosts,
    /// The configured deployment key; without one the registry generates one.
    pub keys: Option<Keys>,
    /// What `COUNTERS` says about events.
    pub counters: CounterSettings,
    /// Shards of new namespaces.
    pub shards: u32,
    /// What a request is held to.
    pub request: RequestLimits,
    /// Bytes of all bodies in flight in an isolate.
    pub bodies_bytes_max: u64,
    /// What flags are held to.
    pub flags: FlagLimits,
    /// Bytes of an answer of metrics.
    pub metrics_bytes_max: u64,
    /// Namespaces of the deployment.
    pub namespaces_max: u64,
    /// Event names of a namespace.
    pub events_per_namespace_max: u64,
    /// What ingest tokens may add.
    pub new_names: NewNames,
    /// Combinations listed per goal.
    pub combinations_per_goal_max: u64,
    /// Bytes of all loaded shards of the isolate.
    pub isolate_memory_bytes_max: usize,
    /// Shards that may be open at once.
    pub open_shards_max: u64,
    /// Journal bytes after which a shard compacts.
    pub journal_bytes_max: u64,
    /// Whether an operator has set that; where not, it is less for a small state.
    pub is_journal_set: bool,
    /// Journal rows after which a shard compacts.
    pub journal_rows_max: u64,
    /// Milliseconds after which the alarm compacts.
    pub compaction_delay_ms: i64,
    /// The least users of a group of which answers show the number; a namespace may ask for more.
    pub group_users_min: u64,
    /// Users of an event, over all shards.
    pub users_per_event_max: u64,
    /// Bytes of memory of a shard.
    pub shard_memory_bytes_max: u64,
    /// Weekly cohorts of an event, in each shard.
    pub weeks_per_event_max: u64,
    /// Days after its end for which a period takes late events.
    pub lateness_days: u8,
    /// The first events of a namespace, which have series.
    pub series_events_max: u64,
    /// Definitions that a namespace can have had in all.
    pub definitions_max: u64,
    /// Retention grids of a namespace.
    pub retentions_max: u64,
    /// Fingerprints in open periods of a shard.
    pub time_fingerprints_max: u64,
    /// All of these limits with their values.
    pub limits: Vec<(Limit, u64)>,
}

thread_local! {
    static CONFIG: RefCell<Option<Result<Rc<Config>, Invalid>>> = const { RefCell::new(None) };
}

impl Config {
    /// The configuration of this isolate.
    ///
    /// # Errors
    /// [`Invalid`] naming the variable that is wrong.
    pub fn of(env: &Env) -> Result<Rc<Self>, Invalid> {
        let read = || Self::read(|name| variable(env, name)).map(Rc::new);
        CONFIG.with_borrow_mut(|config| config.get_or_insert_with(read).clone())
    }

    /// What shard `index` of `shards` is held to.
    pub const fn shard_limits(&self, index: u32, shards: u32) -> Limits {
        Limits {
            users_per_event: ShardLimits::share(self.users_per_event_max, index, shards),
            combinations_per_goal: self.combinations_per_goal_max,
            memory_bytes: self.shard_memory_bytes_max,
            weeks_per_event: self.weeks_per_event_max,
            time: self.time(),
        }
    }

    /// What the periods of a shard are held to.
    pub const fn time(&self) -> Time {
        Time { lateness_days: self.lateness_days, fingerprints: self.time_fingerprints_max }
    }

    /// Whether series are switched on.
    pub const fn has_series(&self) -> bool {
        self.time_fingerprints_max > 0
    }

    /// The units that the event of this number has series of.
    pub const fn units(&self, event: u32) -> Units {
        if self.has_series() && (event as u64) < self.series_events_max { Units::OF_EVENTS } else { Units::NONE }
    }

    fn read(variable: impl Fn(&str) -> String) -> Result<Self, Invalid> {
        let read = RefCell::new(Vec::new());
        let limit = |limit: Limit| {
            let value = limit.read(&variable(limit.name))?;
            read.borrow_mut().push((limit, value));
            Ok::<u64, Invalid>(value)
        };
        let hash_key = variable("HASH_KEY");
        let is_selfhosted = choice("PROFILE", &variable("PROFILE"), "cloudflare", "selfhost")?;
        let mut config = Self {
            auth_disabled: choice("API_AUTH", &variable("API_AUTH"), "enable", "disable")?,
            admin_tokens: tokens("API_TOKENS", &variable("API_TOKENS"))?,
            read_tokens: tokens("READ_TOKENS", &variable("READ_TOKENS"))?,
            ingest_tokens: tokens("INGEST_TOKENS", &variable("INGEST_TOKENS"))?,
            counts_pages: choice("PAGE_EVENTS", &variable("PAGE_EVENTS"), "ignore", "count")?,
            ingest_may_add_goals: choice("INGEST_MAY_ADD_GOALS", &variable("INGEST_MAY_ADD_GOALS"), "false", "true")?,
            older_state: OlderState::parse(&variable("ACCEPT_OLDER_STATE"))?,
            allowed_origins: origins(&variable("ALLOWED_ORIGINS"))?,
            allowed_hosts: AllowedHosts::parse(&variable("ALLOWED_HOSTS"))?,
            keys: if hash_key.trim().is_empty() { None } else { Some(Keys::from_hex(&hash_key)?) },
            counters: parse_counter_settings(&variable("COUNTERS"))?,
            shards: limit(limits::SHARDS)? as u32,
            request: RequestLimits {
                body_bytes: limit(limits::BODY_BYTES)?,
                batch_events: limit(limits::BATCH_EVENTS)?,
                batch_namespaces: limit(limits::BATCH_NAMESPACES)?,
                name_bytes: limit(limits::NAME_BYTES)?,
            },
            bodies_bytes_max: 0,
            flags: FlagLimits {
                flags: limit(limits::FLAGS)?,
                conditions: limit(limits::FLAG_CONDITIONS)?,
                values: limit(limits::FLAG_VALUES)?,
                bytes: limit(limits::FLAGS_BYTES)?,
            },
            metrics_bytes_max: limit(limits::METRICS_BYTES)?,
            namespaces_max: limit(limits::NAMESPACES)?,
            events_per_namespace_max: limit(limits::EVENTS_PER_NAMESPACE)?,
            new_names: NewNames {
                events_are_known: choice("EVENT_NAMES", &variable("EVENT_NAMES"), "open", "known")?,
                namespaces_are_known: choice("NAMESPACES", &variable("NAMESPACES"), "open", "known")?,
                events_per_day_max: limit(limits::NEW_NAMES_PER_DAY)?,
                namespaces_per_day_max: limit(limits::NEW_NAMESPACES_PER_DAY)?,
            },
            combinations_per_goal_max: limit(limits::COMBINATIONS_PER_GOAL)?,
            isolate_memory_bytes_max: limit(limits::ISOLATE_MEMORY_BYTES)? as usize,
            open_shards_max: limit(limits::OPEN_SHARDS)?,
            journal_bytes_max: limit(limits::JOURNAL_BYTES)?,
            is_journal_set: !variable(limits::JOURNAL_BYTES.name).trim().is_empty(),
            journal_rows_max: limit(limits::JOURNAL_ROWS)?,
            compaction_delay_ms: limit(limits::COMPACTION_DELAY_MS)? as i64,
            group_users_min: limit(limits::GROUP_USERS)?,
            users_per_event_max: limit(limits::USERS_PER_EVENT)?,
            shard_memory_bytes_max: limit(limits::SHARD_MEMORY_BYTES)?,
            weeks_per_event_max: limit(limits::WEEKS_PER_EVENT)?,
            lateness_days: limit(limits::LATENESS_DAYS)? as u8,
            series_events_max: limit(limits::SERIES_EVENTS)?,
            definitions_max: limit(limits::DEFINITIONS)?,
            retentions_max: limit(limits::RETENTIONS)?,
            time_fingerprints_max: limit(limits::TIME_FINGERPRINTS)?,
            limits: Vec::new(),
        };
        config.bodies_bytes_max = match variable(limits::BODIES_BYTES.name).trim() {
            "" => limits::bodies_bytes(config.request.body_bytes),
            set => limits::BODIES_BYTES.read(set)?,
        };
        read.borrow_mut().push((limits::BODIES_BYTES, config.bodies_bytes_max));
        config.limits = read.into_inner();
        if config.shard_memory_bytes_max > config.isolate_memory_bytes_max as u64 {
            let (shard, isolate) = (limits::SHARD_MEMORY_BYTES.name, limits::ISOLATE_MEMORY_BYTES.name);
            return Err(Invalid { what: format!("{shard}: must not be above {isolate}") });
        }
        if config.request.body_bytes > Bodies::large_bytes_max(config.bodies_bytes_max) {
            let (body, bodies) = (limits::BODY_BYTES.name, limits::BODIES_BYTES.name);
            return Err(Invalid { what: format!("{body}: must not be above three quarters of {bodies}") });
        }
        let bytes = config.ceilings().bytes();
        if !is_selfhosted && bytes > limits::CLOUDFLARE_BYTES {
            return Err(Invalid {
                what: format!(
                    "{}, {}, {}, {}, {}, {}, {}, {}: together they allow an isolate {bytes} bytes of memory, and it has {}",
                    limits::ISOLATE_MEMORY_BYTES.name,
                    limits::SHARD_MEMORY_BYTES.name,
                    limits::BODIES_BYTES.name,
                    limits::BODY_BYTES.name,
                    limits::BATCH_EVENTS.name,
                    limits::SERIES_EVENTS.name,
                    limits::FLAGS_BYTES.name,
                    limits::METRICS_BYTES.name,
                    limits::CLOUDFLARE_BYTES
                ),
            });
        }
        Ok(config)
    }

    const fn ceilings(&self) -> Ceilings {
        Ceilings {
            shards: self.isolate_memory_bytes_max as u64,
            shard: self.shard_memory_bytes_max,
            bodies: self.bodies_bytes_max,
            body: self.request.body_bytes,
            batch_events: self.request.batch_events,
            series_events: self.series_events_max,
            flags: self.flags.bytes,
            metrics: self.metrics_bytes_max,
        }
    }
}

/// A text variable; empty where it is not set. `Env::var` traps on the null that workerd binds for one that its
/// environment does not have.
fn variable(env: &Env, name: &str) -> String {
    js_sys::Reflect::get(env, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// One of two words, the first being the default; answers whether it is the second.
fn choice(name: &str, text: &str, default: &str, other: &str) -> Result<bool, Invalid> {
    match text.trim() {
        "" => Ok(false),
        word if word == default => Ok(false),
        word if word == other => Ok(true),
        _ => Err(Invalid { what: format!("{name}: must be `{default}` or `{other}`") }),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn tokens(name: &str, text: &str) -> Result<Vec<String>, Invalid> {
    let tokens = list(text);
    if tokens.iter().all(|token| token.bytes().all(|byte| byte.is_ascii_graphic())) {
        Ok(tokens)
    } else {
        Err(Invalid { what: format!("{name}: tokens must be of printable ASCII characters without spaces") })
    }
}

fn origins(text: &str) -> Result<Vec<String>, Invalid> {
    let origins = list(text);
    let is_origin = |origin: &String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
    };
    if origins.iter().all(is_origin) {
        Ok(origins)
    } else {
        Err(Invalid { what: "ALLOWED_ORIGINS: must be origins such as https://example.com, or *".into() })
    }
}
