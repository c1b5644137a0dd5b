//! A folder for one daemon, owned by whom it will run as.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::{Uid, User};

/// Whom the daemon becomes when root starts it: it insists on somebody.
const UNPRIVILEGED: &str = "nobody";

/// The folder; removed at the end unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    _removes: Option<tempfile::TempDir>,
    /// The user to name on the command line, when we are root.
    pub(crate) user: Option<String>,
}

impl Scratch {
    pub(crate) fn create(keep: bool) -> Result<Scratch> {
        let dir = tempfile::Builder::new().prefix("waybill-bench-").tempdir().context("make a temporary folder")?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let mut user = None;
        if Uid::effective().is_root() {
            let nobody = User::from_name(UNPRIVILEGED)?.with_context(|| format!("no user {UNPRIVILEGED}"))?;
            chown(dir.path(), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw()))?;
            user = Some(nobody.name);
        }
        let folder = dir.path().to_owned();
        let removes = if keep {
            println!("kept: {}", folder.display());
            let _ = dir.keep();
            None
        } else {
            Some(dir)
        };
        Ok(Scratch { folder, _removes: removes, user })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes a file that everybody may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        Ok(path)
    }

    /// The binary under the name `kumod`: under that name a daemon takes KumoMTA's command line.
    pub(crate) fn as_kumod(&self, binary: &Path) -> Result<PathBuf> {
        let link = self.folder.join("kumod");
        let binary = fs::canonicalize(binary).with_context(|| format!("find {}", binary.display()))?;
        symlink(&binary, &link).with_context(|| format!("link {}", link.display()))?;
        Ok(link)
    }
}
