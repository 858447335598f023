//! How questions and answers travel between the Worker and its Durable Objects: postcard over an internal fetch.

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::wasm_bindgen::JsValue;
use worker::{Env, Method, Request, RequestInit, Response, Stub, js_sys};

use super::error::ApiError;
use super::message::Failure;
use super::metrics::record;
use super::open;

/// The binding of the shards.
const SHARD: &str = "SHARD";

/// Asks a Durable Object.
///
/// # Errors
/// The object's [`Failure`], or that it could not be reached.
pub async fn ask<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: &Q,
) -> Result<A, ApiError> {
    ask_encoded(env, binding, name, encode(question)).await
}

/// Asks a Durable Object, and answers its failure as it is.
///
/// # Errors
/// That it could not be reached.
pub async fn ask_plainly<Q: Serialize, A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: &Q,
) -> Result<Result<A, Failure>, ApiError> {
    answer_of(env, binding, name, encode(question)).await
}

/// A question on its way, which needs what it was made of no more.
pub struct Encoded(worker::Result<js_sys::Uint8Array>);

/// Encodes a question for [`ask_encoded`].
pub fn encode<Q: Serialize>(question: &Q) -> Encoded {
    let bytes = postcard::to_allocvec(&(sent_version(), question));
    Encoded(match bytes {
        Ok(bytes) => Ok(js_sys::Uint8Array::from(bytes.as_slice())),
        Err(error) => Err(worker::Error::from(error.to_string())),
    })
}

/// Asks a Durable Object what was encoded before.
///
/// # Errors
/// The object's [`Failure`], or that it could not be reached.
pub async fn ask_encoded<A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: Encoded,
) -> Result<A, ApiError> {
    answer_of(env, binding, name, question).await?.map_err(ApiError::from)
}

async fn answer_of<A: DeserializeOwned>(
    env: &Env,
    binding: &str,
    name: &str,
    question: Encoded,
) -> Result<Result<A, Failure>, ApiError> {
    // Held until the answer is there.
    let _open = if binding == SHARD { Some(open::enter(env, name).await?) } else { None };
    // A stub stays broken once its object was aborted: a new one for every request.
    let stub = env.durable_object(binding).and_then(|namespace| namespace.get_by_name(name));
    let answer = match stub {
        Ok(stub) => exchange(stub, question).await,
        Err(error) => Err(error),
    };
    record::reached(name, answer.is_ok());
    let unreachable = |cause: String| ApiError::storage(&format!("{name}: {cause}").into());
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    postcard::from_bytes(&answer).map_err(|error| unreachable(error.to_string()))
}

/// Sends a question to an object and returns the answer as it came.
///
/// # Errors
/// When the object cannot be reached, or breaks the call off.
pub async fn exchange(stub: Stub, Encoded(question): Encoded) -> worker::Result<Vec<u8>> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from(question?)));
    let request = Request::new_with_init("https://object/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    match response.status_code() {
        NO_BODY => Ok(DONE.to_vec()),
        OTHER_VERSION => Err(worker::Error::from("a deploy is under way: the object is of another version")),
        _ => response.bytes().await,
    }
}

/// The version of what is asked and answered here. It rises with every change of a type that is sent: while a deploy is
/// under way, Workers and objects of both sides of it are at work, and what the other one sent must not be guessed at.
const VERSION: u8 = 2;
const OTHER_VERSION: u16 = 409;

/// Reads a question that came by [`ask`]; `None` where it is of another version, which [`refuse`] answers.
pub fn read<Q: DeserializeOwned>(question: &[u8]) -> Option<Q> {
    let (&VERSION, question) = question.split_first()? else {
        return None;
    };
    postcard::from_bytes(question).ok()
}

/// Answers a question that cannot be read.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn refuse() -> worker::Result<Response> {
    Ok(Response::empty()?.with_status(OTHER_VERSION))
}

#[cfg(not(feature = "faults"))]
const fn sent_version() -> u8 {
    VERSION
}

#[cfg(feature = "faults")]
use injected::sent_version;
#[cfg(feature = "faults")]
pub use injected::shift_version;

#[cfg(feature = "faults")]
mod injected {
    use std::cell::Cell;

    use super::VERSION;

    thread_local! {
        static AHEAD: Cell<u8> = const { Cell::new(0) };
    }

    /// Sends questions as of so many versions ahead.
    pub fn shift_version(ahead: u8) {
        AHEAD.set(ahead);
    }

    pub fn sent_version() -> u8 {
        VERSION + AHEAD.get()
    }
}

/// What postcard makes of `Ok` of a first variant without content. It travels as a response without a body: reading one
/// costs more than everything else that the Worker does for a single event.
const DONE: [u8; 2] = [0, 0];
const NO_BODY: u16 = 204;

/// The answer of a shard that is ready to be closed. `guard.js` reads it, and nobody else.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn ready_to_close() -> worker::Result<Response> {
    Ok(Response::empty()?.with_status(READY_TO_CLOSE))
}

const READY_TO_CLOSE: u16 = 205;

/// Answers a question that came by [`ask`].
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn reply<A: Serialize>(answer: &Result<A, Failure>) -> worker::Result<Response> {
    let bytes = postcard::to_allocvec(answer).map_err(|error| worker::Error::from(error.to_string()))?;
    if bytes == DONE { Ok(Response::empty()?.with_status(NO_BODY)) } else { Response::from_bytes(bytes) }
}

/// An answer as [`reply`] sends it, for one that is kept and sent again.
///
/// # Errors
/// When it cannot be encoded.
pub fn encoded<A: Serialize>(answer: A) -> worker::Result<Vec<u8>> {
    postcard::to_allocvec(&Ok::<A, Failure>(answer)).map_err(|error| worker::Error::from(error.to_string()))
}
