//! Having shards carry deletions out.
//!
//! The registry notes a deletion before any shard is asked, and forgets it once all of them have done it. So one that was cut
//! short is gone on with: by whoever deletes again, by whoever asks for names of the namespace, and by every isolate behind
//! its first request.

use std::cell::Cell;

use worker::{Context, Env};

use super::ask::{ask_registry, ask_shards};
use crate::api::code::Code;
use crate::edge::http::error::ApiError;
use crate::messages::registry::{Deletable, Delete, Deleted, Deletion, EndDeletion, NamesReply, PendingDeletions};
use crate::messages::shard::{CarryOutDeletion, Injection};

thread_local! {
    static IS_RESUMED: Cell<bool> = const { Cell::new(false) };
}

/// Deletes something everywhere. It is gone from all answers before any shard was asked. The caller forgets what its isolate
/// knows of the namespace.
///
/// # Errors
/// When the registry or a shard cannot be reached; deleting again goes on with it.
pub async fn delete(env: &Env, namespace: &str, what: Deletable, fault: Injection) -> Result<(), ApiError> {
    let question = Delete { namespace: namespace.to_owned(), what };
    let deletions = ask_registry(env, &question).await?.ok_or_else(|| {
        let what = "a definition, such as a retention grid, is about this event; delete that first";
        ApiError::new(Code::EventInUse, what)
    })?;
    fault.strike_worker();
    finish(env, &deletions).await
}

/// Goes on with deletions that were cut short, in the background, if this isolate has not done so yet.
pub fn resume(env: &Env, context: &Context) {
    if IS_RESUMED.replace(true) {
        return;
    }
    let env = env.clone();
    context.wait_until(async move {
        let resumed = async { finish(&env, &ask_registry(&env, &PendingDeletions).await?).await };
        if let Err(error) = resumed.await {
            worker::console_error!("a deletion is not carried out yet: {}", error.what());
            // The next request tries again.
            IS_RESUMED.set(false);
        }
    });
}

/// Goes on with what is left of the deletions in these namespaces. Where an event or a definition was deleted, others do not wait for a shard
/// that cannot be reached: its number is not given again. A namespace or a goal can come back under its name, and a shard
/// that deleted it later would take what is new.
///
/// # Errors
/// When a shard that has yet to delete a namespace or a goal cannot be reached.
pub async fn finish_before(env: &Env, names: &[NamesReply]) -> Result<(), ApiError> {
    for reply in names {
        let NamesReply::Known { deletions, .. } = reply else {
            continue;
        };
        let may_come_back =
            deletions.iter().any(|deletion| !matches!(deletion.what, Deleted::Event(_) | Deleted::Definition(_)));
        match finish(env, deletions).await {
            Err(error) if may_come_back => return Err(error),
            Err(error) => worker::console_error!("a deletion is not carried out yet: {}", error.what()),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Has all shards carry deletions out, in their order.
///
/// # Errors
/// When a shard or the registry cannot be reached.
pub async fn finish(env: &Env, deletions: &[Deletion]) -> Result<(), ApiError> {
    for Deletion { number, namespace, shards, what } in deletions {
        let question = CarryOutDeletion { number: *number, what: *what };
        ask_shards(env, namespace, *shards, &question, |()| ()).await?;
        ask_registry(env, &EndDeletion { number: *number }).await?;
    }
    Ok(())
}
