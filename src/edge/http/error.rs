//! Errors as a client sees them: a status, a stable code for programs and a sentence for people.

use std::borrow::Cow;

use crate::api::code::Code;
use crate::core::answers::short::{ErrorBody, ErrorFields, RefusedEvent};
use crate::core::requests::{BadRequest, Fault};
use crate::core::settings::limits::{
    BODY_BYTES, BODY_PACE_BYTES, BODY_PACE_TICKS, BODY_TICK_MS, EVENTS_PER_NAMESPACE, FLAGS, FLAGS_BYTES, NAMESPACES,
    SHARD_MEMORY_BYTES, USERS_PER_EVENT,
};
use crate::core::state::error::Invalid;
use crate::messages::registry::NameRefusal;
use crate::messages::{Failure, FlagLimit, Refusal};

/// An error on its way to the client. Never holds anything that the client sent.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// What kind it is.
    pub code: Code,
    what: String,
    index: Option<usize>,
    field: Option<Cow<'static, str>>,
    limit: Option<(&'static str, u64)>,
}

impl ApiError {
    /// An error with nothing but a sentence.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), index: None, field: None, limit: None }
    }

    /// The sentence.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Of the event at this position of a batch.
    #[must_use]
    pub fn of_event(self, index: u32) -> Self {
        Self { index: Some(index as usize), ..self }
    }

    /// What is said of an event that was left out by itself.
    pub fn refused_event(&self) -> RefusedEvent<'_> {
        let index = self.index.map_or(0, |index| index as u32);
        RefusedEvent { index, code: self.code.parts().1, what: &self.what }
    }

    /// A limit that was met, with its name and value.
    pub fn limit(code: Code, what: &str, name: &'static str, value: u64) -> Self {
        Self { limit: Some((name, value)), ..Self::new(code, format!("{what} ({name} = {value})")) }
    }

    /// There is no such namespace.
    pub fn no_namespace() -> Self {
        Self::new(Code::NoNamespace, "there is no namespace of this name")
    }

    /// The body is larger than allowed.
    pub fn body_too_large(limit: u64) -> Self {
        Self::limit(Code::BodyTooLarge, "the body has too many bytes", BODY_BYTES.name, limit)
    }

    /// The body comes too slowly.
    pub fn body_too_slow() -> Self {
        let seconds = BODY_TICK_MS * BODY_PACE_TICKS as u64 / 1_000;
        let what = format!(
            "the body came too slowly: less than {BODY_PACE_BYTES} bytes within {seconds} s; nothing was recorded"
        );
        Self::new(Code::BodyTooSlow, what)
    }

    /// Durable storage or the way to it failed. The cause goes to the log only.
    pub fn storage(cause: &worker::Error) -> Self {
        worker::console_error!("storage unavailable: {cause}");
        Self::new(Code::StorageUnavailable, "storage cannot be reached at the moment; nothing was acknowledged")
    }

    /// There is no room for a new name.
    pub fn full(refusal: NameRefusal, namespaces_max: u64, events_max: u64) -> Self {
        let (code, what) = refusal.parts();
        match refusal {
            NameRefusal::NamespacesFull => Self::limit(code, what, NAMESPACES.name, namespaces_max),
            _ => Self::limit(code, what, EVENTS_PER_NAMESPACE.name, events_max),
        }
    }

    fn of_fault(fault: &Fault, place: &str, invalid: Code) -> Self {
        let code = match fault {
            Fault::Missing => Code::FieldMissing,
            Fault::Invalid(_) | Fault::TooMany { .. } => invalid,
            Fault::TooLong { .. } => Code::NameTooLong,
        };
        Self::new(code, format!("{place}: {fault}"))
    }

    /// The JSON to send.
    pub fn body(&self) -> ErrorBody<'_> {
        ErrorBody {
            error: ErrorFields {
                what: &self.what,
                code: self.code.parts().1,
                index: self.index,
                field: self.field.as_deref(),
                limit: self.limit.map(|(name, _)| name),
                value: self.limit.map(|(_, value)| value),
            },
        }
    }
}

