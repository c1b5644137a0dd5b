use crate::{Batch, Committed, Key};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::watch;
use waybill_types::{MessageId, Offset};

/// A stream of events in the store. Numbers stand on disk: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The log records of mail.
    pub const EVENTS: StreamId = StreamId(0);
    /// Everything else worth telling: throttles, queues, endpoints, what policy publishes.
    pub const SIGNALS: StreamId = StreamId(1);
}

/// How far a batch must have come before a commit is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// Handed to the operating system: survives the death of the process.
    Written,
    /// On the disk: survives the loss of power.
    Synced,
}

/// Which part of a message to load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Sender, recipients, meta and whatever else is not the body (see [`crate::Spooled`]).
    Envelope,
    /// Headers and body as they go over the wire.
    Data,
}

/// Small tables beside messages and streams, each ordered by key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Cursors, registries, settings.
    State = 0,
    /// Lane rows: events of a consumer that wait on disk.
    Rows = 1,
    /// Dead letters, with a copy of their event.
    Dead = 2,
    /// Logs of users: messages, and what finds them.
    Logs = 3,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 4] = [Table::State, Table::Rows, Table::Dead, Table::Logs];
}

/// How much one read may return: whatever is reached first ends it, but one entry always fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadLimit {
    /// At most this many entries.
    pub entries: usize,
    /// At most about this many bytes.
    pub bytes: usize,
}

/// A piece of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slice {
    /// Entries in order of offset.
    pub entries: Vec<(Offset, Bytes)>,
    /// Where to go on reading: behind the last entry, or where the read began when there was none.
    pub next: Offset,
}

/// A message found by a scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpoolEntry {
    /// Its id.
    pub id: MessageId,
    /// Its envelope bytes (see [`crate::Spooled`]).
    pub envelope: Bytes,
}

/// Is shown the key and the value of a pair; breaks off once it has seen enough.
pub type See = Box<dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send>;

/// Pairs of a table that a walk without a way of its own holds at once.
const WALKED_AT_ONCE: usize = 64;

/// Whether the store takes more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// It does.
    Ok,
    /// No room on the disk: reception stops, deliveries go on.
    DiskFull(Arc<str>),
    /// Writing fails: nothing new is received or handed out.
    Failing(Arc<str>),
}

/// A batch that is written, and perhaps not on the disk yet.
pub struct Written {
    /// What the commit gave.
    pub committed: Committed,
    /// Done once the batch is on the disk. An error says that nobody knows whether it is; it is never
    /// [`StoreError::Failed`]. Need not be waited for.
    pub synced: BoxFuture<'static, Result<(), StoreError>>,
}

/// Why a store could not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The operation failed; the same call may succeed later, and nothing of the batch was stored.
    #[error("store: {0}")]
    Failed(Arc<str>),
    /// The store is closed or its process is dying; nobody knows whether the batch was stored.
    #[error("the store is closed")]
    Closed,
    /// What was read makes no sense: damaged, or written by a later version.
    #[error("the store holds damaged data: {0}")]
    Damaged(Arc<str>),
}

/// Durable bytes for messages and events.
///
/// # Contract
/// - A batch is all or nothing, also across a crash.
/// - After `commit(.., Synced)` is `Ok` the batch survives power loss; after `commit(.., Written)` it survives
///   `kill -9`. A commit that failed with [`StoreError::Failed`] left nothing behind.
/// - Offsets of a stream increase in commit order and are never used twice, also not after a crash; there may be gaps.
/// - An event can be read once its batch and all batches before it are as durable as they were asked to be: nothing
///   leaves the machine for an event that a power loss could take back. [`Store::visible`] tells how far that is.
/// - A dropped `commit` future may or may not have committed: whoever needs to know must not drop it.
/// - `health` costs next to nothing: no I/O, no allocation beyond cloning an `Arc`.
pub trait Store: Send + Sync + 'static {
    /// Applies a batch.
    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// As `commit(.., Synced)`, in two steps: done once the batch is written, so that what builds on it can be committed
    /// while the disk is waited for. A batch that is on the disk has all on the disk that was written before it.
    fn commit_ahead(&self, batch: Batch) -> BoxFuture<'_, Result<Written, StoreError>> {
        async move {
            let committed = self.commit(batch, Durability::Synced).await?;
            Ok(Written { committed, synced: ready(Ok(())).boxed() })
        }
        .boxed()
    }

    /// As `commit(.., Written)`, for a small batch that changes tables only and that somebody waits for: a store may write it
    /// in the thread of whoever calls, where that need not wait, so that no other has to be woken.
    fn commit_here(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        self.commit(batch, Durability::Written)
    }

    /// Loads one part of a message; `Ok(None)` when there is no such message.
    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>>;

    /// Messages in order of id, behind `after`.
    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>>;

    /// Visible events from `from` on; where `from` was trimmed, from the first that exists.
    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>>;

    /// Single events, visible or not; `None` where an offset was trimmed or never used.
    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>>;

    /// The offset behind the last visible event of the stream, as it moves.
    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset>;

    /// Pairs of a table with `from <= key < until`, in order of key.
    fn range(
        &self,
        table: Table,
        from: Key,
        until: Key,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>>;

    /// Shows the pairs of a table with `from <= key < until`, in order of key, until `see` breaks off. What it is shown is
    /// gone when it returns. It may compute, but not wait: it runs where the store reads. It is dropped before the walk is
    /// done; a walk whose future is dropped may go on.
    fn walk(&self, table: Table, from: Key, until: Key, mut see: See) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let mut from = from;
            loop {
                let found = self.range(table, from, until.clone(), WALKED_AT_ONCE).await?;
                if found.iter().any(|(key, value)| see(key.as_bytes(), value).is_break()) {
                    return Ok(());
                }
                match found.last() {
                    Some((last, _)) if found.len() == WALKED_AT_ONCE => from = last.after(),
                    _ => return Ok(()),
                }
            }
        }
        .boxed()
    }

    /// Gives back the room of what was removed, as far as the store has not done so by itself: nothing that can be
    /// read changes. May take hours; it goes on when the future is dropped, and a second one meanwhile is refused.
    fn compact(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Whether the store takes more.
    fn health(&self) -> Health;
}
