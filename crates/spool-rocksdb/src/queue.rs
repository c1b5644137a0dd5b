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
    /// Told once the batch is written, where somebody waits for that.
    written: Option<oneshot::Sender<Committed>>,
    pending: Pending,
}

impl Ticket {
    /// Tells that the batch is written; how it ends is still to come.
    pub(crate) fn written(&mut self, committed: &Committed) {
        if let Some(written) = self.written.take() {
            let _ = written.send(committed.clone());
        }
    }

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
    weight: usize,
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
    /// Somebody writes: the thread whose business that is, or whoever found nobody writing.
    writing: bool,
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

    /// Waits for room and hands a batch in; `written`, where given, hears before the answer that the batch is written, and is
    /// dropped where it never is. Cancel safe: a batch that found no room yet is not handed in.
    pub(crate) async fn submit(
        &self,
        batch: Batch,
        durability: Durability,
        written: Option<oneshot::Sender<Committed>>,
    ) -> Result<oneshot::Receiver<Result<Committed, StoreError>>, StoreError> {
        let pending = Pending::new(&self.counters);
        let weight = batch.weight();
        let kib = u32::try_from(1 + weight / 1024).unwrap_or(QUEUE_KIB).min(QUEUE_KIB);
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { reply, written, pending };
        let mut inner = self.inner.lock();
        if inner.end.is_some() {
            return Err(StoreError::Closed);
        }
        inner.waiting.push_back(Waiting { batch, durability, ticket, weight, _room: room });
        drop(inner);
        self.changed.notify_all();
        Ok(answer)
    }

    /// The right to write, if nobody writes and nothing waits to be written. To be given back with [`Queue::end_turn`].
    pub(crate) fn try_turn(&self) -> bool {
        let mut inner = self.inner.lock();
        let is_free = !inner.writing && inner.waiting.is_empty() && inner.end.is_none();
        inner.writing |= is_free;
        is_free
    }

    /// What was to be written is written.
    pub(crate) fn end_turn(&self) {
        let mut inner = self.inner.lock();
        inner.writing = false;
        let is_awaited = !inner.waiting.is_empty() || inner.end.is_some();
        drop(inner);
        if is_awaited {
            self.changed.notify_all();
        }
    }

    /// Waits for batches and takes them up to a weight, but at least one, with the right to write.
    pub(crate) fn next(&self, weight: usize) -> Next {
        let mut inner = self.inner.lock();
        loop {
            match inner.end {
                Some(End::Dropped) => return Next::End(End::Dropped),
                Some(End::Closed) if inner.waiting.is_empty() && !inner.writing => return Next::End(End::Closed),
                _ if inner.waiting.is_empty() || inner.writing => self.changed.wait(&mut inner),
                _ => break,
            }
        }
        let mut group = Vec::new();
        let mut taken = 0;
        while let Some(next) = inner.waiting.front() {
            taken += next.weight;
            if taken > weight && !group.is_empty() {
                break;
            }
            group.extend(inner.waiting.pop_front());
        }
        inner.writing = true;
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
