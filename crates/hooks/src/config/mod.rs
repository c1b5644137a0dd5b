//! What `kumo.configure_local_logs`, `kumo.configure_log_hook` and `kumo.configure_log_disposition_hook` take
//! (contract/kumomta.md section 2.4).

mod per_record;

pub use per_record::{ANY, PerRecord, PerRecords};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;
use std::time::Duration;
use waybill_line_files::above_zero;
use waybill_log_record::{Capture, Pattern};
use waybill_types::{MinFree, list, serde_duration_opt, text};

pub use waybill_line_files::{DEFAULT_BACK_PRESSURE, DEFAULT_MAX_FILE_SIZE};

/// Log files in a directory.
///
/// The order of the fields is the order in which an error lists the names that would have been right.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct LocalLogsConfig {
    /// Where the files are. It is created.
    #[serde(deserialize_with = "text::path")]
    pub log_dir: PathBuf,
    /// Uncompressed bytes of a file before the next one begins.
    #[serde(default = "max_file_size", deserialize_with = "above_zero")]
    pub max_file_size: u64,
    /// The age at which a file ends, also when nothing is written; unset: it may grow old.
    #[serde(default, with = "serde_duration_opt")]
    pub max_segment_duration: Option<Duration>,
    /// The level of zstd; 0 is zstd's own default.
    #[serde(default)]
    pub compression_level: i32,
    /// Records that may wait to be written; one more makes its sender wait.
    #[serde(default = "back_pressure", deserialize_with = "above_zero")]
    pub back_pressure: usize,
    /// Meta fields to show; a trailing `*` stands for any ending.
    #[serde(default, deserialize_with = "list")]
    pub meta: Vec<Pattern>,
    /// Headers to show, in any case; a trailing `*` stands for any ending.
    #[serde(default, deserialize_with = "list")]
    pub headers: Vec<Pattern>,
    /// What differs by record type.
    #[serde(default)]
    pub per_record: PerRecords,
    /// The event that is asked whether a message's records are written here.
    #[serde(default, deserialize_with = "text::name_opt")]
    pub filter_event: Option<String>,
    /// Room to keep free on the disks of the files (see `LogFiles::shortage`).
    #[serde(default)]
    pub min_free_space: MinFree,
    /// Inodes to keep free likewise.
    #[serde(default)]
    pub min_free_inodes: MinFree,
}

impl LocalLogsConfig {
    /// Headers and meta fields that these files show.
    pub fn capture(&self) -> Capture {
        Capture::new(self.headers.iter().cloned(), self.meta.iter().cloned())
    }

    fn check<E: serde::de::Error>(&self) -> Result<(), E> {
        waybill_line_files::check(self.max_segment_duration, self.compression_level).map_err(E::custom)
    }
}

// `remote = "Self"` gives inherent functions, so that the checks stand between serde and everybody else.
impl<'de> Deserialize<'de> for LocalLogsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = LocalLogsConfig::deserialize(deserializer)?;
        config.check()?;
        Ok(config)
    }
}

impl Serialize for LocalLogsConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LocalLogsConfig::serialize(self, serializer)
    }
}

/// A log hook: every record becomes a message for policy to queue.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHookConfig {
    /// Its name, the second argument of `should_enqueue_log_record`.
    #[serde(deserialize_with = "text::name")]
    pub name: String,
    /// Accepted for scripts; a hook of ours reads the journal and makes nobody wait.
    #[serde(default = "back_pressure", deserialize_with = "above_zero")]
    pub back_pressure: usize,
    /// Meta fields to show; a trailing `*` stands for any ending.
    #[serde(default, deserialize_with = "list")]
    pub meta: Vec<Pattern>,
    /// Headers to show, in any case; a trailing `*` stands for any ending.
    #[serde(default, deserialize_with = "list")]
    pub headers: Vec<Pattern>,
    /// Which types it takes and which have a template. The other keys are accepted and mean nothing here.
    #[serde(default)]
    pub per_record: PerRecords,
    /// Accepted for scripts; an event is in the journal before a hook sees it.
    #[serde(default)]
    pub deferred_spool: bool,
}

impl LogHookConfig {
    /// Headers and meta fields that this hook shows.
    pub fn capture(&self) -> Capture {
        Capture::new(self.headers.iter().cloned(), self.meta.iter().cloned())
    }
}

/// A disposition hook: `log_disposition_NAME(msg, record)` runs before the message leaves the spool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogDispositionHookConfig {
    /// Its name, the end of the event's.
    #[serde(deserialize_with = "text::name")]
    pub name: String,
    /// Which types it takes. The other keys are accepted and mean nothing here.
    #[serde(default)]
    pub per_record: PerRecords,
}

fn max_file_size() -> u64 {
    DEFAULT_MAX_FILE_SIZE
}

fn back_pressure() -> usize {
    DEFAULT_BACK_PRESSURE
}

#[cfg(test)]
mod tests;
