//! How questions and answers travel between the Worker and its Durable Objects: as bodies of an internal fetch.

use worker::wasm_bindgen::JsValue;
use worker::{Error, Method, Request, RequestInit, Response, Result, Stub, js_sys};

use crate::messages::{Failure, Question, decode_question, encode_answer, encode_question, split_question};

/// A question on its way, which needs what it was made of no more.
pub struct Encoded(Result<js_sys::Uint8Array>);

/// Encodes a question.
pub fn encode<Q: Question>(question: &Q) -> Encoded {
    Encoded(match encode_question(question, ahead()) {
        Ok(bytes) => Ok(js_sys::Uint8Array::from(bytes.as_slice())),
        Err(error) => Err(Error::from(error.to_string())),
    })
}

/// Sends a question to an object and returns the answer as it came.
///
/// # Errors
/// When the object cannot be reached, or breaks the call off.
pub async fn exchange(stub: Stub, Encoded(question): Encoded) -> Result<Vec<u8>> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(JsValue::from(question?)));
    let request = Request::new_with_init("https://object/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    match response.status_code() {
        NO_BODY => Ok(DONE.to_vec()),
        OTHER_VERSION => Err(Error::from("a deploy is under way: the object is of another version")),
        _ => response.bytes().await,
    }
}

/// What postcard makes of `Ok(())`. It travels as a response without a body: reading one costs more than everything else
/// that the Worker does for a single event.
const DONE: [u8; 1] = [0];
const NO_BODY: u16 = 204;
const OTHER_VERSION: u16 = 409;

/// A question as an object gets it.
pub struct Incoming(Vec<u8>);

impl Incoming {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn of(request: &mut Request) -> Result<Self> {
        Ok(Self(request.bytes().await?))
    }

    /// Its kind; `None` where it is of another version.
    pub fn kind(&self) -> Option<u8> {
        Some(split_question(&self.0)?.0)
    }

    /// What it asks; `None` where it cannot be read.
    pub fn question<Q: Question>(&self) -> Option<Q> {
        decode_question(split_question(&self.0)?.1).ok()
    }
}

/// Answers a question that cannot be read.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn refuse() -> Result<Response> {
    Ok(Response::empty()?.with_status(OTHER_VERSION))
}

/// Answers a question.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn reply<Q: Question>(answer: &std::result::Result<Q::Answer, Failure>) -> Result<Response> {
    respond(encoded::<Q>(answer)?)
}

/// An answer as [`reply`] sends it, for one that is kept and sent again.
///
/// # Errors
/// When it cannot be encoded.
pub fn encoded<Q: Question>(answer: &std::result::Result<Q::Answer, Failure>) -> Result<Vec<u8>> {
    encode_answer::<Q>(answer).map_err(|error| Error::from(error.to_string()))
}

/// Sends an encoded answer.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn respond(answer: Vec<u8>) -> Result<Response> {
    if answer == DONE { Ok(Response::empty()?.with_status(NO_BODY)) } else { Response::from_bytes(answer) }
}

/// The answer of a shard that is ready to be closed. `guard.js` reads it, and nobody else.
///
/// # Errors
/// When the runtime refuses to make a response.
pub fn ready_to_close() -> Result<Response> {
    Ok(Response::empty()?.with_status(READY_TO_CLOSE))
}

const READY_TO_CLOSE: u16 = 205;

#[cfg(not(feature = "faults"))]
const fn ahead() -> u8 {
    0
}

#[cfg(feature = "faults")]
use injected::ahead;
#[cfg(feature = "faults")]
pub use injected::shift_version;

#[cfg(feature = "faults")]
mod injected {
    use std::cell::Cell;

    thread_local! {
        static AHEAD: Cell<u8> = const { Cell::new(0) };
    }

    /// Sends questions as of so many versions ahead.
    pub fn shift_version(ahead: u8) {
        AHEAD.set(ahead);
    }

    pub fn ahead() -> u8 {
        AHEAD.get()
    }
}
