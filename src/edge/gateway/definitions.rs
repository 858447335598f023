//! Definitions on their way from the registry to the shards.

use worker::Env;

use super::ask::{ask_registry, ask_shards};
use crate::api::code::Code;
use crate::core::periods::day::Day;
use crate::core::requests::parse_stored_definition;
use crate::core::settings::limits::{DEFINITIONS, TIME_FINGERPRINTS};
use crate::core::state::definitions::{Definition, Kind};
use crate::edge::host::config::Config;
use crate::edge::http::error::ApiError;
use crate::messages::definitions::{DefinitionPut, DefinitionRecord, PutDefinition};
use crate::messages::shard::Adopt;

/// A definition that is there.
pub struct Made {
    /// Whether it was made now.
    pub is_new: bool,
    /// It.
    pub definition: DefinitionRecord,
}

/// Makes a definition, and has every shard refuse batches from before. `full` is the code, the sentence and the name of the limit of its
/// kind.
///
/// # Errors
/// When there is another one of its name, or no room for it, or the registry or a shard cannot be reached; making it again is safe.
pub async fn put(
    env: &Env,
    config: &Config,
    question: &PutDefinition,
    full: (Code, &str, &'static str),
) -> Result<Made, ApiError> {
    if !config.has_series() {
        return Err(ApiError::limit(full.0, "counting in periods is switched off", TIME_FINGERPRINTS.name, 0));
    }
    match ask_registry(env, question).await? {
        DefinitionPut::Done { is_new, definition, shards, incarnation } => {
            ask_shards(env, &question.namespace, shards, &Adopt { incarnation }, |()| ()).await?;
            Ok(Made { is_new, definition })
        }
        DefinitionPut::Exists => {
            let what = "there is another one of this name, and none can be changed; delete it, or take another name";
            Err(ApiError::new(Code::Exists, what))
        }
        DefinitionPut::Full => Err(ApiError::limit(full.0, full.1, full.2, question.max)),
        DefinitionPut::NumbersFull => {
            let what = "the namespace has had as many definitions as it can have, with those that were deleted";
            Err(ApiError::limit(Code::DefinitionsFull, what, DEFINITIONS.name, config.definitions_max))
        }
        DefinitionPut::NamesFull(refusal) => {
            Err(ApiError::full(refusal, config.namespaces_max, config.events_per_namespace_max))
        }
    }
}

/// The first day that a definition counts; `None` where every day does.
pub fn since(definition: &DefinitionRecord) -> Option<Day> {
    Day::of_number(definition.since.into()).filter(|_| definition.since > 0)
}

/// Definitions as batches bring them to shards. One that this version does not know is left out.
pub fn encoded(definitions: &[DefinitionRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in definitions {
        let spec =
            Kind::of_number(record.kind).and_then(|kind| parse_stored_definition(kind, &record.spec, &record.events));
        if let Some(spec) = spec {
            Definition { number: record.number, since: since(record), spec }.encode(&mut bytes);
        }
    }
    bytes
}
