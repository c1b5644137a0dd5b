use crate::directory;
use crate::metrics::count;
use crate::writer::{Item, Lines, Writer};
use crate::{Metrics, Settings};
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{RwLock, mpsc, oneshot, watch};
use waybill_runtime::Clock;

/// The name of a writer's thread.
const THREAD: &str = "log-files";

/// Why files could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory is missing and cannot be made, or cannot be listed or written to.
    #[error("use log directory {}: {why}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The system gives no thread.
    #[error("start the thread of log files: {0}")]
    Thread(io::Error),
}

/// Files that one thread writes.
///
/// Callers hand it items through a backlog of `back_pressure` places and wait while that is full, be it for a slow disk or
/// a full one: an item that was taken is written, however long it takes.
pub struct LineFiles<T> {
    name: String,
    metrics: Arc<Metrics>,
    /// Full: the caller waits, holding the lock for reading; so whoever takes the sender away to finish waits for all
    /// who wait for a place, and `None` is seen by those only who came later.
    backlog: RwLock<Option<mpsc::Sender<Item<T>>>>,
    /// To look at the backlog without the lock.
    gauge: mpsc::WeakSender<Item<T>>,
    /// Its sender lives as long as the thread works.
    ended: watch::Receiver<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Send + 'static> LineFiles<T> {
    /// Prepares the directories (missing ones are created, files of an earlier run are marked as done) and starts the
    /// thread. No file is created yet. Blocks for as long as the directories take.
    ///
    /// `name` is the logger's label in metrics and messages.
    ///
    /// # Errors
    /// When the operator has to put something right; nothing runs then.
    pub fn start(
        name: String,
        settings: Settings,
        lines: impl Lines<Item = T>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        for dir in &settings.dirs {
            let prepared = directory::prepare(dir);
            prepared.map_err(|why| Error::Directory { path: dir.clone(), why })?;
        }
        let metrics = Arc::new(Metrics::default());
        let (backlog, inbox) = mpsc::channel(settings.back_pressure.min(tokio::sync::Semaphore::MAX_PERMITS));
        let writer = Writer::new(settings, lines, clock, metrics.clone(), inbox);
        let (alive, ended) = watch::channel(());
        // Its timers must not stop when those of the mail do.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(Error::Thread)?;
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            let _alive = alive;
            runtime.block_on(writer.run());
        });
        Ok(LineFiles {
            name,
            metrics,
            gauge: backlog.downgrade(),
            backlog: RwLock::new(Some(backlog)),
            ended,
            thread: Mutex::new(Some(thread.map_err(Error::Thread)?)),
        })
    }

    /// The logger's label in metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was done so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Items that wait for the thread.
    pub fn backlog(&self) -> usize {
        self.gauge.upgrade().map_or(0, |backlog| backlog.max_capacity() - backlog.capacity())
    }

    /// Hands an item to the thread; waits while the backlog is full. False once the files are finished: then it is in no
    /// file, and counted as refused. Dropped before it is done, likewise. Items of one caller keep their order in a file.
    pub async fn write(&self, item: T) -> bool {
        let taken = self.submit(Item::Line(item)).await;
        if !taken {
            count(&self.metrics.refused);
        }
        taken
    }

    /// The same without waiting: false also where there is no place.
    pub fn offer(&self, item: T) -> bool {
        let taken = self.backlog.try_read().is_ok_and(|backlog| {
            let sent = backlog.as_ref().map(|backlog| backlog.try_send(Item::Line(item)));
            if matches!(sent, Some(Err(TrySendError::Full(_)))) {
                count(&self.metrics.submit_full);
            }
            matches!(sent, Some(Ok(())))
        });
        if !taken {
            count(&self.metrics.refused);
        }
        taken
    }

    /// Waits until all that was written before can be read from the files (not: that it survives a power loss).
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.submit(Item::Flush(reply)).await {
            // An error means that the thread has ended, and with it every file.
            let _ = done.await;
        }
    }

    /// Writes what waits, finishes every file and ends the thread. Items that come later are refused; those whose
    /// callers already wait for a place are written. While the disk refuses, this waits: give it a time limit.
    ///
    /// Calling again, also after the future was dropped, goes on waiting. Dropping the [`LineFiles`] instead finishes
    /// too, unwatched.
    pub async fn finish(&self) {
        // Without a sender the thread ends once it has written what is there.
        drop(self.backlog.write().await.take());
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
        // The thread is at its last instruction: this wait is no wait.
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(logger = self.name, "the thread of the log files panicked: lines may be missing");
        }
    }

    /// Whether it got a place, after waiting for one; false once the files are finished.
    async fn submit(&self, item: Item<T>) -> bool {
        let backlog = self.backlog.read().await;
        let Some(backlog) = &*backlog else { return false };
        match backlog.try_send(item) {
            Err(TrySendError::Full(item)) => {
                count(&self.metrics.submit_full);
                backlog.send(item).await.is_ok()
            }
            sent => sent.is_ok(),
        }
    }
}

impl<T> fmt::Debug for LineFiles<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineFiles").field("name", &self.name).field("metrics", &self.metrics).finish_non_exhaustive()
    }
}
