//! The text of every file that makes up a generation.
//!
//! The first state of a generation reads from disk; every later one gets the same text, so a generation keeps serving
//! while its files are being edited.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// A file's text; `None` where there was no file.
pub(crate) type Text = Option<Arc<[u8]>>;

/// The files of one generation.
#[derive(Default)]
pub(crate) struct Sources {
    texts: Mutex<HashMap<PathBuf, Text>>,
    /// Texts that are on no disk: nothing there can change them.
    given: Mutex<HashMap<PathBuf, Arc<[u8]>>>,
    /// Opened for data, or looked into: their text is not kept, but a change of them changes the policy.
    watched: Mutex<BTreeSet<PathBuf>>,
    /// What the first state made of the texts, by chunk name: compiling is half of making a state.
    compiled: Mutex<HashMap<String, Arc<[u8]>>>,
}

impl Sources {
    /// The text of a file, as it was when this generation first asked.
    pub(crate) fn read(&self, path: &Path) -> Text {
        if let Some(text) = self.given.lock().get(path) {
            return Some(text.clone());
        }
        if let Some(text) = self.texts.lock().get(path) {
            return text.clone();
        }
        let text: Text = std::fs::read(path).ok().map(Into::into);
        self.texts.lock().entry(path.to_owned()).or_insert(text).clone()
    }

    /// Gives a file a text that is on no disk.
    pub(crate) fn give(&self, path: &Path, text: &str) {
        self.given.lock().insert(path.to_owned(), text.as_bytes().into());
    }

    /// Notes that the policy depends on a file.
    pub(crate) fn watch(&self, path: &Path) {
        if !self.texts.lock().contains_key(path) {
            self.watched.lock().insert(path.to_owned());
        }
    }

    /// What an earlier state compiled under this name. Trusted as nothing else is: we compiled it ourselves.
    pub(crate) fn compiled(&self, chunk: &str) -> Option<Arc<[u8]>> {
        self.compiled.lock().get(chunk).cloned()
    }

    /// Keeps what a text was compiled to.
    pub(crate) fn keep_compiled(&self, chunk: &str, code: Vec<u8>) {
        self.compiled.lock().insert(chunk.to_owned(), code.into());
    }

    /// Files that are kept, with their text, and files that are only watched.
    pub(crate) fn files(&self) -> (HashMap<PathBuf, Text>, BTreeSet<PathBuf>) {
        (self.texts.lock().clone(), self.watched.lock().clone())
    }
}

/// What Lua's own loader does before it compiles: a byte order mark is dropped, a first line that begins with `#` is
/// emptied (its line end stays, for the line numbers).
pub(crate) fn code(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if !text.starts_with(b"#") {
        return text;
    }
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_sees_a_file_as_it_was_at_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lua");
        let later = dir.path().join("later.lua");
        std::fs::write(&path, "one").unwrap();
        let sources = Sources::default();
        assert_eq!(sources.read(&path).as_deref(), Some(&b"one"[..]));
        assert_eq!(sources.read(&later), None);
        std::fs::write(&path, "two").unwrap();
        std::fs::write(&later, "x").unwrap();
        assert_eq!(sources.read(&path).as_deref(), Some(&b"one"[..]));
        assert_eq!(sources.read(&later), None);
    }

    #[test]
    fn a_first_line_for_the_shell_is_no_code() {
        assert_eq!(code(b"#!/usr/bin/lua\nreturn 1"), b"\nreturn 1");
        assert_eq!(code(b"\xef\xbb\xbfreturn 1"), b"return 1");
        assert_eq!(code(b"#only"), b"");
    }
}
