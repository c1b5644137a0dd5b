use super::ReadyId;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A place in a ready queue that nobody else can take.
///
/// Redeeming it cannot fail. Dropping it gives the place back, wherever that happens: a task that reserved, then
/// failed to load the message, needs no clean-up code.
#[derive(Debug)]
#[must_use = "a reservation that is dropped gives its place back"]
pub struct Reservation {
    pub(super) queue: ReadyId,
    count: Arc<AtomicUsize>,
}

impl Reservation {
    /// The queue it is for.
    pub fn queue(&self) -> ReadyId {
        self.queue
    }

    /// Gives the place back.
    pub fn release(self) {}
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many reservations of one queue are out.
#[derive(Debug, Default)]
pub(super) struct Reserved(Arc<AtomicUsize>);

impl Reserved {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    // Only the owner of the queue hands out places, so counting and comparing need not be one operation.
    pub(super) fn reserve(&self, queue: ReadyId) -> Reservation {
        self.0.fetch_add(1, Ordering::Relaxed);
        Reservation { queue, count: Arc::clone(&self.0) }
    }
}
