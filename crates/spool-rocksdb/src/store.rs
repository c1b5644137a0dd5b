use crate::database::Database;
use crate::layout::OpenError;
use crate::open::{self, Opened};
use crate::options::Options;
use crate::queue::End;
use crate::running::Running;
use crate::shared::Shared;
use crate::stats::Stats;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::spawn_blocking;
use waybill_spool::{
    Batch, Committed, Durability, Health, Key, Part, ReadLimit, See, Slice, SpoolEntry, Store, StoreError, StreamId,
    Table, Written,
};
use waybill_types::{MessageId, Offset};

/// So many of the last events of a stream are looked for in memory first: whoever follows a stream reads a few at a time,
/// and another thread would cost more than they do.
const RECENT: u64 = 512;

/// The store on RocksDB. Its methods want a tokio runtime around them: reads run on its blocking threads.
///
/// Dropped without [`RocksStore::close`] it ends as if the process had died (and waits for a write that is under way).
pub struct RocksStore {
    shared: Arc<Shared>,
    database: Arc<Database>,
    /// Reads that may wait for the disk at the same time. When all do, the next one waits for one of them.
    reads: Arc<Semaphore>,
    /// Held by the compaction that is under way.
    compaction: Arc<Semaphore>,
    flush: bool,
    was_clean: bool,
    running: Mutex<Option<Running>>,
}

impl RocksStore {
    /// Opens a spool, or makes one.
    ///
    /// # Errors
    /// When it is somebody else's, in use, or cannot be opened; each says what to do about which path.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let path = options.path.clone();
        let opened = spawn_blocking(move || Self::open_blocking(options)).await;
        opened.unwrap_or_else(|error| Err(OpenError::Database { path, reason: error.to_string() }))
    }

    /// [`RocksStore::open`] for a thread that may wait.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_blocking(options: Options) -> Result<Self, OpenError> {
        let flush = options.flush;
        open::open(options, |database| database).map(|opened| RocksStore::new(opened, flush))
    }

    pub(crate) fn new(opened: Opened, flush: bool) -> Self {
        let Opened { shared, database, running, reads, was_clean } = opened;
        let reads = Arc::new(Semaphore::new(reads));
        let compaction = Arc::new(Semaphore::new(1));
        RocksStore { shared, database, reads, compaction, flush, was_clean, running: Mutex::new(Some(running)) }
    }

    /// Writes and syncs all that was committed, marks the spool as closed and gives it free. Every later call returns
    /// [`StoreError::Closed`]; closing again does nothing. A dropped future goes on closing.
    ///
    /// # Errors
    /// When something could not be written. The spool is closed all the same, and opens like one after a crash.
    pub async fn close(&self) -> Result<(), StoreError> {
        let Some(mut running) = self.running.lock().take() else { return Ok(()) };
        match spawn_blocking(move || running.end(End::Closed)).await {
            Ok(true) => Ok(()),
            _ => Err(StoreError::Failed("the spool could not be closed in good order".into())),
        }
    }

    /// Ends as if the process had died now: what waits to be written is dropped, and nothing is marked as closed. For
    /// tests of what a restart finds while somebody still holds the store.
    pub async fn abandon(&self) {
        let running = self.running.lock().take();
        // The drop waits for the threads. Where the runtime ends meanwhile, it happens there.
        let _ = spawn_blocking(move || drop(running)).await;
    }

    /// Whether the spool was new or closed in good order when it was opened.
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// What it has done, for metrics.
    pub fn stats(&self) -> Stats {
        self.shared.counters.stats()
    }

    /// Runs what may wait for the disk on a thread that may.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.reads.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let database = self.database.clone();
        let done = spawn_blocking(move || {
            // Held by the read, not by whoever waits for it: that one may give up.
            let _permit = permit;
            read(&database)
        });
        done.await.unwrap_or_else(|error| Err(StoreError::Failed(format!("a read ended early: {error}").into())))
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&Arc<Shared>, &Arc<Database>) {
        (&self.shared, &self.database)
    }
}

