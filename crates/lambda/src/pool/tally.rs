use crate::call::Failure;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the calls of a pool since its start, and what it does at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Calls with a result.
    pub done: u64,
    /// Calls whose script failed, or used up what Lua itself limits.
    pub failed: u64,
    /// Calls that took too long; their child was killed.
    pub timed_out: u64,
    /// Calls whose child ended or broke the protocol.
    pub died: u64,
    /// Calls that never began: their data was too large, or there was no child.
    pub refused: u64,
    /// Children started.
    pub started: u64,
    /// Of those, how many are behind no filter of system calls, as there is none here.
    pub unfiltered: u64,
    /// Children that do nothing at the moment.
    pub idle: usize,
    /// Children in a call.
    pub busy: usize,
}

/// Counts as it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    done: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    died: AtomicU64,
    refused: AtomicU64,
    started: AtomicU64,
    unfiltered: AtomicU64,
}

impl Counts {
    pub(super) fn call<T>(&self, came: &Result<T, Failure>) {
        let counter = match came {
            Ok(_) => &self.done,
            Err(Failure::Script(_)) => &self.failed,
            Err(Failure::TimedOut(_)) => &self.timed_out,
            Err(Failure::Died(_) | Failure::Protocol(_)) => &self.died,
            Err(Failure::TooLarge(_) | Failure::Unavailable(_)) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is the first.
    pub(super) fn unfiltered(&self) -> bool {
        self.unfiltered.fetch_add(1, Ordering::Relaxed) == 0
    }

    pub(super) fn tally(&self, idle: usize, busy: usize) -> Tally {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            done: of(&self.done),
            failed: of(&self.failed),
            timed_out: of(&self.timed_out),
            died: of(&self.died),
            refused: of(&self.refused),
            started: of(&self.started),
            unfiltered: of(&self.unfiltered),
            idle,
            busy,
        }
    }
}
