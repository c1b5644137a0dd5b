use futures::FutureExt;
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use waybill_accounting::is_counted;
use waybill_bounce::Classifier;
use waybill_event_hooks::RecordsWanted;
use waybill_hooks::{DispositionHooks, LogFiles, LogHookConfig};
use waybill_log_record::{Capture, Entry, LogRecord, RecordType};
use waybill_spool::{Message, RecordSink};

/// Disposition hooks, log files and the journal, as one sink.
pub(crate) struct Sinks {
    files: Vec<Arc<LogFiles>>,
    dispositions: DispositionHooks,
    hooks: Vec<LogHookConfig>,
    /// `define_journal` was called: every record is wanted, hooks or not.
    journal: bool,
    /// An egress webhook sends the log of mail events.
    events_wanted: Arc<AtomicBool>,
    /// Mail is accounted for, from what stands in the journal.
    accounting: bool,
    /// What event hooks wait for.
    records_wanted: Arc<RecordsWanted>,
    capture: Arc<Capture>,
    classifier: Option<Classifier>,
}

impl Sinks {
    pub(crate) fn new(
        files: Vec<Arc<LogFiles>>,
        dispositions: DispositionHooks,
        hooks: &[LogHookConfig],
        journal: Option<Capture>,
        classifier: Option<Classifier>,
        accounting: bool,
    ) -> Self {
        let mut capture = files.iter().fold(Capture::nothing(), |all, files| all.union(files.capture()));
        for hook in hooks {
            capture = capture.union(&hook.capture());
        }
        let has_journal = journal.is_some();
        if let Some(wanted) = journal {
            capture = capture.union(&wanted);
        }
        let events_wanted = Arc::default();
        let records_wanted = Arc::default();
        let (hooks, journal, capture) = (hooks.to_vec(), has_journal, Arc::new(capture));
        Sinks { files, dispositions, hooks, journal, events_wanted, accounting, records_wanted, capture, classifier }
    }

    /// Set while somebody who is no hook needs every record in the journal.
    pub(crate) fn events_wanted(&self) -> Arc<AtomicBool> {
        self.events_wanted.clone()
    }

    /// The kinds of records that event hooks need in the journal.
    pub(crate) fn records_wanted(&self) -> Arc<RecordsWanted> {
        self.records_wanted.clone()
    }

    /// The files, for metrics and for the end.
    pub(crate) fn files(&self) -> &[Arc<LogFiles>] {
        &self.files
    }

    /// The disposition hooks.
    pub(crate) fn dispositions(&self) -> &DispositionHooks {
        &self.dispositions
    }

    /// The directories of the files, by the name that metrics show.
    pub(crate) fn disks(&self) -> impl Iterator<Item = (String, PathBuf)> {
        let dirs = self.files.iter().flat_map(|files| files.dirs());
        dirs.map(|dir| (format!("log dir {}", dir.display()), dir.clone()))
    }
}

impl RecordSink for Sinks {
    fn capture(&self) -> Arc<Capture> {
        self.capture.clone()
    }

    fn wants(&self, kind: RecordType) -> bool {
        self.dispositions.wants(kind) || self.files.iter().any(|files| files.wants(kind))
    }

    fn wants_journal(&self, kind: RecordType) -> bool {
        self.journal
            || self.events_wanted.load(Ordering::Acquire)
            || (self.accounting && is_counted(kind))
            || self.records_wanted.has(kind)
            || self.hooks.iter().any(|hook| hook.per_record.enables(kind))
    }

    fn shows_message(&self, kind: RecordType) -> bool {
        self.dispositions.wants(kind)
    }

    fn classify(&self, record: &LogRecord) -> Option<Cow<'static, str>> {
        let category = self.classifier.as_ref()?.classify(record.kind, &record.response)?;
        Some(Cow::Owned(category.to_string()))
    }

    fn write<'a>(&'a self, entry: &'a Entry, message: Option<&'a Message>) -> BoxFuture<'a, ()> {
        async move {
            self.dispositions.run(entry, message).await;
            for files in &self.files {
                files.write(entry, message).await;
            }
        }
        .boxed()
    }
}
