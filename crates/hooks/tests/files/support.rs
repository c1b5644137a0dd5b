//! Log files in a directory of their own, on a clock that stands still.

use minijinja::Environment;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use waybill_hooks::{LogFiles, LogFilesError};
use waybill_log_record::{Entry, FieldsBuilder, LogRecord, RecordType};
use waybill_policy::ScriptedPolicy;
use waybill_runtime::ManualClock;
use waybill_types::{EntryId, Response, Timestamp};

/// When everything happens.
pub(crate) const START: &str = "2023-03-06T02:28:11.123456789Z";

pub(crate) struct Logs {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: ManualClock,
    pub(crate) files: LogFiles,
}

pub(crate) fn start(
    dir: &Path,
    config: Value,
    policy: ScriptedPolicy,
    clock: &ManualClock,
) -> Result<LogFiles, LogFilesError> {
    let mut all = json!({"log_dir": dir});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let config = serde_json::from_value(all).unwrap();
    LogFiles::start(config, &Environment::new(), Arc::new(policy), Arc::new(clock.clone()))
}

impl Logs {
    pub(crate) fn new(config: Value) -> Self {
        Self::with_policy(config, ScriptedPolicy::new())
    }

    pub(crate) fn with_policy(config: Value, policy: ScriptedPolicy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(Timestamp::parse_rfc3339(START).unwrap());
        let files = start(dir.path(), config, policy, &clock).unwrap();
        Logs { dir, clock, files }
    }

    pub(crate) async fn write(&self, kind: RecordType, sender: &str) {
        self.files.write(&entry(kind, sender), None).await;
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }

    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        lines(&self.dir.path().join(name))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

pub(crate) fn entry(kind: RecordType, sender: &str) -> Entry {
    let now = Timestamp::parse_rfc3339(START).unwrap();
    let mut record = LogRecord::new(kind, now, Response::new(250, "2.0.0 ok"), "node");
    record.sender = sender.to_owned();
    record.recipients = vec!["b@y.example".into()];
    let mut meta = FieldsBuilder::default();
    meta.push("tenant", &json!("t1"));
    meta.push("secret", &json!("s"));
    record.meta = meta.finish();
    let mut headers = FieldsBuilder::default();
    headers.push_headers([("Subject", "Hi".to_owned()), ("X-Other", "no".to_owned())]);
    record.headers = headers.finish();
    Entry::encode(&record, EntryId::from_bytes([7; 16]))
}

pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a reader gets out of the file, be its stream ended or not.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let mut text = Vec::new();
    let mut decoder = zstd::Decoder::new(File::open(path).unwrap()).unwrap();
    // A stream without an end reads as an error behind its last line.
    let _ = decoder.read_to_end(&mut text);
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
