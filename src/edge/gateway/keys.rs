//! The deployment's keys in this isolate, compared once with what the stored state was made with.

use std::cell::RefCell;
use std::rc::Rc;

use worker::Env;

use super::ask::ask_registry;
use crate::api::code::Code;
use crate::core::identity::Keys;
use crate::edge::host::config::Config;
use crate::edge::http::error::ApiError;
use crate::messages::registry::Key;

thread_local! {
    static KEYS: RefCell<Option<Rc<Keys>>> = const { RefCell::new(None) };
}

/// The keys: from `HASH_KEY`, or from the key that the registry generated.
///
/// # Errors
/// [`Code::HashKeyChanged`] when the state was made with another key; or the registry cannot be reached.
pub async fn keys(env: &Env, config: &Config) -> Result<Rc<Keys>, ApiError> {
    if let Some(keys) = KEYS.with_borrow(Clone::clone) {
        return Ok(keys);
    }
    let check = config.keys.as_ref().map(Keys::check);
    let keys = match (ask_registry(env, &Key { check }).await?, &config.keys) {
        (None, Some(configured)) => configured.clone(),
        (Some(generated), None) => Keys::new(&generated),
        _ => {
            return Err(ApiError::new(Code::StorageUnavailable, "the registry gave no key"));
        }
    };
    let keys = Rc::new(keys);
    KEYS.with_borrow_mut(|slot| *slot = Some(Rc::clone(&keys)));
    Ok(keys)
}
