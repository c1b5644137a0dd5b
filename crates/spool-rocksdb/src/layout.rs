//! The directories of a spool: whose they are, and that only one process uses them.

use crate::columns::Column;
use nix::unistd::{AccessFlags, access};
use rocksdb::{DB, Options};
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use waybill_spool::Table;

/// Held while a store is open. It stands before the database does: a directory with it is ours.
const LOCK_FILE: &str = "waybill.lock";

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another store has it open, in this process or another.
    #[error("the spool {} is in use{}", path.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// The spool.
        path: PathBuf,
        /// Who has it, if it says so.
        holder: Option<u32>,
    },
    /// The directory cannot be made or written to.
    #[error(
        "the spool path {} cannot be used: {reason}; the user that the daemon runs as must be able to make and write it",
        path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Something else lives in the directory.
    #[error("{} holds {what}, which is left untouched: {way_out}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What the operator can do.
        way_out: &'static str,
    },
    /// The policy's `rocks_params` make no sense.
    #[error("rocks_params: {0}")]
    Params(String),
    /// A later version wrote it.
    #[error("the spool {} has format {found}, this version of Waybill reads up to {}", path.display(), crate::columns::FORMAT)]
    Later {
        /// The spool.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A log of the database is not as it was written, and was not just cut off.
    #[error(
        "the spool {} cannot be opened: its log {} is damaged at byte {at}, and what was accepted may be behind it; \
         nothing was changed. Bring the file back from a backup, or give up what is behind that place: \
         truncate -s {at} '{}'",
        path.display(), file.display(), file.display()
    )]
    Damaged {
        /// The spool.
        path: PathBuf,
        /// The log.
        file: PathBuf,
        /// Where the first record that is not whole begins.
        at: u64,
    },
    /// The database does not open.
    #[error("the spool {} cannot be opened: {reason}", path.display())]
    Database {
        /// The spool.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
}

/// Makes sure that the directory of the database is there, ours, and nobody else's; gives what keeps it so.
pub(crate) fn take(path: &Path) -> Result<File, OpenError> {
    refuse_kumomta(path)?;
    if path.join("CURRENT").exists() && !is_ours(path) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            what: "a RocksDB database that is not Waybill's",
            way_out: "if it is a spool of KumoMTA, let KumoMTA deliver what is in it; then move the directory away, or \
                      give define_spool another path",
        });
    }
    let unusable = |reason| OpenError::Unusable { path: path.to_owned(), reason };
    std::fs::create_dir_all(path).map_err(unusable)?;
    let mut options = File::options();
    let mut lock =
        options.create(true).truncate(false).read(true).write(true).open(path.join(LOCK_FILE)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Best effort: it may just be writing it.
            let _ = lock.read_to_string(&mut holder);
            return Err(OpenError::InUse { path: path.to_owned(), holder: holder.trim().parse().ok() });
        }
        Err(TryLockError::Error(reason)) => return Err(unusable(reason)),
    }
    let note = |lock: &mut File| {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    note(&mut lock).map_err(unusable)?;
    Ok(lock)
}

/// Makes sure that the `data` path is there and empty enough: nothing of ours is stored in it.
pub(crate) fn take_data(path: &Path) -> Result<(), OpenError> {
    refuse_kumomta(path)?;
    if path.join("CURRENT").exists() {
        let (what, way_out) = if is_ours(path) {
            ("a spool of Waybill, but is configured as its data path", "exchange the paths of the data and meta spools")
        } else {
            (
                "a RocksDB database that is not Waybill's",
                "if it is a spool of KumoMTA, let KumoMTA deliver what is in it; then move the directory away, or give \
                 define_spool another path",
            )
        };
        return Err(OpenError::Foreign { path: path.to_owned(), what, way_out });
    }
    let unusable = |reason| OpenError::Unusable { path: path.to_owned(), reason };
    std::fs::create_dir_all(path).map_err(unusable)?;
    access(path, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| unusable(errno.into()))
}

/// Whether the database in a directory was made by us, even if making it was interrupted.
fn is_ours(path: &Path) -> bool {
    let has_our_columns = || {
        let columns = DB::list_cf(&Options::default(), path).unwrap_or_default();
        // Those that were there from the first version on.
        let first = Column::ALL.iter().filter(|column| **column != Column::Table(Table::Logs));
        first.into_iter().all(|column| columns.iter().any(|name| name == column.name()))
    };
    path.join(LOCK_FILE).exists() || has_our_columns()
}

fn refuse_kumomta(path: &Path) -> Result<(), OpenError> {
    if path.join("new").is_dir() && path.join("data").is_dir() {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            what: "a spool of KumoMTA (LocalDisk: new/ and data/)",
            way_out: "let KumoMTA deliver what is in it; then move the directory away, or give define_spool another path",
        });
    }
    Ok(())
}
