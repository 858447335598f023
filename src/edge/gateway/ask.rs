//! Asking Durable Objects.

use futures_util::{StreamExt, stream};
use worker::Env;

use super::open;
use crate::core::settings::limits::FAN_OUT;
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
    decoded::<Q>(name, &send(env, Q::CLASS, name, question).await?)
}

/// Asks every shard of a namespace the same, some at a time, and hands each answer to `take` as it comes.
///
/// # Errors
/// The first [`Failure`] of a shard, that it could not be reached, or what `take` says.
pub async fn ask_shards<Q: Question>(
    env: &Env,
    namespace: &str,
    shards: u32,
    question: &Q,
    mut take: impl FnMut(Q::Answer),
) -> Result<(), ApiError> {
    let mut take_bytes = |name: &str, answer: &[u8]| {
        take(decoded::<Q>(name, answer)?.map_err(ApiError::from)?);
        Ok(())
    };
    send_all(env, namespace, shards, &|| encode(question), &mut take_bytes).await
}

// What is the same for all questions is compiled once: a future for each of them would be a tenth of the Worker.

/// What is done with the answer of the shard of a name.
type Take<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<(), ApiError>;

async fn send_all(
    env: &Env,
    namespace: &str,
    shards: u32,
    question: &dyn Fn() -> Encoded,
    take: Take<'_>,
) -> Result<(), ApiError> {
    let mut answers = stream::iter(0..shards)
        .map(|index| async move {
            let name = shard_name(namespace, index);
            let answer = send(env, SHARD, &name, question()).await;
            answer.map(|answer| (name, answer))
        })
        .buffer_unordered(FAN_OUT);
    while let Some(answer) = answers.next().await {
        let (name, answer) = answer?;
        take(&name, &answer)?;
    }
    Ok(())
}

async fn send(env: &Env, class: &'static str, name: &str, question: Encoded) -> Result<Vec<u8>, ApiError> {
    // Held until the answer is there.
    let _open = if class == SHARD { Some(open::enter(env, name).await?) } else { None };
    // A stub stays broken once its object was aborted: a new one for every request.
    let stub = env.durable_object(class).and_then(|namespace| namespace.get_by_name(name));
    let answer = match stub {
        Ok(stub) => exchange(stub, question).await,
        Err(error) => Err(error),
    };
    record::reached(name, answer.is_ok());
    answer.map_err(|error| unreachable(name, &error.to_string()))
}

fn decoded<Q: Question>(name: &str, answer: &[u8]) -> Result<Result<Q::Answer, Failure>, ApiError> {
    decode_answer::<Q>(answer).map_err(|error| unreachable(name, &error.to_string()))
}

fn unreachable(name: &str, cause: &str) -> ApiError {
    ApiError::storage(&format!("{name}: {cause}").into())
}
