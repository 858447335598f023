//! Counter settings: what the variable `COUNTERS` says about events by their names.
//!
//! A list; the first setting whose pattern matches an event's name is the one that counts, as in the original.

use regex_lite::{Regex, RegexBuilder};

use super::limits::{COUNTER_SETTINGS, PATTERN_BYTES, PATTERN_PROGRAM_BYTES, USERS_PER_EVENT};
use crate::core::sets::user_set::UserSet;
use crate::core::state::error::Invalid;
use crate::core::state::shard_limits::{ShardLimits, Sizing};

/// The settings, in their order.
///
/// # Example
/// ```
/// use kimball_edge::core::requests::parse_counter_settings;
/// let settings = parse_counter_settings(r#"[{"pattern": "^Login", "date_cohort": "weekly"}]"#).unwrap();
/// let setting = settings.index_of("Login by mail").and_then(|index| settings.get(index));
/// assert!(setting.is_some_and(|setting| setting.is_weekly()));
/// assert_eq!(settings.index_of("Sign up"), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct CounterSettings(Vec<CounterSetting>);

/// One setting.
#[derive(Debug, Clone)]
pub struct CounterSetting {
    draft: Draft,
    pattern: Regex,
    is_weekly: bool,
    users_max: Option<u64>,
    false_positive_rate: Option<f64>,
}

/// The values of one setting as they were given.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CounterSetting))]
pub struct Draft {
    /// A regular expression on the event name, matching anywhere in it.
    pub pattern: String,
    /// `weekly`, or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub date_cohort: Option<String>,
    /// Users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub size: Option<u64>,
    /// The greatest false-positive rate, between 0 and 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub error_probability: Option<f64>,
    /// `bloom_scalable` (the default: grows) or `bloom_fixed_size` (takes `size` users).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub r#type: Option<String>,
}

const RATE_MIN: f64 = 1e-9;
/// A greater rate is asked for in vain: a user set never has one above it.
const RATE_MAX: f64 = 0.1;

impl CounterSettings {
    /// Checks a list of settings.
    ///
    /// # Errors
    /// [`Invalid`] naming the position and the key that is wrong.
    pub fn new(drafts: &[Draft]) -> Result<Self, Invalid> {
        if drafts.len() > COUNTER_SETTINGS {
            return Err(Invalid { what: format!("COUNTERS: must not have more than {COUNTER_SETTINGS} settings") });
        }
        let settings = drafts.iter().enumerate().map(|(index, draft)| {
            CounterSetting::new(draft, PATTERN_PROGRAM_BYTES / drafts.len())
                .map_err(|(key, must)| Invalid { what: format!("COUNTERS: {key} of setting {index}: {must}") })
        });
        settings.collect::<Result<_, _>>().map(Self)
    }

    /// The settings as they were given, in their order.
    pub fn given(&self) -> impl Iterator<Item = &Draft> {
        self.0.iter().map(|setting| &setting.draft)
    }

    /// The position of the first setting that matches an event's name. That may take milliseconds: up to
    /// [`PATTERN_PROGRAM_BYTES`] times the length of the name. So the answer is kept with the event, not asked for again.
    #[must_use]
    pub fn index_of(&self, event_name: &str) -> Option<usize> {
        self.0.iter().position(|setting| setting.pattern.is_match(event_name))
    }

    /// The setting at a position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&CounterSetting> {
        self.0.get(index)
    }
}

impl CounterSetting {
    fn new(draft: &Draft, program_bytes: usize) -> Result<Self, (&'static str, String)> {
        if draft.pattern.len() > PATTERN_BYTES {
            return Err(("pattern", format!("must not be longer than {PATTERN_BYTES} bytes")));
        }
        let pattern = RegexBuilder::new(&draft.pattern)
            .size_limit(program_bytes)
            .build()
            .map_err(|error| ("pattern", one_line(&error.to_string())))?;
        let is_weekly = match draft.date_cohort.as_deref() {
            None => false,
            Some("weekly") => true,
            Some(_) => return Err(("date_cohort", "must be `weekly`".into())),
        };
        let size_max = USERS_PER_EVENT.max;
        if draft.size.is_some_and(|size| size == 0 || size > size_max) {
            return Err(("size", format!("must be a whole number from 1 to {size_max}")));
        }
        if draft.error_probability.is_some_and(|rate| !(RATE_MIN..1.0).contains(&rate)) {
            return Err(("error_probability", format!("must be from {RATE_MIN} to below 1")));
        }
        let users_max = match (draft.r#type.as_deref(), draft.size) {
            (None | Some("bloom_scalable"), _) => None,
            (Some("bloom_fixed_size"), Some(size)) => Some(size),
            (Some("bloom_fixed_size"), None) => return Err(("size", "is required with `bloom_fixed_size`".into())),
            _ => return Err(("type", "must be `bloom_scalable` or `bloom_fixed_size`".into())),
        };
        let false_positive_rate = draft.error_probability.map(|rate| rate.min(RATE_MAX));
        Ok(Self { draft: draft.clone(), pattern, is_weekly, users_max, false_positive_rate })
    }

    /// Whether events of this name have weekly cohorts.
    #[must_use]
    pub const fn is_weekly(&self) -> bool {
        self.is_weekly
    }

    /// What it makes of an event's user set in shard `index` of `shards`, where the event may have `users_per_event`
    /// users in all; `None` where it says nothing about that.
    #[must_use]
    pub fn sizing(&self, users_per_event: u64, index: u32, shards: u32) -> Option<Sizing> {
        if self.users_max.is_none() && self.false_positive_rate.is_none() {
            return None;
        }
        let total = self.users_max.map_or(users_per_event, |users_max| users_max.min(users_per_event));
        Some(Sizing {
            users_max: ShardLimits::share(total, index, shards),
            false_positive_rate: self.false_positive_rate.unwrap_or(UserSet::FALSE_POSITIVE_RATE_MAX),
        })
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
