//! Log files: zstd streams of one line per record, in a directory that a policy names.
//!
//! A file is named after the moment it was opened, is created when the first record comes, and ends when it is large
//! or old enough or the daemon stops; then its write permission is taken away, which tells readers that it is
//! complete. A crash leaves a stream without an end, which the next start marks as done like any other file.

mod plan;
mod room;

pub use waybill_line_files::Metrics;

use crate::config::LocalLogsConfig;
use crate::template::TemplateError;
use minijinja::Environment;
use parking_lot::Mutex;
use plan::Plan;
use room::Room;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use waybill_line_files::{LineFiles, Lines, Nag, Route};
use waybill_log_record::{Capture, Entry, RecordType, RecordView};
use waybill_policy::PolicyHost;
use waybill_runtime::Clock;
use waybill_spool::Message;
use waybill_types::Timestamp;

/// Why log files could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogFilesError {
    /// A template is wrong.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A directory cannot be used, or the system gives no thread.
    #[error(transparent)]
    Files(#[from] waybill_line_files::Error),
}

/// The files of one `kumo.configure_local_logs`.
///
/// A record that was taken is written, however long it takes; callers wait while too many wait to be.
pub struct LogFiles {
    files: LineFiles<Entry>,
    plan: Arc<Plan>,
    filter: Option<String>,
    policy: Arc<dyn PolicyHost>,
    clock: Arc<dyn Clock>,
    room: Room,
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
        let settings = plan.settings(&config);
        let dirs = settings.dirs.clone();
        let records = Records { plan: plan.clone(), nag: Nag::default() };
        let name = format!("dir-{}", config.log_dir.display());
        Ok(LogFiles {
            files: LineFiles::start(name, settings, records, clock.clone())?,
            plan,
            filter: config.filter_event,
            policy,
            clock,
            room: Room { dirs, space: config.min_free_space, inodes: config.min_free_inodes },
            filter_nag: Mutex::default(),
        })
    }

    /// `dir-PATH`: the logger's label in metrics.
    pub fn name(&self) -> &str {
        self.files.name()
    }

    /// What was done so far.
    pub fn metrics(&self) -> &Metrics {
        self.files.metrics()
    }

    /// Records that wait for the thread.
    pub fn backlog(&self) -> usize {
        self.files.backlog()
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
        if !self.files.write(entry.clone()).await {
            tracing::error!(logger = self.name(), "a {} record came after the log files were finished", entry.kind());
        }
    }

    /// Waits until all that was written before can be read from the files (not: that it survives a power loss).
    pub async fn flush(&self) {
        self.files.flush().await;
    }

    /// Writes what waits, finishes every file and ends the thread; see [`LineFiles::finish`].
    pub async fn finish(&self) {
        self.files.finish().await;
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
        self.metrics().filter_failures.fetch_add(1, Ordering::Relaxed);
        if let Some(held_back) = self.filter_nag.lock().is_due(self.clock.now()) {
            tracing::error!(logger = self.name(), held_back, "filter event {event}: {why}; the record is not logged");
        }
        false
    }
}

impl std::fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogFiles").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Records as lines.
struct Records {
    plan: Arc<Plan>,
    nag: Nag,
}

impl Lines for Records {
    type Item = Entry;

    fn route(&self, entry: &Entry) -> Option<Route> {
        self.plan.route(entry.kind()).cloned()
    }

    /// A template that cannot be filled in must not lose the record: it stands there as JSON.
    fn line(&mut self, entry: &Entry, now: Timestamp, metrics: &Metrics) -> Vec<u8> {
        let view = RecordView::new(entry.clone(), self.plan.capture.clone());
        match self.plan.render(&view) {
            Ok(Some(text)) => return text.into_bytes(),
            Ok(None) => {}
            Err(error) => {
                metrics.template_failures.fetch_add(1, Ordering::Relaxed);
                if let Some(held_back) = self.nag.is_due(now) {
                    tracing::error!(held_back, "failed to {error}; the record is written as JSON");
                }
            }
        }
        let mut json = view.json();
        json.push(b'\n');
        json
    }
}
