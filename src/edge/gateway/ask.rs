//! Asking Durable Objects.

use worker::Env;

use super::open;
use crate::edge::host::record;
use crate::edge::host::wire::{Encoded, encode, exchange};
use crate::edge::http::error::ApiError;
use crate::messages::registry::{REGISTRY, REGISTRY_NAME};
use crate::messages::shard::SHARD;
use crate::messages::{Failure, Question, decode_answer};

/// The name of the object that holds a shard of a namespace.
pub fn shard_name(namespace: &str, index: u32) -> String {
    format!("{namespace}/{index}")
}

/// Asks the registry.
///
/// # Errors
/// The registry's [`Failure`], or that it could not be reached.
pub async fn ask_registry<Q: Question>(env: &Env, question: &Q) -> Result<Q::Answer, ApiError> {
    debug_assert_eq!(Q::CLASS, REGISTRY);
    ask::<Q>(env, REGISTRY_NAME, encode(question)).await?.map_err(ApiError::from)
}

/// Asks the shard of this name.
///
/// # Errors
/// The shard's [`Failure`], or that it could not be reached.
pub async fn ask_shard<Q: Question>(env: &Env, name: &str, question: &Q) -> Result<Q::Answer, ApiError> {
    ask::<Q>(env, name, encode(question)).await?.map_err(ApiError::from)
}

/// Asks the object of this name, and answers its failure as it is.
///
/// # Errors
/// That it could not be reached.
pub async fn ask<Q: Question>(
    env: &Env,
    name: &str,
    question: Encoded,
) -> Result<Result<Q::Answer, Failure>, ApiError> {
    // Held until the answer is there.
    let _open = if Q::CLASS == SHARD { Some(open::enter(env, name).await?) } else { None };
    // A stub stays broken once its object was aborted: a new one for every request.
    let stub = env.durable_object(Q::CLASS).and_then(|namespace| namespace.get_by_name(name));
    let answer = match stub {
        Ok(stub) => exchange(stub, question).await,
        Err(error) => Err(error),
    };
    record::reached(name, answer.is_ok());
    let unreachable = |cause: String| ApiError::storage(&format!("{name}: {cause}").into());
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    decode_answer::<Q>(&answer).map_err(|error| unreachable(error.to_string()))
}
