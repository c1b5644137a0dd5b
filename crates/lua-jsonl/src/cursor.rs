//! A directory of files, read in the order of their names.

use crate::checkpoint::Checkpoint;
use crate::follow::Follower;
use crate::options::TailerOptions;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at a directory that has nothing new.
pub const POLL: Duration = Duration::from_millis(250);

/// Reads lines. Blocks: it belongs on a thread for that.
pub(crate) struct Cursor {
    directory: PathBuf,
    pattern: glob::Pattern,
    /// Where commits go; unset: nobody remembers.
    path: Option<PathBuf>,
    /// How far lines were given out.
    position: Checkpoint,
    open: BTreeMap<String, Follower>,
    /// Nothing of what is there at the first look is wanted.
    skip: bool,
}

impl Cursor {
    /// Begins at the checkpoint, else with the first file, or with `tail` behind all that there is.
    pub(crate) fn new(options: &TailerOptions) -> io::Result<Self> {
        let path = options.checkpoint_name.as_ref().map(|name| options.directory.join(format!(".{name}")));
        let load = |path: &Path| Checkpoint::load(path).map_err(|error| named(path, &error));
        let known = path.as_deref().map(load).transpose()?.flatten();
        let pattern = glob::Pattern::new(&options.pattern).map_err(io::Error::other)?;
        let mut cursor = Cursor {
            directory: options.directory.clone(),
            pattern,
            path,
            skip: options.tail && known.is_none(),
            position: known.unwrap_or_default(),
            open: BTreeMap::new(),
        };
        if cursor.skip {
            cursor.lines(usize::MAX)?;
            cursor.skip = false;
        }
        Ok(cursor)
    }

    /// Where commits go.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How far lines were given out.
    pub(crate) fn position(&self) -> &Checkpoint {
        &self.position
    }

    /// The next lines, so many at most; none where there is nothing new.
    pub(crate) fn lines(&mut self, most: usize) -> io::Result<Vec<String>> {
        let names = self.names()?;
        self.position.keep(|name| names.iter().any(|known| known == name));
        self.open.retain(|name, _| names.iter().any(|known| known == name));
        let mut lines = Vec::new();
        for name in names {
            if lines.len() >= most {
                break;
            }
            if !self.position.has_finished(&name) {
                self.read(&name, most, &mut lines).map_err(|error| named(&self.directory.join(&name), &error))?;
            }
        }
        Ok(lines)
    }

    fn read(&mut self, name: &str, most: usize, lines: &mut Vec<String>) -> io::Result<()> {
        let mut count = self.position.lines(name);
        if !self.open.contains_key(name) {
            let mut follower = Follower::open(&self.directory.join(name))?;
            for _ in 0..count {
                // What a file has lost since cannot be read again.
                if follower.next_line()?.is_none() {
                    break;
                }
            }
            self.open.insert(name.to_owned(), follower);
        }
        let Some(follower) = self.open.get_mut(name) else { return Ok(()) };
        // Asked before the end is reached: whoever ended the file had written everything by then.
        let done = follower.is_done()?;
        let mut ended = false;
        while lines.len() < most && !ended {
            match follower.next_line()? {
                Some(line) => {
                    count += 1;
                    if !self.skip {
                        lines.push(line);
                    }
                }
                None => ended = true,
            }
        }
        if ended && done {
            self.position.finish(name);
            self.open.remove(name);
        } else {
            self.position.read(name, count);
        }
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            // Whoever writes there has not begun.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(named(&self.directory, &error)),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.starts_with('.') && self.pattern.matches(&name) && entry.file_type()?.is_file() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    fn options(directory: &Path, tail: bool) -> TailerOptions {
        TailerOptions {
            directory: directory.to_owned(),
            pattern: "2*".to_owned(),
            max_batch_size: 100,
            max_batch_latency: Duration::ZERO,
            checkpoint_name: Some("mine".to_owned()),
            _poll_watcher: false,
            tail,
        }
    }

    fn done(path: &Path) {
        let mut permissions = fs::metadata(path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(path, permissions).unwrap();
    }

    #[test]
    fn files_are_read_in_order_also_while_two_grow_and_each_line_comes_once() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("2023_recv"), folder.path().join("2024_deliv"));
        fs::write(folder.path().join("1999"), "not one of ours\n").unwrap();
        let mut grows = File::create(&first).unwrap();
        let mut too = File::create(&second).unwrap();
        writeln!(grows, "a").unwrap();
        writeln!(too, "b").unwrap();
        let mut cursor = Cursor::new(&options(folder.path(), false)).unwrap();
        assert_eq!(cursor.lines(100).unwrap(), ["a", "b"]);
        writeln!(grows, "c").unwrap();
        assert_eq!(cursor.lines(100).unwrap(), ["c"]);
        done(&first);
        writeln!(too, "d\ne").unwrap();
        assert_eq!(cursor.lines(1).unwrap(), ["d"]);
        cursor.position().store(cursor.path().unwrap()).unwrap();

        let mut again = Cursor::new(&options(folder.path(), false)).unwrap();
        assert_eq!(again.lines(100).unwrap(), ["e"]);
        assert!(again.position().has_finished("2023_recv"));
        fs::remove_file(&second).unwrap();
        assert_eq!(again.lines(100).unwrap(), [""; 0]);
        assert!(again.position().open.is_empty(), "what is gone is forgotten");
    }

    #[test]
    fn with_tail_only_what_comes_later_is_given_unless_there_is_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2023");
        let mut file = File::create(&path).unwrap();
        writeln!(file, "old").unwrap();
        let mut cursor = Cursor::new(&options(folder.path(), true)).unwrap();
        writeln!(file, "new").unwrap();
        assert_eq!(cursor.lines(100).unwrap(), ["new"]);
        cursor.position().store(cursor.path().unwrap()).unwrap();
        writeln!(file, "newer").unwrap();
        assert_eq!(Cursor::new(&options(folder.path(), true)).unwrap().lines(100).unwrap(), ["newer"]);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_has_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut cursor = Cursor::new(&options(&folder.path().join("later"), false)).unwrap();
        assert_eq!(cursor.lines(100).unwrap(), [""; 0]);
    }
}
