//! Group commit: batches that reach a shard at about the same time are applied in one stretch and share a journal row.
//!
//! A row costs a sync of the disk, and on Cloudflare a fee, however little is in it. So a batch that is ready waits for
//! those calls that have arrived at the object and whose bodies are still being read, and the last of them to be ready leads:
//! it carries out what all of them brought. A call that is alone waits for nothing, and none waits long for one that is
//! stuck: the first that waits leads after [`GROUP_WAIT_MS`].

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use worker::Delay;

use crate::core::settings::limits::{GROUP_BATCHES, GROUP_OPERATIONS, GROUP_WAIT_MS};
use crate::messages::Failure;
use crate::messages::shard::Apply;

/// What became of a batch.
pub type Outcome = Result<(), Failure>;

/// The calls that have arrived at one shard.
#[derive(Default)]
pub struct Group {
    arriving: Cell<usize>,
    waiting: RefCell<Vec<Waiting>>,
    has_leader: Cell<bool>,
}

struct Waiting {
    batch: Apply,
    /// Absent for the batch of the call that leads.
    turn: Option<oneshot::Sender<Turn>>,
}

enum Turn {
    Lead,
    Done(Outcome),
}

/// A call that has arrived and has not joined yet; dropped, it leaves, and nobody waits for it any more.
pub struct Arrival<'a> {
    group: &'a Group,
}

/// What a call that has joined is to do.
pub enum Joined {
    /// Carry these batches out, its own among them, and tell the others.
    Leads(Led),
    /// Nothing: another call has carried its batch out.
    Done(Outcome),
}

/// The batches of a group, in the hands of the call that leads it.
pub struct Led {
    waiting: Vec<Waiting>,
}

impl Group {
    /// Notes a call whose body is yet to be read.
    pub fn arrive(&self) -> Arrival<'_> {
        self.arriving.set(self.arriving.get() + 1);
        Arrival { group: self }
    }

    fn is_full(&self) -> bool {
        let waiting = self.waiting.borrow();
        let operations: usize = waiting.iter().map(|waiting| waiting.batch.operations.len()).sum();
        waiting.len() >= GROUP_BATCHES || operations >= GROUP_OPERATIONS
    }

    /// Has the latest of those that wait lead, where none is about to.
    fn appoint(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while !self.has_leader.get()
            && let Some(turn) = waiting.last_mut().and_then(|latest| latest.turn.take())
        {
            self.has_leader.set(turn.send(Turn::Lead).is_ok());
            if !self.has_leader.get() {
                // Its call has gone, unanswered.
                waiting.pop();
            }
        }
    }

    fn joined(&self, turn: Result<Turn, oneshot::Canceled>) -> Joined {
        match turn {
            Ok(Turn::Lead) => {
                self.has_leader.set(false);
                Joined::Leads(Led { waiting: self.waiting.take() })
            }
            Ok(Turn::Done(outcome)) => Joined::Done(outcome),
            // The call that led has gone, and with it what it knew.
            Err(_) => Joined::Done(Err(Failure::Storage)),
        }
    }
}

impl Arrival<'_> {
    /// Joins the group, and waits for its turn.
    pub async fn join(self, batch: Apply) -> Joined {
        let group = self.group;
        let (sender, mut turn) = oneshot::channel();
        group.waiting.borrow_mut().push(Waiting { batch, turn: Some(sender) });
        let is_first = group.waiting.borrow().len() == 1;
        drop(self);
        if is_first && !group.has_leader.get() {
            match select(turn, Delay::from(Duration::from_millis(GROUP_WAIT_MS))).await {
                Either::Left((turn, _)) => return group.joined(turn),
                Either::Right(((), waited)) => turn = waited,
            }
            group.appoint();
        }
        group.joined(turn.await)
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let group = self.group;
        group.arriving.set(group.arriving.get() - 1);
        if group.arriving.get() == 0 || group.is_full() {
            group.appoint();
        }
    }
}

impl Led {
    /// The batches, in the order in which they came.
    pub fn batches(&self) -> impl Iterator<Item = &Apply> {
        self.waiting.iter().map(|waiting| &waiting.batch)
    }

    /// Tells every call what became of its batch, all the same where that is a failure; answers the leader's own.
    pub fn tell(self, outcomes: Result<Vec<Outcome>, Failure>) -> Outcome {
        let mut own = Err(Failure::Storage);
        let mut outcomes = outcomes.map(Vec::into_iter);
        for Waiting { turn, .. } in self.waiting {
            let outcome = match &mut outcomes {
                Ok(each) => each.next().unwrap_or(Err(Failure::Storage)),
                Err(failure) => Err(failure.clone()),
            };
            match turn {
                // A call that has gone needs no answer.
                Some(turn) => drop(turn.send(Turn::Done(outcome))),
                None => own = outcome,
            }
        }
        own
    }
}
