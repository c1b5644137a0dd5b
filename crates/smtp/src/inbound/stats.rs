use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one listener, for whoever shows metrics.
#[derive(Debug, Default)]
pub struct Stats {
    connections: AtomicU64,
    current: AtomicU64,
    denied: AtomicU64,
    rejections: AtomicU64,
    messages: AtomicU64,
}

impl Stats {
    /// Connections that became sessions, since the start.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Sessions right now.
    pub fn current(&self) -> u64 {
        self.current.load(Ordering::Relaxed)
    }

    /// Connections turned away before a greeting: too many, no mail is taken, or policy said no.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// Replies of 400 and above that were recorded as rejections.
    pub fn rejections(&self) -> u64 {
        self.rejections.load(Ordering::Relaxed)
    }

    /// Messages taken; a transaction may be several.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(super) fn deny(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reject(&self) {
        self.rejections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn receive(&self, messages: usize) {
        self.messages.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Counts a session until the guard is dropped.
    pub(super) fn enter(&self) -> Current<'_> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.current.fetch_add(1, Ordering::Relaxed);
        Current(self)
    }
}

/// A session that is counted.
pub(super) struct Current<'a>(&'a Stats);

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.0.current.fetch_sub(1, Ordering::Relaxed);
    }
}
