//! The folder that everything of one scenario is under.

use super::record;
use nix::unistd::{User, chown, geteuid};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Whom the daemon becomes when root runs the tests, as CI does.
const UNPRIVILEGED: &str = "nobody";

/// A temporary folder, owned by whom the daemon runs as.
pub(crate) struct Home {
    folder: TempDir,
    user: Option<User>,
}

impl Home {
    pub(crate) fn new() -> Home {
        let folder = tempfile::Builder::new().prefix("waybill-scenario-").tempdir().expect("make a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open the folder to others");
        let user = geteuid().is_root().then(|| {
            let user = User::from_name(UNPRIVILEGED).expect("look up a user").expect("a system has a user nobody");
            chown(folder.path(), Some(user.uid), Some(user.gid)).expect("give the folder away");
            user
        });
        Home { folder, user }
    }

    /// What `--user` says, if it has to be said.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.name.as_str())
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The daemon's `--state-dir`.
    pub(crate) fn state(&self) -> PathBuf {
        self.file("state")
    }

    /// Writes the policy, so that whoever runs the daemon can read it.
    pub(crate) fn write_policy(&self, text: &str) -> PathBuf {
        let path = self.file("policy.lua");
        fs::write(&path, text).expect("write the policy");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("let others read the policy");
        path
    }

    /// The mails that were delivered to a domain.
    pub(crate) fn maildir(&self, domain: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.file("maildir").join(domain).join("new")) else { return Vec::new() };
        // A file that goes away while we look was not delivered for us.
        let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.ok()?.path()).ok();
        entries.filter_map(read).map(|mail| String::from_utf8_lossy(&mail).into_owned()).collect()
    }

    /// How many mails were delivered to a domain.
    pub(crate) fn maildir_count(&self, domain: &str) -> usize {
        fs::read_dir(self.file("maildir").join(domain).join("new")).map_or(0, Iterator::count)
    }

    /// The records in the log files, as far as they are written.
    pub(crate) fn records(&self) -> Vec<Value> {
        record::read_files(&self.file("logs"))
    }

    /// The records about the messages of hooks.
    pub(crate) fn hook_records(&self) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["reception_protocol"] == "LogRecord").collect()
    }
}

/// Whether any file below a folder holds these bytes.
pub(crate) fn is_on_disk(dir: &Path, secret: &str) -> bool {
    let entries = std::fs::read_dir(dir).expect("read a folder");
    entries.map_while(Result::ok).any(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => is_on_disk(&path, secret),
            Ok(kind) if kind.is_file() => std::fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes())),
            _ => false,
        }
    })
}
