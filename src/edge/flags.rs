//! The flags as an isolate knows them: those of the registry, a few seconds old at most.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::Env;

use super::clock;
use super::error::ApiError;
use super::exchange::ask;
use super::message::{REGISTRY_NAME, RegistryReply, RegistryRequest};
use crate::core::flag::{FlagSpec, NewFlag};
use crate::core::limits::FLAG_CACHE_MS;

#[derive(Clone)]
struct Cached {
    version: u64,
    flags: Rc<Vec<FlagSpec>>,
    asked_ms: u64,
}

thread_local! {
    static CACHE: RefCell<Option<Cached>> = const { RefCell::new(None) };
    /// How often this isolate wrote: what was asked for before the last time may be out of date.
    static WRITTEN: Cell<u64> = const { Cell::new(0) };
}

/// All flags, ascending by name, at most [`FLAG_CACHE_MS`] old and never older than what this isolate wrote.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn cached(env: &Env) -> Result<Rc<Vec<FlagSpec>>, ApiError> {
    let fresh = CACHE.with_borrow(|cache| {
        let now = clock::now_ms();
        let is_fresh = |cached: &&Cached| now.abs_diff(cached.asked_ms) < FLAG_CACHE_MS;
        cache.as_ref().filter(is_fresh).map(|cached| Rc::clone(&cached.flags))
    });
    match fresh {
        Some(flags) => Ok(flags),
        None => current(env).await,
    }
}

/// All flags, ascending by name, as the registry has them now.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn current(env: &Env) -> Result<Rc<Vec<FlagSpec>>, ApiError> {
    let asked_ms = clock::now_ms();
    let writes = WRITTEN.get();
    let known = CACHE.with_borrow(Clone::clone);
    let request = RegistryRequest::Flags { known: known.as_ref().map(|known| known.version) };
    let cached = match (ask(env, "REGISTRY", REGISTRY_NAME, &request).await?, known) {
        (RegistryReply::Flags { version, flags: Some(flags) }, _) => {
            Cached { version, flags: Rc::new(flags), asked_ms }
        }
        (RegistryReply::Flags { version, flags: None }, Some(known)) if version == known.version => {
            Cached { asked_ms, ..known }
        }
        _ => return Err(ApiError::unexpected("the registry")),
    };
    let flags = Rc::clone(&cached.flags);
    CACHE.with_borrow_mut(|cache| {
        // Answers can overtake each other; only a newer one takes the place of what is known.
        if writes == WRITTEN.get() && cache.as_ref().is_none_or(|known| known.version <= cached.version) {
            *cache = Some(cached);
        }
    });
    Ok(flags)
}

/// Adds a flag, or puts it in the place of the one of its name. `now`, in Unix seconds, is the time by which it was read.
///
/// # Errors
/// When a limit refuses it, or the registry cannot be reached.
pub async fn put(env: &Env, flag: NewFlag, now: i64) -> Result<(), ApiError> {
    match write(env, &RegistryRequest::PutFlag { flag, now }).await? {
        RegistryReply::Done => Ok(()),
        _ => Err(ApiError::unexpected("the registry")),
    }
}

/// Removes a flag; answers whether there was one.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn remove(env: &Env, name: String) -> Result<bool, ApiError> {
    match write(env, &RegistryRequest::RemoveFlag { name }).await? {
        RegistryReply::Removed(was_there) => Ok(was_there),
        _ => Err(ApiError::unexpected("the registry")),
    }
}

/// Asks for a change, and forgets what was cached. Also where the answer was lost: the change may have been made.
async fn write(env: &Env, request: &RegistryRequest) -> Result<RegistryReply, ApiError> {
    let asked = ask(env, "REGISTRY", REGISTRY_NAME, request).await;
    WRITTEN.set(WRITTEN.get() + 1);
    CACHE.set(None);
    asked
}
