//! What a shard and the registry tell each other of how far storage has got: the watermark, and the incarnation of the namespace.

use std::cell::Cell;

use worker::Env;

use super::failure::Outcome;
use crate::edge::gateway::ask::ask_registry;
use crate::messages::Failure;
use crate::messages::registry::{Marks, NoteReadable, RaiseWatermark, Renew, Watermark};

/// What is known of the registry's marks, and what is being told to it.
#[derive(Default)]
pub struct KnownMarks {
    marks: Cell<Option<Marks>>,
    is_raising: Cell<bool>,
    is_renewing: Cell<bool>,
    is_unreadable: Cell<bool>,
}

impl KnownMarks {
    /// The greatest generation that the registry has heard of.
    pub fn watermark(&self) -> u64 {
        self.get().generation
    }

    /// All of them.
    pub fn get(&self) -> Marks {
        self.marks.get().unwrap_or(Marks { generation: 0, incarnation: 0 })
    }

    /// Notes what the registry knows, as far as another call has not gone on to more meanwhile.
    pub fn raise(&self, marks: Marks) {
        let Marks { generation, incarnation } = self.get();
        let raised =
            Marks { generation: generation.max(marks.generation), incarnation: incarnation.max(marks.incarnation) };
        self.marks.set(Some(raised));
    }

    /// Whether the state could not be read when that was last tried.
    pub fn is_unreadable(&self) -> bool {
        self.is_unreadable.get()
    }

    /// Asks for the marks of a shard, once.
    pub async fn learn(&self, env: &Env, shard: String, namespace: Option<String>) -> Outcome<()> {
        if self.marks.get().is_none() {
            self.raise(ask_registry(env, &Watermark { shard, namespace }).await.map_err(|_| Failure::Storage)?);
        }
        Ok(())
    }

    /// Has the registry give the namespace a new incarnation, because older storage was accepted, and answers it. Where it cannot
    /// be reached, the next call asks again, as it does where the runtime does not say what the shard is called.
    pub async fn renewed(&self, env: &Env, namespace: Option<String>, incarnation: u64) -> Option<u64> {
        let namespace = namespace?;
        if self.is_renewing.replace(true) {
            return None;
        }
        let renewed = ask_registry(env, &Renew { namespace, incarnation }).await;
        self.is_renewing.set(false);
        renewed.ok()
    }

    /// Tells the registry of the generation that is stored. The runtime lets the message out once the generation is
    /// durable. Where the registry cannot be reached, the next call tells it.
    pub async fn ensure_watermark(&self, env: &Env, shard: String, generation: u64) {
        if self.watermark() < generation && !self.is_raising.replace(true) {
            let told = ask_registry(env, &RaiseWatermark { shard, generation }).await;
            self.is_raising.set(false);
            if told.is_ok() {
                self.raise(Marks { generation, ..self.get() });
            }
        }
    }

    /// Tells the registry when the state cannot be read, and when it can be again.
    pub async fn report_readable(&self, env: &Env, shard: String, is_unreadable: bool) {
        if self.is_unreadable.replace(is_unreadable) || is_unreadable {
            // Nothing depends on it: the next failure tells it again.
            let _ = ask_registry(env, &NoteReadable { shard, is_readable: !is_unreadable }).await;
        }
    }
}