impl NameRefusal {
    /// Its code, and a sentence for people.
    pub const fn parts(self) -> (Code, &'static str) {
        match self {
            Self::EventUnknown => {
                (Code::EventUnknown, "this event name is not registered, and new ones need an admin token")
            }
            Self::NamespaceUnknown => {
                (Code::NamespaceUnknown, "this namespace is not registered, and new ones need an admin token")
            }
            Self::EventQuota => {
                (Code::Quota, "the namespace has its new event names of the day (NEW_NAMES_PER_DAY_MAX)")
            }
            Self::NamespaceQuota => {
                (Code::Quota, "the service has its new namespaces of the day (NEW_NAMESPACES_PER_DAY_MAX)")
            }
            Self::Replay => {
                (Code::Replay, "the namespace is on a replay clock, into which only an admin token loads events")
            }
            Self::EventsFull => (
                Code::EventsFull,
                "the namespace has no room for a further event name; nothing was recorded. A tenth is kept for admin tokens",
            ),
            Self::NamespacesFull => (
                Code::NamespacesFull,
                "there is no room for a further namespace; nothing was recorded. A tenth is kept for admin tokens",
            ),
        }
    }
}

impl From<Invalid> for ApiError {
    /// A configuration variable is wrong.
    fn from(invalid: Invalid) -> Self {
        Self::new(Code::ConfigurationInvalid, invalid.what)
    }
}

impl From<BadRequest> for ApiError {
    fn from(bad: BadRequest) -> Self {
        let limit = bad.limit();
        match bad {
            BadRequest::Empty => Self::new(Code::BodyEmpty, "the body is empty; it must be JSON"),
            BadRequest::NotUtf8 => Self::new(Code::BodyNotUtf8, "the body is not UTF-8"),
            BadRequest::Utf16 => Self::new(Code::BodyNotUtf8, "the body is UTF-16 or UTF-32; it must be UTF-8"),
            BadRequest::Json(fault) => Self::new(Code::JsonInvalid, format!("the body is not valid JSON: {fault}")),
            BadRequest::TooManyEvents { .. } => {
                Self { limit, ..Self::new(Code::BatchTooLarge, "the batch has too many events") }
            }
            BadRequest::TooManyNamespaces { .. } => {
                Self { limit, ..Self::new(Code::BatchTooLarge, "the batch has events of too many namespaces") }
            }
            BadRequest::Field { index, field, fault } => {
                let place = index.map_or_else(|| field.to_owned(), |index| format!("{field} of event {index}"));
                Self { index, field: Some(field.into()), limit, ..Self::of_fault(&fault, &place, Code::FieldInvalid) }
            }
            BadRequest::Place { place, fault } => {
                let error = Self::of_fault(&fault, &place, Code::FieldInvalid);
                Self { field: Some(place.into()), limit, ..error }
            }
            BadRequest::Parameter { parameter, fault } => {
                let error = Self::of_fault(&fault, parameter, Code::ParameterInvalid);
                Self { field: Some(parameter.into()), limit, ..error }
            }
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::FlagsFull { limit: FlagLimit::Flags(limit) } => {
                Self::limit(Code::FlagsFull, "there is no room for a further flag", FLAGS.name, limit)
            }
            Failure::FlagsFull { limit: FlagLimit::Bytes(limit) } => {
                Self::limit(Code::FlagsFull, "the flags take too many bytes", FLAGS_BYTES.name, limit)
            }
            Failure::Refused { refusal: Refusal::Users, limit } => {
                Self::limit(Code::UsersFull, "an event has its maximum of unique users", USERS_PER_EVENT.name, limit)
            }
            Failure::Refused { refusal: Refusal::CounterSize, limit } => Self::limit(
                Code::UsersFull,
                "an event has the maximum of unique users in one shard that its setting in COUNTERS allows",
                "COUNTERS",
                limit,
            ),
            Failure::Refused { refusal: Refusal::Memory, limit } => Self::limit(
                Code::ShardMemoryFull,
                "a shard has no memory left for something new; what is known already is still accepted",
                SHARD_MEMORY_BYTES.name,
                limit,
            ),
            Failure::Refused { refusal: Refusal::Tag, .. } => {
                Self::new(Code::HashKeyChanged, "event numbers and names do not fit the stored state")
            }
            Failure::KeyChanged => Self::new(
                Code::HashKeyChanged,
                "HASH_KEY is not the key that the stored state was made with; put the former key back",
            ),
            Failure::OtherIncarnation => Self::new(
                Code::StorageUnavailable,
                "something of the namespace was deleted meanwhile; nothing of this was acknowledged, send it again",
            ),
            Failure::Configuration(what) => Self::new(Code::ConfigurationInvalid, what),
            Failure::Storage => Self::new(
                Code::StorageUnavailable,
                "storage failed; nothing of this was acknowledged and sending it again is safe",
            ),
            Failure::Unreadable(_) => Self::new(
                Code::StorageUnavailable,
                "the storage of a shard is damaged, or older than what was acknowledged; the log and GET /v0/status say which and how",
            ),
        }
    }
}
