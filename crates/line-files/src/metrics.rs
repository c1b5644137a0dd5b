use std::sync::atomic::{AtomicU64, Ordering};

/// What a set of files has done so far. Whoever exposes metrics reads it when asked for them.
#[derive(Debug, Default)]
pub struct Metrics {
    /// How often a caller found the backlog full and had to wait (`log_submit_full`).
    pub submit_full: AtomicU64,
    /// Lines written.
    pub records: AtomicU64,
    /// Bytes of their text.
    pub bytes: AtomicU64,
    /// Bytes that reached the disk.
    pub compressed_bytes: AtomicU64,
    /// Files begun.
    pub segments: AtomicU64,
    /// Attempts to open, write or finish a file that failed. Each is tried again.
    pub disk_failures: AtomicU64,
    /// Lines that could not be made as they were meant to be (a template failed), and are in the files in another form.
    pub template_failures: AtomicU64,
    /// Lines left out since whoever decides about them failed.
    pub filter_failures: AtomicU64,
    /// Lines that found no place, or came after the files were finished, and are in none.
    pub refused: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
