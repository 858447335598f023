//! The codes of errors: stable names for programs, each with its status.

/// What can be wrong, each with its status and its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Code {
    ContentTypeInvalid,
    BodyEmpty,
    BodyNotUtf8,
    JsonInvalid,
    FieldMissing,
    FieldInvalid,
    ParameterInvalid,
    NameTooLong,
    Unauthorized,
    Forbidden,
    EventUnknown,
    NamespaceUnknown,
    Replay,
    NotFound,
    NoNamespace,
    NoEvent,
    UserUnknown,
    FlagUnknown,
    RetentionUnknown,
    MethodNotAllowed,
    BodyTooSlow,
    HasEvents,
    Exists,
    EventInUse,
    HostNotAllowed,
    BodyTooLarge,
    BatchTooLarge,
    Quota,
    ContentEncodingInvalid,
    ContentEncodingUnsupported,
    ConfigurationInvalid,
    HashKeyChanged,
    StorageUnavailable,
    BodiesBusy,
    NamespacesFull,
    EventsFull,
    UsersFull,
    SeriesFull,
    RetentionsFull,
    DefinitionsFull,
    FlagsFull,
    MetricsTooLarge,
    ShardMemoryFull,
}

impl Code {
    /// The HTTP status for SDKs of others: they send again what is answered with 429 or 5xx, and keep it in memory until then. So what no
    /// repetition mends, or not today, is 400.
    #[must_use]
    pub const fn sender_status(self) -> u16 {
        match (self, self.parts().0) {
            (Self::EventUnknown | Self::NamespaceUnknown | Self::Replay, _) | (_, 429 | 507) => 400,
            (_, status) => status,
        }
    }

    /// The HTTP status and the code as it is sent.
    #[must_use]
    pub const fn parts(self) -> (u16, &'static str) {
        match self {
            Self::ContentTypeInvalid => (400, "content_type_invalid"),
            Self::BodyEmpty => (400, "body_empty"),
            Self::BodyNotUtf8 => (400, "body_not_utf8"),
            Self::JsonInvalid => (400, "json_invalid"),
            Self::FieldMissing => (400, "field_missing"),
            Self::FieldInvalid => (400, "field_invalid"),
            Self::ParameterInvalid => (400, "parameter_invalid"),
            Self::NameTooLong => (400, "name_too_long"),
            Self::Unauthorized => (401, "unauthorized"),
            Self::Forbidden => (403, "forbidden"),
            Self::EventUnknown => (403, "event_unknown"),
            Self::NamespaceUnknown => (403, "namespace_unknown"),
            Self::Replay => (403, "replay"),
            Self::NotFound => (404, "not_found"),
            Self::NoNamespace => (404, "namespace_unknown"),
            Self::NoEvent => (404, "event_unknown"),
            Self::UserUnknown => (404, "user_unknown"),
            Self::FlagUnknown => (404, "flag_unknown"),
            Self::RetentionUnknown => (404, "retention_unknown"),
            Self::MethodNotAllowed => (405, "method_not_allowed"),
            Self::BodyTooSlow => (408, "body_too_slow"),
            Self::HasEvents => (409, "has_events"),
            Self::Exists => (409, "exists"),
            Self::EventInUse => (409, "event_in_use"),
            Self::HostNotAllowed => (421, "host_not_allowed"),
            Self::BodyTooLarge => (413, "body_too_large"),
            Self::BatchTooLarge => (413, "batch_too_large"),
            Self::Quota => (429, "quota"),
            Self::ContentEncodingInvalid => (400, "content_encoding_invalid"),
            Self::ContentEncodingUnsupported => (415, "content_encoding_unsupported"),
            Self::ConfigurationInvalid => (503, "configuration_invalid"),
            Self::HashKeyChanged => (503, "hash_key_changed"),
            Self::StorageUnavailable => (503, "storage_unavailable"),
            Self::BodiesBusy => (503, "bodies_busy"),
            Self::NamespacesFull => (507, "namespaces_full"),
            Self::EventsFull => (507, "events_full"),
            Self::MetricsTooLarge => (507, "metrics_too_large"),
            Self::FlagsFull => (507, "flags_full"),
            Self::SeriesFull => (507, "series_full"),
            Self::RetentionsFull => (507, "retentions_full"),
            Self::DefinitionsFull => (507, "definitions_full"),
            Self::UsersFull => (507, "users_full"),
            Self::ShardMemoryFull => (507, "shard_memory_full"),
        }
    }
}
