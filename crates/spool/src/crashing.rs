//! A store that dies on purpose, so that a test can cut at every write.

mod survivor;

use crate::{
    Batch, Committed, Durability, Health, Key, MemoryStore, Op, Part, ReadLimit, Slice, SpoolEntry, Store, StoreError,
    StreamId, Table,
};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use survivor::Survivor;
use tokio::sync::{Mutex, watch};
use waybill_types::{MessageId, Offset};

/// What becomes of the write at which the store dies. Its caller hears [`StoreError::Closed`] either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWrite {
    /// It never happened.
    Lost,
    /// It happened, but nobody was told.
    Unacknowledged,
}

/// What a restarted daemon has lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The process died: all that was written is there.
    Process,
    /// The power went: all writes behind the last synced one are gone, even acknowledged ones.
    Power,
}

/// Where a [`CrashingStore`] dies, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crash {
    /// At which commit, counted from 1.
    pub at: usize,
    /// What becomes of that commit.
    pub last: LastWrite,
    /// What else is lost.
    pub loss: Loss,
}

impl Crash {
    /// No crash: to count the writes of a run ([`CrashingStore::commits`]).
    pub const NEVER: Crash = Crash { at: usize::MAX, last: LastWrite::Lost, loss: Loss::Process };

    /// Every crash that a run of so many writes can have.
    pub fn everywhere(writes: usize) -> impl Iterator<Item = Crash> {
        (1..=writes).flat_map(|at| {
            [LastWrite::Lost, LastWrite::Unacknowledged]
                .into_iter()
                .flat_map(move |last| [Loss::Process, Loss::Power].map(|loss| Crash { at, last, loss }))
        })
    }
}

/// A store that stops at a chosen commit. From then on every call returns [`StoreError::Closed`], and
/// [`CrashingStore::survivor`] is what a restarted daemon finds.
///
/// ```
/// use waybill_spool::{Batch, Crash, CrashingStore, Durability, LastWrite, Loss, Store, StoreError, Table, Key};
/// # futures::executor::block_on(async {
/// let store = CrashingStore::new(Crash { at: 2, last: LastWrite::Unacknowledged, loss: Loss::Process });
/// for number in 1..=2 {
///     let mut batch = Batch::new();
///     batch.set(Table::State, Key::new().number(number), "value");
///     let committed = store.commit(batch, Durability::Written).await;
///     assert_eq!(committed.is_ok(), number == 1);
/// }
/// let found = store.survivor().range(Table::State, Key::new(), Key::new().end(), 10).await;
/// assert_eq!(found.unwrap().len(), 2);
/// # });
/// ```
#[derive(Debug)]
pub struct CrashingStore {
    inner: Inner,
    crash: Crash,
    commits: AtomicUsize,
    crashed: watch::Sender<bool>,
    /// One commit at a time: their order is what a crash is about.
    order: Mutex<()>,
}

enum Inner {
    /// Any store; it survives as it is.
    Any(Arc<dyn Store>),
    /// Memory, with all that was done to it, to be done again as far as it was synced.
    Recorded(MemoryStore, parking_lot::Mutex<Record>),
}

#[derive(Default)]
struct Record {
    batches: Vec<Batch>,
    /// How many of them no power loss takes back.
    synced: usize,
}

impl CrashingStore {
    /// An empty store in memory that will die like this.
    pub fn new(crash: Crash) -> Self {
        CrashingStore::around(Inner::Recorded(MemoryStore::new(), parking_lot::Mutex::default()), crash)
    }

    /// `store`, dying at the commit `at` (counted from 1, from now). Its process dies, never the power: an arbitrary
    /// store cannot be made to forget. So the survivor of one crash can be sent into the next.
    pub fn over(store: Arc<dyn Store>, at: usize, last: LastWrite) -> Self {
        CrashingStore::around(Inner::Any(store), Crash { at, last, loss: Loss::Process })
    }

    fn around(inner: Inner, crash: Crash) -> Self {
        let crashed = watch::channel(false).0;
        CrashingStore { inner, crash, commits: AtomicUsize::new(0), crashed, order: Mutex::new(()) }
    }

    /// How many commits were begun.
    pub fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// Whether it is dead.
    pub fn is_crashed(&self) -> bool {
        *self.crashed.borrow()
    }

    /// Waits until it is dead. Cancel safe.
    pub async fn crashed(&self) {
        // The sender is ours, so it cannot be gone.
        let _ = self.crashed.subscribe().wait_for(|crashed| *crashed).await;
    }

    /// What a restarted daemon finds. Without a crash before: as if it came now.
    pub fn survivor(&self) -> Arc<dyn Store> {
        self.crashed.send_replace(true);
        match &self.inner {
            Inner::Any(store) => store.clone(),
            Inner::Recorded(memory, record) => match self.crash.loss {
                Loss::Process => Arc::new(memory.clone()),
                Loss::Power => {
                    let record = record.lock();
                    let (kept, lost) = record.batches.split_at(record.synced);
                    Arc::new(Survivor::after_power_loss(kept, lost))
                }
            },
        }
    }

    fn store(&self) -> &dyn Store {
        match &self.inner {
            Inner::Any(store) => &**store,
            Inner::Recorded(memory, _) => memory,
        }
    }

    /// The store, while it lives.
    fn alive(&self) -> Result<&dyn Store, StoreError> {
        if self.is_crashed() { Err(StoreError::Closed) } else { Ok(self.store()) }
    }

    async fn apply(&self, batch: Batch, durability: Durability) -> Result<Committed, StoreError> {
        if let Inner::Recorded(_, record) = &self.inner {
            let mut record = record.lock();
            record.batches.push(batch.clone());
            if durability == Durability::Synced {
                record.synced = record.batches.len();
            }
        }
        self.store().commit(batch, durability).await
    }

    async fn commit_in_order(&self, batch: Batch, durability: Durability) -> Result<Committed, StoreError> {
        let _order = self.order.lock().await;
        self.alive()?;
        if self.commits.fetch_add(1, Ordering::SeqCst) + 1 < self.crash.at {
            return self.apply(batch, durability).await;
        }
        // Dead first: nobody may read what the last write wrote.
        self.crashed.send_replace(true);
        if self.crash.last == LastWrite::Unacknowledged {
            let _ = self.apply(batch, durability).await;
        }
        Err(StoreError::Closed)
    }
}

impl Store for CrashingStore {
    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>> {
        self.commit_in_order(batch, durability).boxed()
    }

    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        async move { self.alive()?.load(id, part).await }.boxed()
    }

    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>> {
        async move { self.alive()?.scan(after, limit).await }.boxed()
    }

    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>> {
        async move { self.alive()?.read(stream, from, limit).await }.boxed()
    }

    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        async move { self.alive()?.fetch(stream, offsets).await }.boxed()
    }

    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset> {
        self.store().visible(stream)
    }

    fn range(
        &self,
        table: Table,
        from: Key,
        until: Key,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        async move { self.alive()?.range(table, from, until, limit).await }.boxed()
    }

    fn compact(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.alive()?.compact().await }.boxed()
    }

    fn health(&self) -> Health {
        match self.alive() {
            Ok(store) => store.health(),
            Err(error) => Health::Failing(error.to_string().into()),
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Inner::Any(_) => "a store",
            Inner::Recorded(..) => "memory",
        })
    }
}

/// The streams that a batch appends to, once for each event.
fn appends(batch: &Batch) -> impl Iterator<Item = StreamId> {
    batch.ops().iter().filter_map(|op| match op {
        Op::Append { stream, .. } => Some(*stream),
        _ => None,
    })
}
