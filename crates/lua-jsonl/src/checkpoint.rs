use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// How far a directory is read. Files are begun in the order of their names, which tell when they were made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The last file that was begun: of those up to it, what is not in `open` is read to its end.
    pub(crate) through: String,
    /// Lines read of files that may have more.
    pub(crate) open: BTreeMap<String, u64>,
}

impl Checkpoint {
    /// Reads what was stored; nothing where nothing was.
    pub(crate) fn load(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores it: as a whole or not at all, and so that it survives a loss of power.
    pub(crate) fn store(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".checkpoint-").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        fs::File::open(folder)?.sync_all()
    }

    /// Whether a file has been read to its end.
    pub(crate) fn has_finished(&self, name: &str) -> bool {
        name <= self.through.as_str() && !self.open.contains_key(name)
    }

    /// Lines read of a file.
    pub(crate) fn lines(&self, name: &str) -> u64 {
        self.open.get(name).copied().unwrap_or(0)
    }

    /// So many lines of a file are read.
    pub(crate) fn read(&mut self, name: &str, lines: u64) {
        self.begin(name);
        self.open.insert(name.to_owned(), lines);
    }

    /// A file is read to its end.
    pub(crate) fn finish(&mut self, name: &str) {
        self.begin(name);
        self.open.remove(name);
    }

    fn begin(&mut self, name: &str) {
        if name > self.through.as_str() {
            name.clone_into(&mut self.through);
        }
    }

    /// Forgets files that are gone.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.open.retain(|name, _| is_there(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found_and_nothing_else_is_left_in_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".mine");
        assert_eq!(Checkpoint::load(&path).unwrap(), None);
        let mut checkpoint = Checkpoint::default();
        checkpoint.read("a", 3);
        checkpoint.finish("b");
        checkpoint.store(&path).unwrap();
        checkpoint.store(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), Some(checkpoint.clone()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(checkpoint.has_finished("b") && !checkpoint.has_finished("a") && !checkpoint.has_finished("c"));
        fs::write(&path, "{").unwrap();
        Checkpoint::load(&path).unwrap_err();
    }
}
