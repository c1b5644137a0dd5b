use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use waybill_types::MinFree;

/// What happens when the disk says that it did not keep what it was asked to keep.
pub type SyncFailure = Arc<dyn Fn(&str) + Send + Sync>;

/// What is to stay free on the disk of a path: with less, no mail is taken.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Room {
    /// Bytes, or a share of them.
    pub min_free_space: MinFree,
    /// Inodes, or a share of them.
    pub min_free_inodes: MinFree,
}

impl Room {
    /// Nothing: a disk may be filled to the last byte.
    pub const NONE: Room = Room { min_free_space: MinFree::Amount(0), min_free_inodes: MinFree::Amount(0) };
}

/// Where the spool is and how it behaves.
#[derive(Clone)]
pub struct Options {
    /// The directory of the database: the `meta` spool of a policy. It is created.
    pub path: PathBuf,
    /// The `data` spool of a policy. Bodies are in the database, so it is created and watched for room, no more.
    pub data_path: Option<PathBuf>,
    /// Room to keep free on the disk of `path`.
    pub room: Room,
    /// Room to keep free on the disk of `data_path`.
    pub data_room: Room,
    /// Whether every commit is synced, whatever it asks for.
    pub flush: bool,
    /// The policy's `rocks_params`; null or an empty table for none.
    pub params: serde_json::Value,
    /// Called when an fsync failed. Nobody knows then what is on the disk, and trying again would only hide it: the
    /// default says so on stderr and ends the process. Where a handler returns, the store is closed.
    pub on_sync_failure: SyncFailure,
}

impl Options {
    /// A spool at `path`, with defaults for all else.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Options {
            path: path.into(),
            data_path: None,
            room: Room::default(),
            data_room: Room::default(),
            flush: false,
            params: serde_json::Value::Null,
            on_sync_failure: Arc::new(end_the_process),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("path", &self.path)
            .field("data_path", &self.data_path)
            .field("flush", &self.flush)
            .field("room", &self.room)
            .field("data_room", &self.data_room)
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

fn end_the_process(why: &str) {
    let lost = "what was acknowledged since the last sync may be lost, so the process ends here";
    waybill_runtime::say(format_args!("waybill: {why}; {lost}"));
    std::process::abort();
}
