use crate::Tally;
use crate::ledger::{Error, Ledger};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use uuid::Uuid;
use waybill_log_record::Entry;
use waybill_runtime::{Clock, Stop};
use waybill_spool::{Batch, Durability, Key, ReadLimit, Store, StoreError, StreamId, Table};
use waybill_types::{Offset, Timestamp};

/// Events are collected this long before a transaction: one sync of a disk for all of them.
const COLLECT: Duration = Duration::from_secs(1);
/// The wait after a failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// No wait is longer than this, and trouble that stays is told this often at least.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// What goes into one transaction.
const AT_ONCE: ReadLimit = ReadLimit { entries: 4096, bytes: 4 << 20 };
/// A database that takes nothing keeps the journal's events this long; then they go uncounted, for a full disk would stop
/// the mail.
pub const LONGEST_HOLD: Duration = Duration::from_secs(7 * 86_400);

/// Counts the mail of a journal into a database.
pub struct Accountant {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ledger: Arc<Mutex<Ledger>>,
    /// Copied from the ledger, for those who must not wait for a disk.
    position: Mutex<Offset>,
    /// Since when nothing could be written.
    stuck: Mutex<Option<Timestamp>>,
}

impl Accountant {
    /// Opens the database. What the journal says from now on is counted, or from where an earlier run stopped. `:memory:`
    /// is a database that ends with the daemon.
    ///
    /// # Errors
    /// When the file cannot be used as it is, or the store fails.
    pub async fn open(path: PathBuf, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let journal = identity(&store).await?;
        let tail = *store.visible(StreamId::EVENTS).borrow();
        let named = path.clone();
        let opened = spawn_blocking(move || Ledger::open(&path, journal, tail)).await;
        let ledger = opened.map_err(|error| Error::Open { path: named, why: error.to_string() })??;
        let position = Mutex::new(ledger.position());
        Ok(Accountant { store, clock, ledger: Arc::new(Mutex::new(ledger)), position, stuck: Mutex::default() })
    }

    /// From which event on the journal has to be kept for it; `None` while it keeps nothing from being trimmed.
    pub fn settled(&self) -> Option<Offset> {
        let gives_up = |since: Timestamp| self.clock.now().since(since) > LONGEST_HOLD;
        let stuck = *self.stuck.lock();
        if stuck.is_some_and(gives_up) { None } else { Some(*self.position.lock()) }
    }

    /// Counts until asked to stop, and then what is there still.
    pub async fn run(&self, mut stop: Stop) {
        let mut visible = self.store.visible(StreamId::EVENTS);
        let mut retry = None;
        loop {
            let position = *self.position.lock();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                moved = visible.wait_for(|end| *end > position) => if moved.is_err() { break },
            }
            tokio::select! {
                biased;
                () = stop.requested() => break,
                () = tokio::time::sleep(retry.unwrap_or(COLLECT)) => {}
            }
            retry = self.step().await.err().map(|error| self.trouble(&error, retry));
        }
        if let Err(error) = self.step().await {
            tracing::error!("mail was not accounted for: {error}; the next start counts it");
        }
    }

    /// Counts all that is visible now.
    ///
    /// # Errors
    /// When the journal cannot be read or the database not be written. What was written before stays.
    pub async fn step(&self) -> Result<(), Error> {
        let end = *self.store.visible(StreamId::EVENTS).borrow();
        loop {
            let from = *self.position.lock();
            if from >= end {
                break;
            }
            let slice = self.store.read(StreamId::EVENTS, from, AT_ONCE).await?;
            // Where nothing is left there are only offsets that nobody used.
            let next = if slice.entries.is_empty() { end } else { slice.next };
            let mut tally = Tally::default();
            for (offset, bytes) in slice.entries {
                match Entry::decode(bytes) {
                    Ok(entry) => tally.count(&entry),
                    Err(error) => tracing::error!(offset = offset.0, "an event is not accounted for: {error}"),
                }
            }
            let ledger = self.ledger.clone();
            let written = spawn_blocking(move || {
                let mut ledger = ledger.lock();
                ledger.add(&tally, next).map(|()| ledger.position())
            });
            // Not joined only where the runtime ends, or after a panic: then the position has not moved.
            let position = written.await.map_err(|error| StoreError::Failed(error.to_string().into()))??;
            *self.position.lock() = position;
        }
        *self.stuck.lock() = None;
        Ok(())
    }

    /// Says what is wrong; gives the next wait.
    fn trouble(&self, error: &Error, last: Option<Duration>) -> Duration {
        self.stuck.lock().get_or_insert_with(|| self.clock.now());
        let wait = last.map_or(FIRST_RETRY, |last| (last * 2).min(LONGEST_RETRY));
        tracing::error!("mail is not accounted for yet: {error}; it is in the journal, the next try is in {wait:?}");
        wait
    }
}

/// The name by which a database knows this journal: a copy of the spool has the same, a new spool another.
async fn identity(store: &Arc<dyn Store>) -> Result<Uuid, StoreError> {
    let key = Key::new().text("accounting");
    let found = store.range(Table::State, key.clone(), key.after(), 1).await?;
    let known = found.first().and_then(|(_, value)| Uuid::from_slice(value).ok());
    if let Some(known) = known {
        return Ok(known);
    }
    let new = Uuid::new_v4();
    let mut batch = Batch::new();
    batch.set(Table::State, key, new.as_bytes().to_vec());
    store.commit(batch, Durability::Synced).await?;
    Ok(new)
}
