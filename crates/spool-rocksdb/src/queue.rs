use crate::stats::Counters;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use waybill_spool::{Batch, Committed, Durability, StoreError};

/// Batches that wait to be written, in KiB of what they write, each at least one. When it is full, whoever commits
/// waits: that is the back-pressure of a slow disk.
const QUEUE_KIB: u32 = 32 * 1024;

/// Who is to be told of a commit.
pub(crate) struct Ticket {
    reply: oneshot::Sender<Result<Committed, StoreError>>,
    pending: Pending,
}

impl Ticket {
    /// Tells; whoever does not want to know any more has dropped its end.
    pub(crate) fn answer(self, result: Result<Committed, StoreError>) {
        // First, so that who is told finds itself no longer counted.
        drop(self.pending);
        let _ = self.reply.send(result);
    }
}

/// Counts a commit as pending while it lives.
struct Pending(Arc<Counters>);

impl Pending {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.pending.fetch_add(1, Ordering::Relaxed);
        Pending(counters.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A batch that waits to be written.
pub(crate) struct Waiting {
    pub(crate) batch: Batch,
    pub(crate) durability: Durability,
    pub(crate) ticket: Ticket,
    _room: OwnedSemaphorePermit,
}

/// Between whoever commits and the thread that writes.
pub(crate) struct Queue {
    room: Arc<Semaphore>,
    counters: Arc<Counters>,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    end: Option<End>,
}

/// How the store ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// What waits is written, and the next start will know that all is in order.
    Closed,
    /// What waits is dropped, as if the process had died.
    Dropped,
}

/// What the thread that writes gets to do.
pub(crate) enum Next {
    Group(Vec<Waiting>),
    End(End),
}

impl Queue {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        let room = Arc::new(Semaphore::new(QUEUE_KIB as usize));
        Queue { room, counters, inner: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for room and hands a batch in. Cancel safe: a batch that found no room yet is not handed in.
    pub(crate) async fn submit(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> Result<oneshot::Receiver<Result<Committed, StoreError>>, StoreError> {
        let pending = Pending::new(&self.counters);
        let kib = u32::try_from(1 + batch.weight() / 1024).unwrap_or(QUEUE_KIB).min(QUEUE_KIB);
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { reply, pending };
        let mut inner = self.inner.lock();
        if inner.end.is_some() {
            return Err(StoreError::Closed);
        }
        inner.waiting.push_back(Waiting { batch, durability, ticket, _room: room });
        drop(inner);
        self.changed.notify_all();
        Ok(answer)
    }

    /// Waits for batches and takes them up to a weight, but at least one.
    pub(crate) fn next(&self, weight: usize) -> Next {
        let mut inner = self.inner.lock();
        loop {
            match inner.end {
                Some(End::Dropped) => return Next::End(End::Dropped),
                Some(End::Closed) if inner.waiting.is_empty() => return Next::End(End::Closed),
                _ if inner.waiting.is_empty() => self.changed.wait(&mut inner),
                _ => break,
            }
        }
        let mut group = Vec::new();
        let mut taken = 0;
        while let Some(next) = inner.waiting.front() {
            taken += next.batch.weight();
            if taken > weight && !group.is_empty() {
                break;
            }
            group.extend(inner.waiting.pop_front());
        }
        Next::Group(group)
    }

    /// Waits so long; true when the store ends meanwhile.
    pub(crate) fn ends_within(&self, time: Duration) -> bool {
        let mut inner = self.inner.lock();
        let _ = self.changed.wait_while_for(&mut inner, |inner| inner.end.is_none(), time);
        inner.end.is_some()
    }

    /// Takes all that waits.
    pub(crate) fn take_all(&self) -> Vec<Waiting> {
        self.inner.lock().waiting.drain(..).collect()
    }

    /// Takes nothing more. A store that was closed can still be dropped, not the other way round.
    pub(crate) fn end(&self, end: End) {
        let mut inner = self.inner.lock();
        if inner.end != Some(End::Dropped) {
            inner.end = Some(end);
        }
        drop(inner);
        self.room.close();
        self.changed.notify_all();
    }
}