impl Store for RocksStore {
    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<Committed, StoreError>> {
        let durability = if self.flush { Durability::Synced } else { durability };
        async move {
            let answer = self.shared.queue.submit(batch, durability, None).await?;
            // Nobody answers when the threads are gone.
            answer.await.unwrap_or(Err(StoreError::Closed))
        }
        .boxed()
    }

    fn commit_ahead(&self, batch: Batch) -> BoxFuture<'_, Result<Written, StoreError>> {
        async move {
            let (tell, written) = oneshot::channel();
            let answer = self.shared.queue.submit(batch, Durability::Synced, Some(tell)).await?;
            // Nobody answers when the threads are gone.
            let done = answer.map(|answer| answer.unwrap_or(Err(StoreError::Closed)));
            match written.await {
                Ok(committed) => Ok(Written { committed, synced: done.map(|done| done.map(drop)).boxed() }),
                Err(_) => done.await.map(|committed| Written { committed, synced: ready(Ok(())).boxed() }),
            }
        }
        .boxed()
    }

    fn commit_here(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, StoreError>> {
        async move {
            if !self.flush && self.shared.write_here(&batch) {
                return Ok(Committed::default());
            }
            self.commit(batch, Durability::Written).await
        }
        .boxed()
    }

    fn load(&self, id: MessageId, part: Part) -> BoxFuture<'_, Result<Option<Bytes>, StoreError>> {
        async move {
            match self.database.cached(id, part) {
                Some(found) => found,
                None => self.reading(move |database| database.load(id, part)).await,
            }
        }
        .boxed()
    }

    fn scan(&self, after: Option<MessageId>, limit: usize) -> BoxFuture<'_, Result<Vec<SpoolEntry>, StoreError>> {
        self.reading(move |database| database.scan(after, limit)).boxed()
    }

    fn read(&self, stream: StreamId, from: Offset, limit: ReadLimit) -> BoxFuture<'_, Result<Slice, StoreError>> {
        async move {
            let visible = self.shared.visibility.lock().of(stream);
            let first = from.max(self.shared.low(stream));
            let recent = match visible.0.saturating_sub(first.0) <= RECENT {
                true => self.database.recent(stream, first, visible, limit),
                false => None,
            };
            let mut slice = match recent {
                Some(found) => found?,
                None => self.reading(move |database| database.read(stream, first, visible, limit)).await?,
            };
            slice.next = slice.entries.last().map_or(from, |(last, _)| last.next());
            Ok(slice)
        }
        .boxed()
    }

    fn fetch(&self, stream: StreamId, offsets: Vec<Offset>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, StoreError>> {
        async move {
            let low = self.shared.low(stream);
            let asked = offsets.clone();
            let mut found = self.reading(move |database| database.fetch(stream, &asked)).await?;
            for (offset, found) in offsets.iter().zip(&mut found) {
                if *offset < low {
                    // Trimmed, though its bytes may still be there.
                    *found = None;
                }
            }
            Ok(found)
        }
        .boxed()
    }

    fn visible(&self, stream: StreamId) -> watch::Receiver<Offset> {
        self.shared.visibility.lock().subscribe(stream)
    }

    fn range(
        &self,
        table: Table,
        from: Key,
        until: Key,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(Key, Bytes)>, StoreError>> {
        self.reading(move |database| database.range(table.into(), &from, &until, limit)).boxed()
    }

    fn walk(&self, table: Table, from: Key, until: Key, mut see: See) -> BoxFuture<'_, Result<(), StoreError>> {
        self.reading(move |database| database.walk(table.into(), &from, &until, &mut *see)).boxed()
    }

    fn compact(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            let busy = |_| StoreError::Failed("it is being compacted already".into());
            let permit = self.compaction.clone().try_acquire_owned().map_err(busy)?;
            let database = self.database.clone();
            // Not one of the reads: those are few, and this one lasts.
            let done = spawn_blocking(move || {
                let _permit = permit;
                database.compact()
            });
            done.await.unwrap_or_else(|error| Err(StoreError::Failed(format!("it ended early: {error}").into())))
        }
        .boxed()
    }

    fn health(&self) -> Health {
        self.shared.health.get()
    }
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
