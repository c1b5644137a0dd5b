use nix::sys::statvfs::statvfs;
use std::path::PathBuf;
use waybill_types::MinFree;

/// Watches the room on the disks of the spool.
#[derive(Debug)]
pub(crate) struct SpaceGuard {
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) min_space: MinFree,
    pub(crate) min_inodes: MinFree,
}

impl SpaceGuard {
    /// What is missing, if anything, in words for the operator.
    pub(crate) fn check(&self) -> Option<String> {
        self.paths.iter().find_map(|path| {
            let disk = match statvfs(path) {
                Ok(disk) => disk,
                Err(error) => {
                    // Whether there is room is not known; a write will tell.
                    tracing::warn!("cannot tell how full the disk of {} is: {error}", path.display());
                    return None;
                }
            };
            let (path, fragment) = (path.display(), disk.fragment_size());
            let (free, total) = (disk.blocks_available() * fragment, disk.blocks() * fragment);
            if self.min_space.is_missed(free, total) {
                let min = self.min_space;
                return Some(format!("disk is too full: {path} has {free} of {total} bytes free, {min} are wanted"));
            }
            let (free, total) = (disk.files_available(), disk.files());
            // Some file systems make inodes as they need them, and count none.
            if total > 0 && self.min_inodes.is_missed(free, total) {
                let min = self.min_inodes;
                return Some(format!("disk is too full: {path} has {free} of {total} inodes free, {min} are wanted"));
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(min_space: MinFree, min_inodes: MinFree) -> SpaceGuard {
        SpaceGuard { paths: vec![std::env::temp_dir()], min_space, min_inodes }
    }

    #[test]
    fn a_disk_is_too_full_when_less_is_free_than_was_asked_for() {
        let none = MinFree::Amount(0);
        assert_eq!(guard(none, none).check(), None);
        let why = guard(MinFree::Amount(u64::MAX), none).check().unwrap();
        assert!(why.starts_with("disk is too full") && why.contains("bytes free"), "{why}");
        assert!(guard(MinFree::Percent(100.0), none).check().is_some());
        if statvfs(&std::env::temp_dir()).unwrap().files() > 0 {
            let why = guard(none, MinFree::Amount(u64::MAX)).check().unwrap();
            assert!(why.starts_with("disk is too full") && why.contains("inodes free"), "{why}");
        }
    }

    #[test]
    fn a_path_that_is_gone_is_no_reason_to_refuse_mail() {
        let mut guard = guard(MinFree::Percent(100.0), MinFree::Percent(100.0));
        guard.paths = vec!["/does/not/exist".into()];
        assert_eq!(guard.check(), None);
    }
}
