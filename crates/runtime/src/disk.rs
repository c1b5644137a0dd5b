use rustix::fs::statvfs;
use std::io;
use std::path::Path;
use waybill_types::MinFree;

/// The room on the disk of a path. Counts of inodes are zero on file systems that make them as they are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskRoom {
    /// Bytes that this process may still write.
    pub free_bytes: u64,
    /// Bytes altogether.
    pub bytes: u64,
    /// Inodes that this process may still make.
    pub free_inodes: u64,
    /// Inodes altogether.
    pub inodes: u64,
}

impl DiskRoom {
    /// Asks the file system, which costs one system call.
    ///
    /// # Errors
    /// What the system says, such as that the path is gone.
    pub fn at(path: &Path) -> io::Result<Self> {
        let disk = statvfs(path)?;
        Ok(DiskRoom {
            free_bytes: disk.f_bavail * disk.f_frsize,
            bytes: disk.f_blocks * disk.f_frsize,
            free_inodes: disk.f_favail,
            inodes: disk.f_files,
        })
    }

    /// What is missed, in words: `7 of 100 bytes free, 10% are wanted`.
    pub fn shortage(&self, space: MinFree, inodes: MinFree) -> Option<String> {
        let checks = [(space, "bytes", self.free_bytes, self.bytes), (inodes, "inodes", self.free_inodes, self.inodes)];
        let (least, unit, free, total) =
            checks.into_iter().find(|(least, _, free, total)| least.is_missed(*free, *total))?;
        Some(format!("{free} of {total} {unit} free, {least} are wanted"))
    }

    /// Free bytes and free inodes in percent, rounded down; nothing is free of nothing.
    pub fn percent(&self) -> (u64, u64) {
        let share = |free: u64, total: u64| u128::from(free) * 100 / u128::from(total.max(1));
        let narrow = |share: u128| u64::try_from(share).unwrap_or(u64::MAX);
        (narrow(share(self.free_bytes, self.bytes)), narrow(share(self.free_inodes, self.inodes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: DiskRoom = DiskRoom { free_bytes: 7, bytes: 100, free_inodes: 50, inodes: 60 };

    #[test]
    fn a_shortage_says_what_is_free_and_what_is_wanted() {
        let shortage = |space, inodes| ROOM.shortage(space, inodes);
        assert_eq!(shortage(MinFree::Amount(7), MinFree::Amount(50)), None);
        let bytes = shortage(MinFree::DEFAULT, MinFree::Amount(0));
        assert_eq!(bytes.as_deref(), Some("7 of 100 bytes free, 10% are wanted"));
        let inodes = shortage(MinFree::Amount(0), MinFree::Amount(51));
        assert_eq!(inodes.as_deref(), Some("50 of 60 inodes free, 51 are wanted"));
    }

    #[test]
    fn percentages_of_a_disk_that_counts_no_inodes_are_zero() {
        assert_eq!(ROOM.percent(), (7, 83));
        assert_eq!(DiskRoom { free_inodes: 0, inodes: 0, ..ROOM }.percent(), (7, 0));
    }

    #[test]
    fn a_real_disk_has_room_and_a_path_that_is_gone_is_an_error() {
        let room = DiskRoom::at(&std::env::temp_dir()).unwrap();
        assert!(room.bytes >= room.free_bytes && room.bytes > 0, "{room:?}");
        assert!(DiskRoom::at(Path::new("/does/not/exist")).is_err());
    }
}
