use std::path::{Path, PathBuf};
use waybill_runtime::DiskRoom;
use waybill_types::MinFree;

/// What is to stay free on the disks of some directories.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) dirs: Vec<PathBuf>,
    pub(super) space: MinFree,
    pub(super) inodes: MinFree,
}

impl Room {
    /// The first shortage, as a sentence. A directory that cannot be asked has none: writing to it tells more.
    pub(super) fn shortage(&self) -> Option<String> {
        self.dirs.iter().find_map(|dir| self.shortage_at(dir))
    }

    fn shortage_at(&self, dir: &Path) -> Option<String> {
        let shortage = DiskRoom::at(dir).ok()?.shortage(self.space, self.inodes)?;
        Some(format!("log directory {} has {shortage}", dir.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_names_the_directory_and_what_is_short() {
        let dirs = vec![PathBuf::from("/nonexistent"), std::env::temp_dir()];
        let none = Room { dirs: dirs.clone(), space: MinFree::Amount(0), inodes: MinFree::Amount(0) };
        assert_eq!(none.shortage(), None);
        let all = Room { dirs, space: MinFree::Amount(u64::MAX), inodes: MinFree::Amount(0) };
        let sentence = all.shortage().unwrap();
        assert!(sentence.starts_with(&format!("log directory {} has ", std::env::temp_dir().display())), "{sentence}");
        assert!(sentence.ends_with(" bytes free, 18446744073709551615 are wanted"), "{sentence}");
    }
}
