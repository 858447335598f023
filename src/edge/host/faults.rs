//! Faults that a test build injects on request. In every other build they do nothing.

use crate::messages::shard::Injection;

#[cfg(feature = "faults")]
impl Injection {
    /// Reads the header.
    pub fn of(request: &worker::Request) -> Self {
        match request.headers().get("x-kimball-fault").ok().flatten().as_deref() {
            Some("worker-panic") => Self::WorkerPanic,
            Some("worker-trap") => Self::WorkerTrap,
            Some("worker-allocation") => Self::WorkerAllocation,
            Some("shard-panic") => Self::ShardPanic,
            Some("shard-trap") => Self::ShardTrap,
            Some("shard-allocation") => Self::ShardAllocation,
            Some("journal-write") => Self::JournalWrite,
            Some("slow-2000") => Self::Slow,
            _ => Self::None,
        }
    }

    /// Strikes in the Worker.
    pub fn strike_worker(self) {
        match self {
            Self::WorkerPanic => panic(),
            Self::WorkerTrap => std::process::abort(),
            Self::WorkerAllocation => fail_allocation(),
            _ => {}
        }
    }

    /// Delays a shard.
    pub async fn delay_shard(self) {
        if self == Self::Slow {
            worker::Delay::from(std::time::Duration::from_secs(2)).await;
        }
    }

    /// Whether the journal write is to fail.
    pub fn fails_journal(self) -> bool {
        self == Self::JournalWrite
    }

    /// Strikes in the shard, between the journal write and the answer.
    pub fn strike_shard(self) {
        match self {
            Self::ShardPanic => panic(),
            Self::ShardTrap => std::process::abort(),
            Self::ShardAllocation => fail_allocation(),
            _ => {}
        }
    }
}

#[cfg(feature = "faults")]
#[allow(clippy::panic)]
fn panic() {
    panic!("injected");
}

#[cfg(feature = "faults")]
fn fail_allocation() {
    std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 64]>());
}

#[cfg(not(feature = "faults"))]
#[allow(clippy::unused_self, clippy::unused_async)]
impl Injection {
    /// Always none.
    pub const fn of(_: &worker::Request) -> Self {
        Self::None
    }

    /// Does nothing.
    pub const fn strike_worker(self) {}

    /// Does nothing.
    pub async fn delay_shard(self) {}

    /// Never.
    pub const fn fails_journal(self) -> bool {
        false
    }

    /// Does nothing.
    pub const fn strike_shard(self) {}
}
