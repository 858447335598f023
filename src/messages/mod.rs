//! What the Worker and its Durable Objects say to each other. Never stored.
//!
//! A question is a type of its own with the type of its answer ([`Question`]), so no answer can be given to another
//! question. None of these types is one of the core: those may change as they like, and what travels does not change with
//! them unseen. `golden.rs` has the bytes of every message.
//!
//! | part of a question | form |
//! |---|---|
//! | version | 1 byte, [`VERSION`] |
//! | kind | 1 byte, [`Question::KIND`] |
//! | content | postcard |
//!
//! An answer is postcard of `Result<Answer, Failure>`.

pub mod definitions;
mod failure;
pub mod operations;
pub mod registry;
pub mod shard;

pub use failure::{Failure, FlagLimit, Refusal};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of what is asked and answered. It rises with every change of a type: while a deploy is under way, Workers
/// and objects of both sides of it are at work, and what the other one sent must not be guessed at.
pub const VERSION: u8 = 6;

/// A question to an object of one class.
pub trait Question: Serialize + DeserializeOwned {
    /// What it is answered with.
    type Answer: Serialize + DeserializeOwned;

    /// Tells it from the other questions to the class.
    const KIND: u8;

    /// The name of the binding of the class.
    const CLASS: &'static str;
}

/// Says of a type that it is a question.
macro_rules! question {
    ($kind:literal, $question:ty => $answer:ty, $class:expr) => {
        impl $crate::messages::Question for $question {
            type Answer = $answer;

            const KIND: u8 = $kind;
            const CLASS: &'static str = $class;
        }
    };
}
use question;

/// Encodes a question, as of a Worker that is so many versions ahead.
///
/// # Errors
/// When there is no memory for it.
pub fn encode_question<Q: Question>(question: &Q, ahead: u8) -> postcard::Result<Vec<u8>> {
    postcard::to_extend(question, vec![VERSION + ahead, Q::KIND])
}

/// The kind and the content of a question; `None` where it is of another version.
#[must_use]
pub const fn split_question(question: &[u8]) -> Option<(u8, &[u8])> {
    match question {
        [VERSION, kind, content @ ..] => Some((*kind, content)),
        _ => None,
    }
}

/// Decodes the content of a question.
///
/// # Errors
/// When it is not what [`encode_question`] made of one.
pub fn decode_question<Q: Question>(content: &[u8]) -> postcard::Result<Q> {
    postcard::from_bytes(content)
}

/// Encodes an answer.
///
/// # Errors
/// When there is no memory for it.
pub fn encode_answer<Q: Question>(answer: &Result<Q::Answer, Failure>) -> postcard::Result<Vec<u8>> {
    postcard::to_allocvec(answer)
}

/// Decodes an answer.
///
/// # Errors
/// When it is not what [`encode_answer`] made of one.
pub fn decode_answer<Q: Question>(answer: &[u8]) -> postcard::Result<Result<Q::Answer, Failure>> {
    postcard::from_bytes(answer)
}

#[cfg(test)]
mod golden;
