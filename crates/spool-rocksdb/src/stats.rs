use std::sync::atomic::{AtomicU64, Ordering};

/// What the store has done since it was opened, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Commits that are not answered yet.
    pub pending: u64,
    /// Commits that were written.
    pub commits: u64,
    /// Commits that failed.
    pub failed: u64,
    /// Writes: each holds one commit or more.
    pub groups: u64,
    /// Fsyncs of the log.
    pub syncs: u64,
    /// Bytes of keys and values that were written.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) pending: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            pending: read(&self.pending),
            commits: read(&self.commits),
            failed: read(&self.failed),
            groups: read(&self.groups),
            syncs: read(&self.syncs),
            bytes: read(&self.bytes),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}
