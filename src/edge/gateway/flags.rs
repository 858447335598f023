//! The flags as an isolate knows them: those of the registry, a few seconds old at most.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::Env;

use super::ask::ask_registry;
use crate::core::flags::{FlagJson, FlagSpec, NewFlag, NewRollout};
use crate::core::requests::parse_stored_flag;
use crate::core::settings::limits::FLAG_CACHE_MS;
use crate::edge::host::clock;
use crate::edge::http::error::ApiError;
use crate::messages::Question;
use crate::messages::registry::{Flags, FlagsReply, PutFlag, RemoveFlag, RolloutTimes};

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
    let question = Flags { known: known.as_ref().map(|known| known.version) };
    let cached = match (ask_registry(env, &question).await?, known) {
        (FlagsReply { version, flags: Some(flags) }, _) => {
            let flags = flags.iter().map(|flag| parse_stored_flag(flag)).collect::<Result<_, _>>();
            let flags = flags.map_err(|_| ApiError::storage(&"a stored flag cannot be read".into()))?;
            Cached { version, flags: Rc::new(flags), asked_ms }
        }
        (FlagsReply { version, flags: None }, Some(known)) if version == known.version => Cached { asked_ms, ..known },
        _ => return Err(ApiError::storage(&"the registry gave no flags".into())),
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
    let NewFlag { spec, rollout } = flag;
    let rollout = rollout.map(|NewRollout { start, end }| RolloutTimes { start, end });
    let flag = FlagJson::stored(&spec).to_text().ok_or_else(|| ApiError::storage(&"a flag has no JSON".into()))?;
    write(env, &PutFlag { flag, rollout, now }).await
}

/// Removes a flag; answers whether there was one.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn remove(env: &Env, name: String) -> Result<bool, ApiError> {
    write(env, &RemoveFlag { name }).await
}

/// Asks for a change, and forgets what was cached. Also where the answer was lost: the change may have been made.
async fn write<Q: Question>(env: &Env, question: &Q) -> Result<Q::Answer, ApiError> {
    let asked = ask_registry(env, question).await;
    WRITTEN.set(WRITTEN.get() + 1);
    CACHE.set(None);
    asked
}
