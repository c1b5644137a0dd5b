//! Log files: zstd streams of one line per record, in a directory that a policy names.
//!
//! A file is named after the moment it was opened, is created when the first record comes, and ends when it is large
//! or old enough or the daemon stops; then its write permission is taken away, which tells readers that it is
//! complete. A crash leaves a stream without an end, which the next start marks as done like any other file.

mod directory;
mod metrics;
mod nag;
mod plan;
mod room;
mod segment;
mod writer;

pub use metrics::Metrics;

use crate::config::LocalLogsConfig;
use crate::template::TemplateError;
use metrics::count;
use minijinja::Environment;
pub(crate) use nag::Nag;
use parking_lot::Mutex;
use plan::Plan;
use room::Room;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{RwLock, mpsc, oneshot, watch};
use waybill_log_record::{Capture, Entry, RecordType};
use waybill_policy::PolicyHost;
use waybill_runtime::Clock;
use waybill_spool::Message;
use writer::{Item, Writer};

/// The name of a writer's thread.
const THREAD: &str = "log-files";

/// Why log files could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogFilesError {
    /// A template is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
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

/// The files of one `kumo.configure_local_logs`.
///
/// One thread writes. Callers hand it records through a backlog of `back_pressure` places and wait while that is full,
/// be it for a slow disk or a full one: a record that was taken is written, however long it takes.
pub struct LogFiles {
    name: String,
    plan: Arc<Plan>,
    filter: Option<String>,
    policy: Arc<dyn PolicyHost>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    room: Room,
    /// Full: the caller waits, holding the lock for reading; so whoever takes the sender away to finish waits for all
    /// who wait for a place, and `None` is seen by those only who came later.
    backlog: RwLock<Option<mpsc::Sender<Item>>>,
    /// To look at the backlog without the lock.
    gauge: mpsc::WeakSender<Item>,
    /// Its sender lives as long as the thread works.
    ended: watch::Receiver<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
    filter_nag: Mutex<Nag>,
}

impl LogFiles {
    /// Compiles the templates, prepares the directories (missing ones are created, files of an earlier run are marked
    /// as done) and starts the thread. No file is created yet. Blocks for as long as the directories take.
    ///
    /// `environment` is where templates find their filters and functions.
    ///
    /// # Errors
    /// When the policy's author or the operator has to put something right; nothing runs then.
    pub fn start(
        config: LocalLogsConfig,
        environment: &Environment<'static>,
        policy: Arc<dyn PolicyHost>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogFilesError> {
        let plan = Arc::new(Plan::new(&config, environment)?);
        let dirs: Vec<PathBuf> = plan::directories(&config).into_iter().map(Into::into).collect();
        for dir in &dirs {
            let prepared = directory::prepare(dir);
            prepared.map_err(|why| LogFilesError::Directory { path: dir.clone(), why })?;
        }
        let metrics = Arc::new(Metrics::default());
        let (backlog, inbox) = mpsc::channel(config.back_pressure.min(tokio::sync::Semaphore::MAX_PERMITS));
        let writer = Writer::new(plan.clone(), clock.clone(), metrics.clone(), inbox);
        let (alive, ended) = watch::channel(());
        // Its timers must not stop when those of the mail do.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(LogFilesError::Thread)?;
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            let _alive = alive;
            runtime.block_on(writer.run());
        });
        Ok(LogFiles {
            name: format!("dir-{}", config.log_dir.display()),
            plan,
            filter: config.filter_event,
            policy,
            clock,
            metrics,
            room: Room { dirs, space: config.min_free_space, inodes: config.min_free_inodes },
            gauge: backlog.downgrade(),
            backlog: RwLock::new(Some(backlog)),
            ended,
            thread: Mutex::new(Some(thread.map_err(LogFilesError::Thread)?)),
            filter_nag: Mutex::default(),
        })
    }

    /// `dir-PATH`: the logger's label in metrics.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was done so far.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Records that wait for the thread.
    pub fn backlog(&self) -> usize {
        self.gauge.upgrade().map_or(0, |backlog| backlog.max_capacity() - backlog.capacity())
    }

    /// Headers and meta fields that these files show.
    pub fn capture(&self) -> &Arc<Capture> {
        &self.plan.capture
    }

    /// Whether records of this type are written at all.
    pub fn wants(&self, kind: RecordType) -> bool {
        self.plan.route(kind).is_some()
    }

    /// The directories that it writes to.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.room.dirs
    }

    /// The first of `min_free_space` and `min_free_inodes` that a directory misses, as a sentence. Asks the file
    /// system each time: whoever gates reception by it remembers the answer for a while.
    pub fn shortage(&self) -> Option<String> {
        self.room.shortage()
    }

    /// Hands a record to the thread, after asking the filter event; `message` is the one it tells of.
    ///
    /// Waits while the backlog is full. Dropped before it is done, the record is in no file. Records of one caller
    /// keep their order within a file.
    pub async fn write(&self, entry: &Entry, message: Option<&Message>) {
        if !self.wants(entry.kind()) || !self.passes(entry, message).await {
            return;
        }
        if !self.submit(Item::Record(entry.clone())).await {
            count(&self.metrics.refused);
            tracing::error!(logger = self.name, "a {} record came after the log files were finished", entry.kind());
        }
    }

    /// Waits until all that was written before can be read from the files (not: that it survives a power loss).
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.submit(Item::Flush(reply)).await {
            // An error means that the thread has ended, and with it every file.
            let _ = done.await;
        }
    }

    /// Writes what waits, finishes every file and ends the thread. Records that come later are refused; those whose
    /// callers already wait for a place are written. While the disk refuses, this waits: give it a time limit.
    ///
    /// Calling again, also after the future was dropped, goes on waiting. Dropping the [`LogFiles`] instead finishes
    /// too, unwatched.
    pub async fn finish(&self) {
        // Without a sender the thread ends once it has written what is there.
        drop(self.backlog.write().await.take());
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
        // The thread is at its last instruction: this wait is no wait.
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(logger = self.name, "the thread of the log files panicked: records may be missing");
        }
    }

    /// Whether it got a place, after waiting for one; false once the files are finished.
    async fn submit(&self, item: Item) -> bool {
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

    /// What the filter event says. Records without a message and rejections are not asked about.
    async fn passes(&self, entry: &Entry, message: Option<&Message>) -> bool {
        let (Some(event), Some(message)) = (&self.filter, message) else { return true };
        if entry.kind() == RecordType::Rejection {
            return true;
        }
        let why = match self.policy.call(event, vec![message.clone().into()]).await {
            Ok(returned) if !returned.0.is_empty() || self.policy.handles(event) => return returned.truthy(),
            // A misspelt name would leave the files empty, and nobody would know why.
            Ok(_) => "nobody handles it".to_owned(),
            Err(error) => error.to_string(),
        };
        count(&self.metrics.filter_failures);
        if let Some(held_back) = self.filter_nag.lock().is_due(self.clock.now()) {
            tracing::error!(logger = self.name, held_back, "filter event {event}: {why}; the record is not logged");
        }
        false
    }
}

impl std::fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFiles").field("name", &self.name).field("metrics", &self.metrics).finish_non_exhaustive()
    }
}
