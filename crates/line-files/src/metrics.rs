use std::sync::atomic::{AtomicU64, Ordering};

/// What a set of log files has done so far. Whoever exposes metrics reads it when asked for them.
#[derive(Debug, Default)]
pub struct Metrics {
    /// How often a caller found the backlog full and had to wait (`log_submit_full`).
    pub submit_full: AtomicU64,
    /// Records written.
    pub records: AtomicU64,
    /// Bytes of their text.
    pub bytes: AtomicU64,
    /// Bytes that reached the disk.
    pub compressed_bytes: AtomicU64,
    /// Files begun.
    pub segments: AtomicU64,
    /// Attempts to open, write or finish a file that failed. Each is tried again.
    pub disk_failures: AtomicU64,
    /// Templates that could not be filled in: those records are in the files as JSON.
    pub template_failures: AtomicU64,
    /// Records left out since the filter event failed.
    pub filter_failures: AtomicU64,
    /// Records that came after the files were finished, and are in none.
    pub refused: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
