//! What happens to directories and names: nothing here knows what a record is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use waybill_types::Timestamp;

/// Creates the directory where it is missing, checks that files can be made in it, and marks what an earlier run left
/// there as done: nobody will write to those files again.
pub(crate) fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    // The file has no name (or loses it at once): a reader never sees it.
    tempfile::tempfile_in(dir)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if hidden || !entry.file_type()?.is_file() {
            continue;
        }
        if let Err(error) = mark_path_done(&entry.path()) {
            // Another program's file in our directory is no reason not to start.
            tracing::warn!(file = %entry.path().display(), "failed to mark a log file of an earlier run as done: {error}");
        }
    }
    Ok(())
}

fn mark_path_done(path: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    if !permissions.readonly() {
        permissions.set_readonly(true);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

/// Takes the write permission away: the sign for readers that the file is complete.
pub(crate) fn mark_done(file: &File) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)
}

/// Creates the file that is named after `now`. Where there is one already (two in one tick of the clock, or another
/// set of files in the same directory) the name moves on by a nanosecond.
pub(crate) fn create(dir: &Path, suffix: &str, now: Timestamp) -> io::Result<(File, PathBuf)> {
    // The directory may have been removed by whoever cleans up old logs.
    fs::create_dir_all(dir)?;
    let mut time = now;
    loop {
        let path = dir.join(format!("{}{suffix}", time.to_utc().format("%Y%m%d-%H%M%S%.f")));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => time = time + Duration::from_nanos(1),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_an_earlier_run_left_is_done_but_hidden_files_and_links_are_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for name in ["20230306-022811.1_recv", "note", ".hidden"] {
            fs::write(dir.path().join(name), "").unwrap();
            fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o664)).unwrap();
        }
        fs::create_dir(dir.path().join("sub")).unwrap();
        symlink(elsewhere.path(), dir.path().join("link")).unwrap();
        prepare(dir.path()).unwrap();
        assert_eq!(mode(&dir.path().join("20230306-022811.1_recv")), 0o444);
        assert_eq!(mode(&dir.path().join("note")), 0o444);
        assert_eq!(mode(&dir.path().join(".hidden")), 0o664);
        assert_eq!(mode(elsewhere.path()), 0o600);
        assert_ne!(mode(&dir.path().join("sub")) & 0o200, 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5, "the check left nothing behind");
    }

    #[test]
    fn a_missing_directory_is_created() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        prepare(&deep).unwrap();
        assert!(deep.is_dir());
    }

    #[test]
    fn two_files_of_one_moment_have_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::parse_rfc3339("2023-03-06T02:28:11.123456789Z").unwrap();
        let (_, first) = create(dir.path(), "_recv", now).unwrap();
        let (_, second) = create(dir.path(), "_recv", now).unwrap();
        assert_eq!(first, dir.path().join("20230306-022811.123456789_recv"));
        assert_eq!(second, dir.path().join("20230306-022811.123456790_recv"));
    }
}
