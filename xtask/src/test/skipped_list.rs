//! What tests left out for lack of a program or a right, in their own words.
//!
//! A test that cannot run a part of itself passes, and `cargo test` shows nothing of what a passing test says: so it
//! writes a line `WHAT<tab>COMMAND` to the file that `WAYBILL_SKIPPED` names.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::report::Part;

/// The file, gone with this value.
pub(super) struct SkippedList {
    path: PathBuf,
}

impl SkippedList {
    /// The variable that names it.
    pub(super) const NAME: &str = "WAYBILL_SKIPPED";

    /// An empty one.
    pub(super) fn new() -> Result<SkippedList> {
        let path = std::env::temp_dir().join(format!("waybill-skipped-{}", std::process::id()));
        // What may be there is not ours, perhaps not even a file: it is put aside, not written to.
        let _ = fs::remove_file(&path);
        fs::File::create_new(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(SkippedList { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was left out, each part once.
    pub(super) fn read(&self) -> Result<Vec<Part>> {
        let text = fs::read_to_string(&self.path).with_context(|| format!("read {}", self.path.display()))?;
        Ok(parts(&text))
    }
}

impl Drop for SkippedList {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn parts(text: &str) -> Vec<Part> {
    let part = |line: &str| {
        let (why, enable) = line.split_once('\t').unwrap_or((line, "(the test does not say)"));
        Part { why: why.to_owned(), enable: enable.to_owned() }
    };
    let mut parts: Vec<Part> = text.lines().filter(|line| !line.is_empty()).map(part).collect();
    parts.sort();
    parts.dedup();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_named_once_with_its_command() {
        let part = |why: &str, enable: &str| Part { why: why.into(), enable: enable.into() };
        assert_eq!(
            parts("b\tinstall b\na\tinstall a\nb\tinstall b\n\nc\n"),
            [part("a", "install a"), part("b", "install b"), part("c", "(the test does not say)")]
        );
    }

    #[test]
    fn what_nobody_wrote_is_empty_and_the_file_does_not_stay() {
        let list = SkippedList::new().unwrap();
        let path = list.path().to_owned();
        assert_eq!(list.read().unwrap(), []);
        fs::write(&path, "x\ty\n").unwrap();
        assert_eq!(list.read().unwrap().len(), 1);
        drop(list);
        assert!(!path.exists());
    }
}
