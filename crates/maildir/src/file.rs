//! One delivery to one folder: `tmp/`, sync, `new/`.

use crate::modes::Modes;
use crate::name::Names;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use waybill_types::Timestamp;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub(crate) struct FileError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

type Result<T> = std::result::Result<T, FileError>;

fn at(path: &Path) -> impl FnOnce(io::Error) -> FileError + '_ {
    |error| FileError { path: path.to_owned(), error }
}

/// A complete file in `tmp/`, on disk, that nobody sees yet. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Draft {
    tmp: PathBuf,
    new: PathBuf,
    id: String,
    published: bool,
}

impl Draft {
    /// Writes `body` into the folder, which is created if there is none.
    pub(crate) fn write(folder: &Path, body: &[u8], names: &Names, now: Timestamp, modes: Modes) -> Result<Self> {
        for name in ["tmp", "new", "cur"] {
            make_dirs(&folder.join(name), modes.dir)?;
        }
        let name = names.unique(now);
        let tmp = folder.join("tmp").join(name.in_tmp());
        let mut file = create(&tmp, modes.file).map_err(at(&tmp))?;
        // From here on whatever fails removes the file.
        let mut draft = Draft { tmp, new: folder.join("new"), id: String::new(), published: false };
        let written = fill(&mut file, body).map_err(at(&draft.tmp))?;
        draft.id = name.in_new(written.dev(), written.ino(), written.len());
        Ok(draft)
    }

    /// Moves it to where mail readers look. It is theirs now, also after a power cut. Gives its name.
    pub(crate) fn publish(mut self) -> Result<String> {
        let target = self.new.join(&self.id);
        fs::rename(&self.tmp, &target).map_err(at(&target))?;
        self.published = true;
        sync_dir(&self.new)?;
        Ok(std::mem::take(&mut self.id))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            // What stays behind in `tmp` is nobody's mail; readers clean it up after 36 hours.
            let _ = fs::remove_file(&self.tmp);
        }
    }
}

fn create(path: &Path, mode: Option<u32>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if let Some(mode) = mode {
        options.mode(mode);
    }
    let file = options.open(path)?;
    if let Some(mode) = mode {
        // The umask took its share.
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

fn fill(file: &mut File, body: &[u8]) -> io::Result<fs::Metadata> {
    file.write_all(body)?;
    file.sync_all()?;
    file.metadata()
}

/// Creates a folder and those above it that are missing.
fn make_dirs(path: &Path, mode: Option<u32>) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_dirs(parent, mode)?;
    }
    match make_dir(path, mode) {
        // Another session was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(at(path)(error)),
        Ok(()) => parent.map_or(Ok(()), sync_dir),
    }
}

fn make_dir(path: &Path, mode: Option<u32>) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    if let Some(mode) = mode {
        builder.mode(mode);
    }
    builder.create(path)?;
    mode.map_or(Ok(()), |mode| fs::set_permissions(path, Permissions::from_mode(mode)))
}

/// A new name survives a power cut only when its folder was synced.
fn sync_dir(path: &Path) -> Result<()> {
    match File::open(path).and_then(|dir| dir.sync_all()) {
        // Not every file system can; one that cannot must not make us deliver again and again.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result.map_err(at(path)),
    }
}
